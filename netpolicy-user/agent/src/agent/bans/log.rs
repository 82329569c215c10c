//! Care of what the store has of bans: audit summaries, and a log that is not much longer than
//! what it says.

use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::{BanContext, Bans};
use crate::agent::banned::read;
use crate::agent::error::chain;
use crate::agent::memory;
use crate::model::Name;
use crate::store::{BanEdit, StoreError};

/// About what a ban takes in the store.
const BYTES_OF_A_BAN: u64 = 40;

/// A log of bans is written again when it is longer than twice what it says, and by so much.
const SLACK: u64 = 1 << 20;

/// Differences that are named.
const SHOWN: usize = 5;

/// At least so long between two writes that say no more than that time has passed.
const NOTED: Duration = Duration::from_secs(60);

/// Bytes of the log that are written again at a time.
const WRITTEN_AGAIN: u64 = 1 << 20;

impl Bans {
    /// Compares the kernel's bans with those that there are, if it is time to, and repairs them;
    /// what was repaired.
    pub fn check(&mut self, around: &mut BanContext<'_>) -> Option<String> {
        let differing = around.kernel.look_at_bans(&self.lists);
        let differing = match differing {
            Ok(differing) if differing.is_empty() => return None,
            Ok(differing) => differing,
            Err(error) => {
                tracing::error!(error = chain(&error), "the kernel's bans cannot be read");
                return None;
            }
        };
        let what = differing
            .into_iter()
            .take(SHOWN)
            .collect::<Vec<_>>()
            .join("; ");
        tracing::error!("drift: {what}");
        around.kernel.distrust();
        self.restore(around);
        if self.fault.is_some() {
            return None;
        }
        let now = jiff::Timestamp::now();
        Some(format!(
            "{now}: the kernel did not hold the bans ({what}); repaired"
        ))
    }

    /// At start, and whenever there is time: what failed in the kernel is tried again, the
    /// audit log gets its summaries, the store's log is kept short.
    pub fn tidy(&mut self, around: &mut BanContext<'_>) {
        if around.upkeep.is_held() {
            return;
        }
        if self.fault.is_some() {
            self.restore(around);
        }
        self.record(around, false);
        if std::mem::take(&mut self.is_to_be_trimmed) {
            memory::give_back();
        }
        let result = if self.is_unrescued {
            self.rescue(around)
        } else if self.is_to_be_rewritten {
            self.write_all(around)
        } else {
            self.shorten(around).and_then(|()| self.note_time(around))
        };
        if let Err(error) = result {
            tracing::warn!(
                error = chain(&error),
                "the store's log of bans stays as it is"
            );
        }
    }

    /// Lets the store know that bans have ended, whose end itself needs no write: once in a while.
    fn note_time(&mut self, around: &mut BanContext<'_>) -> Result<(), StoreError> {
        let is_early = |noted: Instant| noted.elapsed() < NOTED;
        if !self.has_ended || self.noted.is_some_and(is_early) {
            return Ok(());
        }
        let before = self.note;
        let batch = around.store.note_time_of_bans(before)?;
        self.log.retain(|known| Some(known.number) != before);
        self.log.push_back(batch);
        self.note = Some(batch.number);
        self.noted = Some(Instant::now());
        self.has_ended = false;
        Ok(())
    }

    /// Puts into the audit log what waits for its minute, or all of it.
    pub fn record(&mut self, around: &mut BanContext<'_>, all: bool) {
        let mut summary = self.summary.clone();
        let audit = summary.take(Instant::now(), all, around.now.revision);
        if audit.is_empty() {
            return;
        }
        match around
            .store
            .record_bans(&mut std::iter::empty(), &[], &audit)
        {
            Ok(_) => self.summary = summary,
            Err(error) => {
                tracing::error!(error = chain(&error), "bans are not in the audit log yet");
            }
        }
    }

    /// Writes all bans again, in place of what the store has of them.
    ///
    /// # Errors
    /// The store does not take them.
    pub fn write_all(&mut self, around: &mut BanContext<'_>) -> Result<(), StoreError> {
        let forget: Vec<u64> = self.log.iter().map(|batch| batch.number).collect();
        let batches = {
            let table = read(&self.table);
            let mut edits = table.all_edits();
            around.store.record_bans(&mut edits, &forget, &[])?
        };
        self.log = batches.into();
        self.note = None;
        self.is_to_be_rewritten = false;
        self.is_unrescued = false;
        Ok(())
    }

    /// All bans in a store that has none of them; [`Self::tidy`] tries again what fails.
    ///
    /// # Errors
    /// The store does not take them.
    pub fn rescue(&mut self, around: &mut BanContext<'_>) -> Result<(), StoreError> {
        self.is_unrescued = true;
        let log = around.store.bans(&mut |_| ())?;
        self.log = log.batches.into();
        self.write_all(around)
    }

    /// Writes what counts of the oldest batches again, where the log is much longer than what
    /// it says.
    fn shorten(&mut self, around: &mut BanContext<'_>) -> Result<(), StoreError> {
        let bytes: u64 = self.log.iter().map(|batch| batch.bytes).sum();
        let table = read(&self.table);
        let needed = table.count() as u64 * BYTES_OF_A_BAN;
        if bytes <= 2 * needed + SLACK {
            return Ok(());
        }
        let (mut forget, mut size) = (Vec::new(), 0);
        let mut kept: Vec<(Option<Name>, IpNet)> = Vec::new();
        for batch in &self.log {
            if size >= WRITTEN_AGAIN {
                break;
            }
            size += batch.bytes;
            forget.push(batch.number);
            around.store.bans_in(batch.number, &mut |edit| {
                // A removal counts only where something older says otherwise.
                if let BanEdit::Put(row) | BanEdit::Also(row) = edit
                    && let Ok(service) = row.service.map(Name::exact).transpose()
                    && table.get(service.as_ref(), row.source).is_some()
                {
                    kept.push((service, row.source));
                }
            })?;
        }
        kept.sort_unstable();
        kept.dedup();
        let nets = kept.iter();
        let mut edits =
            nets.flat_map(|(service, source)| table.edits_of(service.as_ref(), *source));
        let written = around.store.record_bans(&mut edits, &forget, &[])?;
        drop(edits);
        drop(table);
        self.log.drain(..forget.len());
        self.note = self.note.filter(|note| !forget.contains(note));
        self.log.extend(written);
        Ok(())
    }
}
