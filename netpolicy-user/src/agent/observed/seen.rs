//! The memory, for what judges sources once more.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::shared::Observations;
use super::trials::is_by_policies;
use crate::agent::rehearsal::{SeenSource, SeenSources, SourcesSeen};

impl SeenSources for Observations {
    fn seen_since(&self, since: Timestamp) -> SourcesSeen {
        let remembered = self.remembered(since);
        let mut scopes: HashMap<String, Arc<str>> = HashMap::new();
        let sources = remembered.into_iter().map(|source| {
            let scope = scopes
                .entry(source.scope)
                .or_insert_with_key(|scope| scope.as_str().into());
            SeenSource {
                net: source.net,
                scope: Arc::clone(scope),
                got_in: source.got_in,
                by_policies: source.reason.is_none_or(is_by_policies),
                attempts: source.attempts,
                sampled: source.sampled,
                first_seen: source.first_seen,
                last_seen: source.last_seen,
            }
        });
        SourcesSeen {
            sources: sources.collect(),
            remembered_since: Some(self.since()),
        }
    }
}
