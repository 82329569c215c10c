//! What is remembered as the store's records, and back.

use jiff::Timestamp;
use netpolicy_common::{Reason, ScopeId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::deciders::{Decider, DeciderId};
use super::memory::{Lost, SourceMemory};
use super::names::NameId;
use super::rates::{AttemptCount, BucketKey};
use super::rows::{PackedKey, Row};
use super::source_record::{SourceKey, SourceRecord};
use crate::store::ObservationRecord;

/// Kinds of records, in the order in which they are read: names and deciders before what
/// refers to them.
const HEAD: u8 = 0;
/// The key of the head that says whether rules were left out.
const IS_FULL: [u8; 1] = [1];
const NAME: u8 = 1;
const DECIDER: u8 = 2;
const SOURCE: u8 = 3;
const BUCKET: u8 = 4;

/// What is known of the memory as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MemoryHead {
    /// Since when it remembers, milliseconds since 1970.
    since: i64,
    /// When it was written down last.
    pub(super) written: i64,
    /// What the kernel had counted of the attempts in it: scope, number of the reason, attempts.
    pub(super) counted: Vec<(ScopeId, u8, u64)>,
    /// What is missing, from and before.
    lost: Option<(i64, i64)>,
    /// Sources that made room for others.
    displaced: u64,
}

impl MemoryHead {
    /// What the kernel had counted, by reason.
    pub(super) fn counted(&self) -> impl Iterator<Item = ((ScopeId, Reason), u64)> {
        let rows = self.counted.iter();
        rows.filter_map(|(scope, reason, count)| {
            Some(((*scope, Reason::from_u8(*reason)?), *count))
        })
    }
}

/// What the store does not keep as it is. Records are made of it one by one as they are written:
/// all at once would take several times as much memory as what they are made of.
#[derive(Debug)]
pub(super) struct UnwrittenChanges {
    names: Vec<(NameId, String)>,
    deciders: Vec<(DeciderId, Decider)>,
    deciders_removed: Vec<DeciderId>,
    sources: Vec<Row>,
    sources_removed: Vec<PackedKey>,
    buckets: Vec<(BucketKey, AttemptCount)>,
    buckets_removed: Vec<BucketKey>,
    head: MemoryHead,
    is_full: bool,
}

impl UnwrittenChanges {
    /// Takes all that the store does not keep as it is.
    pub(super) fn take(
        memory: &mut SourceMemory,
        now: Timestamp,
        counted: Vec<(ScopeId, u8, u64)>,
    ) -> Self {
        let names = memory.names.unwritten();
        let names = names.map(|(id, text)| (id, text.to_owned())).collect();
        memory.names.all_written();
        let (sources, sources_removed) = memory.sources.take_changes();
        let lost = memory.lost.as_ref();
        Self {
            names,
            deciders: memory.deciders.take_dirty(),
            deciders_removed: memory.deciders.take_removed(),
            sources,
            sources_removed,
            buckets: memory.rates.take_dirty(),
            buckets_removed: std::mem::take(&mut memory.expired),
            head: MemoryHead {
                since: memory.since.as_millisecond(),
                written: now.as_millisecond(),
                counted,
                lost: lost.map(|lost| (lost.from.as_millisecond(), lost.before.as_millisecond())),
                displaced: memory.sources.displaced,
            },
            is_full: memory.deciders.is_full,
        }
    }

    /// How many records of sources, buckets, names and deciders are written or removed.
    pub(super) fn len(&self) -> usize {
        self.names.len()
            + self.deciders.len()
            + self.deciders_removed.len()
            + self.sources.len()
            + self.sources_removed.len()
            + self.buckets.len()
            + self.buckets_removed.len()
    }

