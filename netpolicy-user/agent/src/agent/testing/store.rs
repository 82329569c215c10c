//! The real store, over a journal.

use ipnet::IpNet;
use jiff::Timestamp;

use super::kernel::FakeKernel;
use crate::model::{Bypass, Grant, Name, State};
use crate::store::{
    Archivist, AuditEntry, BanBatch, BanEdit, BanLog, EncodedBans, Extras, FeedUpdate, FleetRecord,
    HandedOver, ObjectId, Past, Pruned, Rescued, RevisionMeta, SqliteStore, Store, StoreError,
    Stored, Whole,
};

/// The real store, with a note in the kernel's journal of each commit.
pub(super) struct NotedStore(pub(super) SqliteStore, pub(super) FakeKernel);

impl Store for NotedStore {
    fn load(&mut self) -> Result<Stored, StoreError> {
        self.0.load()
    }

    fn commit_with(
        &mut self,
        state: &State,
        by: &RevisionMeta,
        extras: &Extras,
    ) -> Result<u64, StoreError> {
        self.1.note("store");
        if self.1.lock().fail_commit {
            return Err(StoreError::Full {
                path: "/full".into(),
            });
        }
        self.0.commit_with(state, by, extras)
    }

    fn past(&self) -> Result<Box<dyn Past>, StoreError> {
        self.0.past()
    }

    fn state_at(&mut self, revision: u64) -> Result<State, StoreError> {
        self.0.state_at(revision)
    }

    fn clear_pending(
        &mut self,
        audit: &AuditEntry,
        fleet: Option<&FleetRecord>,
    ) -> Result<(), StoreError> {
        self.0.clear_pending(audit, fleet)
    }

    fn audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.0.audit(entry)
    }

    fn put_grants(&mut self, grants: &[(Grant, AuditEntry)]) -> Result<(), StoreError> {
        self.0.put_grants(grants)
    }

    fn remove_grants(&mut self, grants: &[(Grant, AuditEntry)]) -> Result<bool, StoreError> {
        self.0.remove_grants(grants)
    }

    fn put_bypass(
        &mut self,
        bypass: &Bypass,
        audit: Option<&AuditEntry>,
    ) -> Result<(), StoreError> {
        if self.1.lock().fail_commit {
            return Err(StoreError::Full {
                path: "/full".into(),
            });
        }
        self.0.put_bypass(bypass, audit)
    }

    fn remove_bypass(
        &mut self,
        source: IpNet,
        service: Option<&Name>,
        audit: Option<&AuditEntry>,
    ) -> Result<bool, StoreError> {
        self.0.remove_bypass(source, service, audit)
    }

    fn expire_bypasses(&mut self, now: Timestamp) -> Result<Vec<Bypass>, StoreError> {
        self.0.expire_bypasses(now)
    }

    fn bans(&mut self, visit: &mut dyn FnMut(BanEdit<'_>)) -> Result<BanLog, StoreError> {
        self.0.bans(visit)
    }

    fn bans_in(
        &mut self,
        batch: u64,
        visit: &mut dyn FnMut(BanEdit<'_>),
    ) -> Result<(), StoreError> {
        self.0.bans_in(batch, visit)
    }

    fn record_bans(
        &mut self,
        edits: &mut dyn Iterator<Item = BanEdit<'_>>,
        forget: &[u64],
        audit: &[AuditEntry],
    ) -> Result<Vec<BanBatch>, StoreError> {
        self.1.note("store bans");
        if self.1.lock().fail_commit {
            return Err(StoreError::Full {
                path: "/full".into(),
            });
        }
        self.0.record_bans(edits, forget, audit)
    }

    fn record_encoded_bans(
        &mut self,
        encoded: &EncodedBans,
        audit: &[AuditEntry],
    ) -> Result<Vec<BanBatch>, StoreError> {
        self.1.note("store bans");
        if self.1.lock().fail_commit {
            return Err(StoreError::Full {
                path: "/full".into(),
            });
        }
        self.0.record_encoded_bans(encoded, audit)
    }

    fn note_time_of_bans(&mut self, before: Option<u64>) -> Result<BanBatch, StoreError> {
        self.1.note("note time of bans");
        self.0.note_time_of_bans(before)
    }

    fn put_feed(
        &mut self,
        update: FeedUpdate<'_>,
        audit: Option<&AuditEntry>,
    ) -> Result<(), StoreError> {
        self.1.note("store");
        if self.1.lock().fail_commit {
            return Err(StoreError::Full {
                path: "/full".into(),
            });
        }
        self.0.put_feed(update, audit)
    }

    fn put_fleet(
        &mut self,
        fleet: &FleetRecord,
        audit: Option<&AuditEntry>,
    ) -> Result<(), StoreError> {
        self.0.put_fleet(fleet, audit)
    }

    fn missing(&mut self, ids: &[ObjectId]) -> Result<Vec<ObjectId>, StoreError> {
        self.0.missing(ids)
    }

    fn hand_over(&mut self, objects: &[HandedOver]) -> Result<bool, StoreError> {
        self.0.hand_over(objects)
    }

    fn state_of(&mut self, root: &ObjectId) -> Result<State, StoreError> {
        self.0.state_of(root)
    }

    fn check(&mut self) -> Result<(), StoreError> {
        self.0.check()
    }

    fn adopt(&mut self) -> Result<(), StoreError> {
        self.1.note("adopt");
        self.0.adopt()
    }

    fn rescue(&mut self, whole: &Whole<'_>) -> Result<Rescued, StoreError> {
        self.0.rescue(whole)
    }

    fn archivist(&mut self) -> Result<Archivist, StoreError> {
        self.0.archivist()
    }

    fn settle(&mut self) {
        self.0.settle();
    }

    fn prune(&mut self) -> Result<Pruned, StoreError> {
        self.0.prune()
    }
}
