//! The rules of recent generations, by which attempts are attributed.

use std::collections::VecDeque;
use std::sync::Arc;

use netpolicy_common::{HOST_SCOPE, ScopeId};

use crate::agent::snapshot::Snapshot;
use crate::model::{Service, State};

/// Generations of which the rules are kept: attempts are attributed within a second or, with
/// millions of rules, ten.
const MOST: usize = 4;

/// Rules of recent generations, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Models(VecDeque<Arc<Snapshot>>);

impl Models {
    /// Takes note of the rules in force now.
    pub(super) fn see(&mut self, snapshot: &Arc<Snapshot>) {
        let last = self.0.back();
        if last.is_some_and(|last| last.revision == snapshot.revision) {
            return;
        }
        // Another revision of the same generation says the same, with today's names.
        if last.is_some_and(|last| last.generation == snapshot.generation) {
            self.0.pop_back();
        }
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        // Without the compiled rules, which may take much memory.
        self.0.push_back(Arc::new(Snapshot {
            generation: snapshot.generation,
            removed: snapshot.removed.clone(),
            ..Snapshot::of(&snapshot.state, snapshot.revision)
        }));
    }

    /// What decided at a generation. Of changes in quick succession not each is seen: then the
    /// next one, which attributes what it would have decided for the same reason.
    pub(super) fn at(&self, generation: u64) -> Option<&Arc<Snapshot>> {
        let later = self.0.iter().find(|model| model.generation >= generation);
        later.or_else(|| self.0.back())
    }
}

/// The service of a scope: `Some(None)` for the host, `None` for a service that is no more.
pub(super) fn service(state: &State, scope: ScopeId) -> Option<Option<&Service>> {
    match scope {
        HOST_SCOPE => Some(None),
        id => state.services.iter().find(|s| s.id == id).map(Some),
    }
}
