//! Bans on disk: a log of changes in batches, of which the newest about a source counts.
//!
//! Automation bans thousands of sources an hour, and a ban that ends leaves the log without a
//! write. So a change costs what it says and not what is banned, and many requests share a
//! batch. The oldest batches are written again, as far as they count, when the log has become
//! much longer than what it says; who decides that is the agent.
//!
//! ```text
//! batch: version 1 byte; the boot's id, 1 byte of length before it; wall clock minus boot clock
//!        in that boot, milliseconds, 8; when it was written, 8, since version 2;
//!        number of texts 4, each 2 bytes of length before it;
//!        number of changes 4, each:
//!        what there is 1 (bits of `Field`), address 4 or 16, prefix length 1, service 4,
//!        since 8, until 8, by 4, reason 4: as far as there are these
//! ```
//!
//! A batch in which a source has bans of several origins has version 3, and is like one of
//! version 2. Numbers are little-endian, addresses in network order, times milliseconds of the boot clock;
//! service, by and reason are indices of texts.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::clock::Clock;

const VERSION: u8 = 2;
/// With bans of several origins, which earlier readers would take for one after the other.
const ORIGINS_VERSION: u8 = 3;
/// Without the time of writing.
const FIRST_VERSION: u8 = 1;

/// Bytes of a batch, after which another one begins: what is written again at a time.
pub(super) const BATCH_BYTES: usize = 256 << 10;

/// A ban as it is stored. Times are milliseconds on the scale of the [`Clock`], from 1970 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanRow<'a> {
    /// Who is banned.
    pub source: IpNet,
    /// The service; `None`: the whole host.
    pub service: Option<&'a str>,
    /// Since when.
    pub since: i64,
    /// Until when; `None`: without end.
    pub until: Option<i64>,
    /// Who or what banned the source.
    pub by: Option<&'a str>,
    /// Why.
    pub reason: Option<&'a str>,
}

/// A change of bans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BanEdit<'a> {
    /// A ban, in place of all of the same source and service.
    Put(BanRow<'a>),
    /// A ban of another origin, next to those of the same source and service.
    Also(BanRow<'a>),
    /// No ban of this source and service.
    Remove {
        /// Who was banned.
        source: IpNet,
        /// The service; `None`: the whole host.
        service: Option<&'a str>,
    },
}

/// A batch of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanBatch {
    /// Its number, ascending.
    pub number: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// Where the log was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BanLog {
    /// Its batches, the oldest first.
    pub batches: Vec<BanBatch>,
    /// Whether a batch was written in another boot: then all is to be written again, or a wall
    /// clock that is set back would prolong bans at each start.
    pub is_of_another_boot: bool,
}

/// When a boot is known to have gone on at least: its newest batch was written then. A wall clock
/// that is behind after the next boot cannot give bans time back that had passed by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LastWrite {
    boot: String,
    /// Milliseconds of that boot's clock.
    at: i64,
}

/// What there is of a change.
struct Field;

impl Field {
    const PUT: u8 = 1;
    const V6: u8 = 1 << 1;
    const SERVICE: u8 = 1 << 2;
    const UNTIL: u8 = 1 << 3;
    const BY: u8 = 1 << 4;
    const REASON: u8 = 1 << 5;
    const ALSO: u8 = 1 << 6;
}

/// What a clock says of both scales, in milliseconds.
#[derive(Clone, Copy)]
struct BatchScale {
    /// The clock's time at boot.
    origin: i64,
    /// The wall clock minus the boot clock.
    wall: i64,
    /// The clock's time now.
    now: i64,
}

impl BatchScale {
    fn of(clock: &Clock) -> Self {
        let origin = clock.at(jiff::SignedDuration::ZERO).as_millisecond();
        let now = clock.now();
        let step = clock.shown(now).as_millisecond() - now.as_millisecond();
        Self {
            origin,
            wall: origin + step,
            now: now.as_millisecond(),
        }
    }
}