    /// What is to be written, and what the memory is then as a whole.
    pub(super) fn records(&self) -> impl Iterator<Item = ObservationRecord> {
        let names = self.names.iter();
        let names = names.filter_map(|(id, text)| record(NAME, id.to_be_bytes(), text));
        let deciders = self.deciders.iter();
        let deciders =
            deciders.filter_map(|(id, decider)| record(DECIDER, id.to_be_bytes(), decider));
        let removed = self.deciders_removed.iter();
        let deciders = deciders.chain(removed.map(|id| removal(DECIDER, id.to_be_bytes())));
        let sources = self.sources.iter();
        let sources =
            sources.filter_map(|row| record(SOURCE, encoded(&row.key.unpacked())?, &row.record()));
        let removed = self.sources_removed.iter();
        let removed = removed.filter_map(|key| Some(removal(SOURCE, encoded(&key.unpacked())?)));
        let sources = sources.chain(removed);
        let buckets = self.buckets.iter();
        let buckets = buckets.filter_map(|(key, tally)| record(BUCKET, encoded(key)?, tally));
        let removed = self.buckets_removed.iter();
        let removed = removed.filter_map(|key| Some(removal(BUCKET, encoded(key)?)));
        let head = record(HEAD, [], &self.head).into_iter();
        let is_full = self.is_full.then(|| record(HEAD, IS_FULL, &true));
        names
            .chain(deciders)
            .chain(sources)
            .chain(buckets.chain(removed))
            .chain(head)
            .chain(is_full.flatten())
    }
}

fn encoded(content: &impl Serialize) -> Option<Vec<u8>> {
    postcard::to_stdvec(content).ok()
}

fn record(kind: u8, key: impl Into<Vec<u8>>, value: &impl Serialize) -> Option<ObservationRecord> {
    Some(ObservationRecord {
        kind,
        key: key.into(),
        value: Some(encoded(value)?),
    })
}

fn removal(kind: u8, key: impl Into<Vec<u8>>) -> ObservationRecord {
    ObservationRecord {
        kind,
        key: key.into(),
        value: None,
    }
}

/// Puts what the store kept into an empty memory.
#[derive(Debug)]
pub(super) struct Restoration {
    pub(super) memory: SourceMemory,
    pub(super) head: Option<MemoryHead>,
    /// What cannot be read.
    pub(super) wrong: Option<String>,
}

impl Restoration {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            memory: SourceMemory::new(now),
            head: None,
            wrong: None,
        }
    }

    /// Takes one record.
    pub(super) fn take(&mut self, kind: u8, key: &[u8], value: &[u8]) {
        if self.wrong.is_none() && self.restore(kind, key, value).is_none() {
            self.wrong = Some(format!("a record of kind {kind} cannot be read"));
        }
    }

    fn restore(&mut self, kind: u8, key: &[u8], value: &[u8]) -> Option<()> {
        fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
            postcard::from_bytes(bytes).ok()
        }
        let memory = &mut self.memory;
        match kind {
            HEAD if key == IS_FULL => memory.deciders.is_full = read(value)?,
            HEAD => {
                let head: MemoryHead = read(value)?;
                memory.since = time(head.since)?;
                memory.sources.displaced = head.displaced;
                memory.lost = match head.lost {
                    Some((from, before)) => Some(Lost {
                        from: time(from)?,
                        before: time(before)?,
                    }),
                    None => None,
                };
                self.head = Some(head);
            }
            NAME => {
                let id = u16::from_be_bytes(key.try_into().ok()?);
                memory.names.restore(id, read(value)?);
            }
            DECIDER => {
                let id = u32::from_be_bytes(key.try_into().ok()?);
                memory.deciders.restore(id, read::<Decider>(value)?);
            }
            SOURCE => {
                let key = read::<SourceKey>(key)?;
                memory.sources.restore(key, &read::<SourceRecord>(value)?)?;
            }
            BUCKET => {
                let key = read::<BucketKey>(key)?;
                memory.deciders.reserve(key.decider);
                memory.rates.restore(&key, read::<AttemptCount>(value)?);
            }
            _ => return None,
        }
        Some(())
    }
}

fn time(millis: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(millis).ok()
}
