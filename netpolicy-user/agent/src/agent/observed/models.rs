//! The rules of recent generations, by which attempts are attributed.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use netpolicy_common::{HOST_SCOPE, ScopeId};

use crate::agent::snapshot::Snapshot;
use crate::model::{Service, State};

/// Generations of which the rules are kept: attempts are attributed within a second or, with
/// millions of rules, ten.
const MOST: usize = 4;

/// A number of rules. It is not kept by the store: revisions and generations may begin again.
pub(super) type ModelId = u32;

/// What stands for rules that are not known.
pub(super) const NO_MODEL: ModelId = 0;

/// Rules of recent generations, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Models {
    recent: VecDeque<(ModelId, Arc<Snapshot>)>,
    /// The number that was given last.
    last: ModelId,
}

impl Models {
    /// Takes note of the rules in force now.
    pub(super) fn see(&mut self, snapshot: &Arc<Snapshot>) {
        let last = self.recent.back().map(|(_, last)| last);
        if last.is_some_and(|last| last.revision == snapshot.revision) {
            return;
        }
        // Another revision of the same generation says the same, with today's names.
        match last.map(|last| last.generation.cmp(&snapshot.generation)) {
            Some(Ordering::Equal) => drop(self.recent.pop_back()),
            // Generations begin again, in other maps.
            Some(Ordering::Greater) => self.recent.clear(),
            Some(Ordering::Less) | None => {}
        }
        if self.recent.len() == MOST {
            self.recent.pop_front();
        }
        self.last += 1;
        // Without the compiled rules, which may take much memory.
        let model = Arc::new(Snapshot {
            generation: snapshot.generation,
            removed: snapshot.removed.clone(),
            ..Snapshot::of(&snapshot.state, snapshot.revision)
        });
        self.recent.push_back((self.last, model));
    }

    /// What decided at a generation. Of changes in quick succession not each is seen: then the
    /// next one, which attributes what it would have decided for the same reason.
    pub(super) fn at(&self, generation: u64) -> Option<&(ModelId, Arc<Snapshot>)> {
        let mut recent = self.recent.iter();
        let later = recent.find(|(_, model)| model.generation >= generation);
        later.or_else(|| self.recent.back())
    }
}

/// The service of a scope: `Some(None)` for the host, `None` for a service that is no more.
pub(super) fn service(state: &State, scope: ScopeId) -> Option<Option<&Service>> {
    match scope {
        HOST_SCOPE => Some(None),
        id => state.services.iter().find(|s| s.id == id).map(Some),
    }
}
