//! What is remembered as the store's records, and back.

use jiff::Timestamp;
use netpolicy_common::{Reason, ScopeId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::deciders::Decider;
use super::memory::{Lost, SourceMemory};
use super::rates::{AttemptCount, BucketKey};
use super::sources::{SourceKey, SourceRecord};
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

fn record(kind: u8, key: impl Into<Vec<u8>>, value: &impl Serialize) -> Option<ObservationRecord> {
    Some(ObservationRecord {
        kind,
        key: key.into(),
        value: Some(postcard::to_stdvec(value).ok()?),
    })
}

fn removal(kind: u8, key: &impl Serialize) -> Option<ObservationRecord> {
    Some(ObservationRecord {
        kind,
        key: postcard::to_stdvec(key).ok()?,
        value: None,
    })
}

/// Takes all that the store does not keep as it is.
pub(super) fn take_changes(
    memory: &mut SourceMemory,
    now: Timestamp,
    counted: Vec<(ScopeId, u8, u64)>,
) -> Vec<ObservationRecord> {
    let mut records = Vec::new();
    for (id, text) in memory.names.unwritten() {
        records.extend(record(NAME, id.to_be_bytes(), &text));
    }
    memory.names.all_written();
    for (id, decider) in memory.deciders.take_dirty() {
        records.extend(record(DECIDER, id.to_be_bytes(), &decider));
    }
    for id in memory.deciders.take_removed() {
        records.push(ObservationRecord {
            kind: DECIDER,
            key: id.to_be_bytes().into(),
            value: None,
        });
    }
    let (dirty, removed) = memory.sources.take_changes();
    for (key, source) in dirty {
        let key = postcard::to_stdvec(&key);
        records.extend(key.ok().and_then(|key| record(SOURCE, key, &source)));
    }
    records.extend(removed.iter().filter_map(|key| removal(SOURCE, key)));
    for (key, tally) in memory.rates.take_dirty() {
        let key = postcard::to_stdvec(&key);
        records.extend(key.ok().and_then(|key| record(BUCKET, key, &tally)));
    }
    let expired = std::mem::take(&mut memory.expired);
    records.extend(expired.iter().filter_map(|key| removal(BUCKET, key)));
    if records.is_empty() {
        return records;
    }
    let head = MemoryHead {
        since: memory.since.as_millisecond(),
        written: now.as_millisecond(),
        counted,
        lost: memory
            .lost
            .map(|lost| (lost.from.as_millisecond(), lost.before.as_millisecond())),
        displaced: memory.sources.displaced,
    };
    records.extend(record(HEAD, [], &head));
    if memory.deciders.is_full {
        records.extend(record(HEAD, IS_FULL, &true));
    }
    records
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
                memory.sources.restore(key, read::<SourceRecord>(value)?);
            }
            BUCKET => {
                let key = read::<BucketKey>(key)?;
                memory.deciders.reserve(key.decider);
                memory.rates.restore(key, read::<AttemptCount>(value)?);
            }
            _ => return None,
        }
        Some(())
    }
}

fn time(millis: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(millis).ok()
}
