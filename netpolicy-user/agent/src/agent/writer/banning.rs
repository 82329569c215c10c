//! Bans, as the writer has them done.

use std::sync::PoisonError;
use std::time::Instant;

use super::core::Writer;
use crate::agent::bans::{BanJob, BanQueue};
use crate::agent::notices::notice;
use crate::api::{NoticeTopic, NoticeView};

impl Writer {
    /// Where requests of bans wait.
    pub(super) fn ban_queue(&self) -> BanQueue {
        BanQueue::clone(&self.ban_queue)
    }

    /// Does all that waits, together.
    pub(super) fn carry_out_bans(&mut self) {
        let queue = BanQueue::clone(&self.ban_queue);
        let waiting = || queue.lock().unwrap_or_else(PoisonError::into_inner);
        self.gathering.wait(|| waiting().len());
        let jobs = std::mem::take(&mut *waiting());
        if !jobs.is_empty() {
            self.gathering.done(jobs.len());
        }
        self.bans_now(jobs);
    }

    /// Does these, together.
    pub fn bans_now(&mut self, jobs: Vec<BanJob>) {
        let had_fault = self.bans.fault().is_some();
        let before = self.bans.made();
        let (bans, mut around) = self.bans();
        bans.carry_out(jobs, &mut around);
        self.count_bans(self.bans.made() - before);
        self.publish_ban_fault(had_fault);
    }

    /// Ends the bans whose time is over.
    pub fn expire_bans(&mut self) {
        let had_fault = self.bans.fault().is_some();
        let (bans, mut around) = self.bans();
        bans.expire(&mut around);
        self.publish_ban_fault(had_fault);
    }

    /// At start, after the kernel was opened with the store's bans.
    pub(super) fn take_over_bans(&mut self) {
        let (bans, mut around) = self.bans();
        bans.tidy(&mut around);
    }

    /// Bans follow the services in force.
    pub(super) fn follow_with_bans(&mut self) {
        let is_confirmed = self.confirmation.pending().is_none();
        let (bans, mut around) = self.bans();
        bans.follow(is_confirmed, &mut around);
    }

    /// Compares the kernel's bans with those that there are, if it is time, and keeps the store's
    /// log short.
    pub(super) fn check_bans(&mut self) {
        if self.upkeep.is_held() {
            return;
        }
        let (bans, mut around) = self.bans();
        let repaired = bans.check(&mut around);
        bans.tidy(&mut around);
        if let Some(what) = repaired {
            self.faults.repaired(what);
        }
    }

    /// Puts into the audit log what waits for its minute.
    pub(super) fn record_bans(&mut self) {
        let (bans, mut around) = self.bans();
        bans.record(&mut around, true);
    }

    /// Counts new bans, and notices a burst of them.
    fn count_bans(&mut self, made: u64) {
        self.tally.bans_made.add(made);
        let most = self.settings.ban_burst;
        if let Some(made) = self.ban_burst.add(made, most, Instant::now()) {
            let text = format!("{made} bans were made within a minute; burst is {most}");
            self.notices.send(NoticeView {
                bans: Some(made),
                ..notice(NoticeTopic::BanBurst, &text)
            });
        }
    }

    /// Many changes of bans a second are not many snapshots: readers share the table.
    fn publish_ban_fault(&mut self, had_fault: bool) {
        if had_fault || self.bans.fault().is_some() {
            self.publish();
        }
    }
}