/// A batch that is being made.
pub(super) struct Encoder<'a> {
    texts: Vec<&'a str>,
    numbers: HashMap<&'a str, u32>,
    changes: Vec<u8>,
    count: u32,
    /// Whether a source has a ban of one more origin.
    has_also: bool,
    scale: BatchScale,
    boot: String,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(clock: &Clock) -> Self {
        Self {
            texts: Vec::new(),
            numbers: HashMap::new(),
            changes: Vec::new(),
            count: 0,
            has_also: false,
            scale: BatchScale::of(clock),
            boot: clock.boot().chars().take(usize::from(u8::MAX)).collect(),
        }
    }

    /// Bytes of its changes so far.
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn push(&mut self, edit: &BanEdit<'a>) {
        let (source, service, row) = match edit {
            BanEdit::Put(row) | BanEdit::Also(row) => (row.source, row.service, Some(row)),
            BanEdit::Remove { source, service } => (*source, *service, None),
        };
        let is_also = matches!(edit, BanEdit::Also(_));
        self.has_also |= is_also;
        let mut fields = 0;
        for (has, field) in [
            (row.is_some(), Field::PUT),
            (source.addr().is_ipv6(), Field::V6),
            (service.is_some(), Field::SERVICE),
            (row.is_some_and(|row| row.until.is_some()), Field::UNTIL),
            (row.is_some_and(|row| row.by.is_some()), Field::BY),
            (row.is_some_and(|row| row.reason.is_some()), Field::REASON),
            (is_also, Field::ALSO),
        ] {
            if has {
                fields |= field;
            }
        }
        self.changes.push(fields);
        match source.addr() {
            IpAddr::V4(address) => self.changes.extend(address.octets()),
            IpAddr::V6(address) => self.changes.extend(address.octets()),
        }
        self.changes.push(source.prefix_len());
        self.text(service);
        if let Some(row) = row {
            let origin = self.scale.origin;
            self.changes.extend((row.since - origin).to_le_bytes());
            if let Some(until) = row.until {
                self.changes.extend((until - origin).to_le_bytes());
            }
            self.text(row.by);
            self.text(row.reason);
        }
        self.count += 1;
    }

    fn text(&mut self, text: Option<&'a str>) {
        let Some(text) = text else { return };
        let next = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(text).or_insert(next);
        if number == next {
            self.texts.push(text);
        }
        self.changes.extend(number.to_le_bytes());
    }

    pub(super) fn with_digest(self) -> (Vec<u8>, blake3::Hash) {
        let bytes = self.finish();
        let digest = blake3::hash(&bytes);
        (bytes, digest)
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.changes.len() + 64);
        bytes.push(match self.has_also {
            true => ORIGINS_VERSION,
            false => VERSION,
        });
        bytes.push(u8::try_from(self.boot.len()).unwrap_or(0));
        if u8::try_from(self.boot.len()).is_ok() {
            bytes.extend(self.boot.as_bytes());
        }
        bytes.extend(self.scale.wall.to_le_bytes());
        bytes.extend((self.scale.now - self.scale.origin).to_le_bytes());
        let texts = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        bytes.extend(texts.to_le_bytes());
        for text in &self.texts {
            bytes.extend(u16::try_from(text.len()).unwrap_or(0).to_le_bytes());
            if u16::try_from(text.len()).is_ok() {
                bytes.extend(text.as_bytes());
            }
        }
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(self.changes);
        bytes
    }
}

/// Changes as batches of the log, with their digests: made apart from the store, which is only to
/// write them.
#[derive(Clone, Debug, Default)]
pub struct EncodedBans(pub(super) Vec<(Vec<u8>, blake3::Hash)>);

impl EncodedBans {
    /// These changes, in as many batches as they need.
    #[must_use]
    pub fn of<'a>(clock: &Clock, edits: impl Iterator<Item = BanEdit<'a>>) -> Self {
        let mut batches = Vec::new();
        let mut encoder = Encoder::new(clock);
        for edit in edits {
            encoder.push(&edit);
            if encoder.len() >= BATCH_BYTES {
                let full = std::mem::replace(&mut encoder, Encoder::new(clock));
                batches.push(full.with_digest());
            }
        }
        if !encoder.is_empty() {
            batches.push(encoder.with_digest());
        }
        Self(batches)
    }
}

/// What a batch begins with.
struct BatchHeader<'a> {
    boot: &'a str,
    /// The wall clock minus the boot clock in that boot.
    wall: i64,
    written: Option<i64>,
}

impl<'a> BatchHeader<'a> {
    fn read(rest: &mut Bytes<'a>) -> Result<Self, String> {
        let version = rest.u8()?;
        if !(FIRST_VERSION..=ORIGINS_VERSION).contains(&version) {
            return Err(format!(
                "it has version {version}, expected at most {ORIGINS_VERSION}"
            ));
        }
        let length = rest.u8()?;
        Ok(Self {
            boot: rest.text(usize::from(length))?,
            wall: rest.i64()?,
            written: (version != FIRST_VERSION).then(|| rest.i64()).transpose()?,
        })
    }
}

