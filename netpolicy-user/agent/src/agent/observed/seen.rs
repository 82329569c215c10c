//! The memory, for what judges sources once more.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use netpolicy_common::Reason;

use super::names::NameId;
use super::query::time;
use super::shared::Observations;
use super::sources::Judgement;
use super::trials::is_by_policies;
use crate::agent::rehearsal::{SeenSource, SeenSources, SourcesSeen};

impl SeenSources for Observations {
    fn seen_since(&self, since: Timestamp) -> SourcesSeen {
        let memory = &*self.lock();
        let oldest = since.as_millisecond();
        let mut scopes: HashMap<NameId, Arc<str>> = HashMap::new();
        let found = memory.sources.iter();
        let sources = found
            .filter(|(_, record)| record.last >= oldest)
            .map(|(key, record)| {
                let scope = scopes
                    .entry(key.scope)
                    .or_insert_with(|| memory.scope(key.scope).into());
                SeenSource {
                    net: key.net,
                    scope: Arc::clone(scope),
                    // Also if what denies them is only observed.
                    got_in: key.judgement != Judgement::Denied,
                    by_policies: Reason::from_u8(record.reason).is_none_or(is_by_policies),
                    attempts: record.attempts,
                    sampled: record.is_sampled,
                    first_seen: time(record.first),
                    last_seen: time(record.last),
                }
            })
            .collect();
        SourcesSeen {
            sources,
            remembered_since: Some(memory.since),
        }
    }
}
