//! The memory, for what judges sources once more.

use std::collections::HashMap;

use jiff::Timestamp;
use netpolicy_common::Reason;

use super::names::NameId;
use super::shared::Observations;
use super::source_record::Judgement;
use super::trials::is_by_policies;
use crate::agent::rehearsal::{SeenSource, SeenSources, SourcesSeen};

impl SeenSources for Observations {
    fn seen_since(&self, since: Timestamp) -> SourcesSeen {
        let memory = &*self.lock();
        let oldest = since.as_millisecond();
        let found = memory.sources.iter();
        let found = found.filter(|row| row.last >= oldest);
        let mut seen = SourcesSeen {
            // No room to grow: there may be hundreds of thousands.
            sources: Vec::with_capacity(found.clone().count()),
            scopes: Vec::new(),
            remembered_since: Some(memory.since),
        };
        let mut scopes: HashMap<NameId, u16> = HashMap::new();
        for row in found {
            let name = row.key.scope;
            let scope = *scopes
                .entry(name)
                .or_insert_with(|| seen.scope(&memory.scope(name)));
            seen.sources.push(SeenSource {
                net: row.key.net(),
                scope,
                // Also if what denies them is only observed.
                got_in: row.key.judgement != Judgement::Denied,
                by_policies: Reason::from_u8(row.reason).is_none_or(is_by_policies),
                attempts: row.attempts,
                sampled: row.is_sampled(),
                first: row.first,
                last: row.last,
            });
        }
        seen
    }
}