/// When a batch was written, if it says so.
pub(super) fn last_write(bytes: &[u8]) -> Option<LastWrite> {
    let header = BatchHeader::read(&mut Bytes(bytes)).ok()?;
    Some(LastWrite {
        boot: header.boot.to_owned(),
        at: header.written?,
    })
}

/// Reads a batch; whether it was written in this boot. `last`: the newest batch's.
///
/// # Errors
/// What is wrong with it.
pub(super) fn decode(
    clock: &Clock,
    last: Option<&LastWrite>,
    bytes: &[u8],
    visit: &mut dyn FnMut(BanEdit<'_>),
) -> Result<bool, String> {
    let mut rest = Bytes(bytes);
    let BatchHeader { boot, wall, .. } = BatchHeader::read(&mut rest)?;
    let is_current = !boot.is_empty() && boot == clock.boot();
    let known = last.filter(|last| last.boot == boot).map(|last| last.at);
    let scale = BatchScale::of(clock);
    let mut texts = Vec::new();
    for _ in 0..rest.u32()? {
        let length = rest.u16()?;
        texts.push(rest.text(usize::from(length))?);
    }
    let text = |number: u32| {
        let text = texts.get(number as usize).copied();
        text.ok_or_else(|| format!("there is no text {number}"))
    };
    for _ in 0..rest.u32()? {
        let fields = rest.u8()?;
        let has = |field: u8| fields & field != 0;
        let address = if has(Field::V6) {
            IpAddr::V6(Ipv6Addr::from(rest.array::<16>()?))
        } else {
            IpAddr::V4(Ipv4Addr::from(rest.array::<4>()?))
        };
        let source = IpNet::new(address, rest.u8()?).map_err(|error| error.to_string())?;
        let service = has(Field::SERVICE).then(|| rest.u32()).transpose()?;
        let service = service.map(text).transpose()?;
        if !has(Field::PUT) {
            visit(BanEdit::Remove { source, service });
            continue;
        }
        let since = rest.i64()?;
        let until = has(Field::UNTIL).then(|| rest.i64()).transpose()?;
        let by = has(Field::BY).then(|| rest.u32()).transpose()?;
        let reason = has(Field::REASON).then(|| rest.u32()).transpose()?;
        let (since, until) = if is_current {
            let on_scale = |time: i64| time.saturating_add(scale.origin);
            (on_scale(since), until.map(on_scale))
        } else {
            after_reboot(since, until, wall, known, scale)
        };
        let row = BanRow {
            source,
            service,
            since,
            until,
            by: by.map(text).transpose()?,
            reason: reason.map(text).transpose()?,
        };
        visit(match has(Field::ALSO) {
            true => BanEdit::Also(row),
            false => BanEdit::Put(row),
        });
    }
    match rest.0 {
        [] => Ok(is_current),
        more => Err(format!("{} bytes follow its end", more.len())),
    }
}

/// After a reboot a ban gets what the wall clock leaves of it, never more than the whole, and
/// never more than was left at `known`, a time of the boot that stored it.
/// `wall`: the wall clock minus the boot clock in that boot.
fn after_reboot(
    since: i64,
    until: Option<i64>,
    wall: i64,
    known: Option<i64>,
    scale: BatchScale,
) -> (i64, Option<i64>) {
    let to_scale = |time: i64| time.saturating_add(wall) + scale.origin - scale.wall;
    let Some(until) = until else {
        return (to_scale(since), None);
    };
    let whole = until.saturating_sub(since).max(0);
    let most = known.map_or(whole, |known| until.saturating_sub(known).clamp(0, whole));
    let left = (to_scale(until) - scale.now).clamp(0, most);
    let until = scale.now + left;
    (until - whole, Some(until))
}

/// What is left to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or_else(|| "it is cut short".to_owned())?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| "it is cut short".to_owned())
    }

    fn u8(&mut self) -> Result<u8, String> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64, String> {
        self.array().map(i64::from_le_bytes)
    }

    fn text(&mut self, length: usize) -> Result<&'a str, String> {
        std::str::from_utf8(self.take(length)?).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests;
