//! The thread that keeps the memory: attributes what was reported every second, and writes it
//! down every few seconds. It takes a twentieth of a processor's time for either at most.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use netpolicy_common::ScopeId;
use tokio::sync::watch;

use super::ledger::Ledger;
use super::memory::Lost;
use super::models::Models;
use super::pending::{self, PendingAttempts};
use super::records::{MemoryHead, Restoration, UnwrittenChanges};
use super::settle::settle;
use super::shared::Observations;
use crate::agent::events::stream::Reported;
use crate::agent::memory::give_back;
use crate::agent::snapshot::Snapshot;
use crate::config::MemoryConfig;
use crate::store::{
    ObservationStore, StoreError, discard_observations, observations_bytes, open_observations,
};

/// Reports that may wait.
const ROOM: usize = 64;

/// Time between two attributions, at least and at most.
const SETTLE_EVERY: Duration = Duration::from_millis(900);
const SETTLE_AT_LAST: Duration = Duration::from_secs(8);

/// Time between two writes, at least and at most.
const WRITE_EVERY: Duration = Duration::from_secs(5);
const WRITE_AT_LAST: Duration = Duration::from_secs(9);

/// Time between two tries to write where it fails.
const RETRY_EVERY: Duration = Duration::from_secs(60);

/// After a write of as many records the allocator is to give back what it took.
const MANY_RECORDS: usize = 10_000;

/// How much longer than the work is the time until it is done again.
const SHARE: u32 = 20;

/// Of the bytes that it may have, so many hundredths are taken for full.
const FULL_PERCENT: u64 = 90;

/// Where reports go, and the thread that takes them; it ends when the last sender is dropped.
#[derive(Debug)]
pub struct Keeper {
    /// Takes reports.
    pub reports: SyncSender<Reported>,
    /// The thread.
    pub thread: JoinHandle<()>,
}

/// Starts the thread that keeps the memory, in the state directory `dir` by what `config` says.
///
/// # Errors
/// There is no thread to be had.
pub fn start(
    dir: PathBuf,
    config: impl Fn() -> MemoryConfig + Send + 'static,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    observations: Observations,
) -> std::io::Result<Keeper> {
    let (reports, receiver) = sync_channel(ROOM);
    let thread = std::thread::Builder::new()
        .name("memory".to_owned())
        .spawn(move || {
            let mut work = Work::new(dir, observations);
            work.restore(&config());
            work.run(&receiver, config, snapshots);
        })?;
    Ok(Keeper { reports, thread })
}

struct Work {
    dir: PathBuf,
    observations: Observations,
    store: Option<Box<dyn ObservationStore>>,
    /// Whether what the store keeps was read, or there is nothing to read. Nothing is written
    /// until then: records refer to each other by numbers.
    is_restored: bool,
    /// Whether all is to be written, in place of what the store keeps.
    is_whole: bool,
    pending: PendingAttempts,
    ledger: Ledger,
    models: Models,
    /// What the store says that the kernel had counted; until it is compared.
    head: Option<MemoryHead>,
    settled: Instant,
    settle_pause: Duration,
    written: Instant,
    write_pause: Duration,
}

impl Work {
    fn new(dir: PathBuf, observations: Observations) -> Self {
        Self {
            dir,
            observations,
            store: None,
            is_restored: false,
            is_whole: true,
            pending: PendingAttempts::default(),
            ledger: Ledger::default(),
            models: Models::default(),
            head: None,
            settled: Instant::now(),
            settle_pause: SETTLE_EVERY,
            written: Instant::now(),
            write_pause: WRITE_EVERY,
        }
    }

    fn run(
        &mut self,
        reports: &Receiver<Reported>,
        config: impl Fn() -> MemoryConfig,
        mut snapshots: watch::Receiver<Arc<Snapshot>>,
    ) {
        loop {
            let received = reports.recv_timeout(WRITE_EVERY);
            self.models.see(&snapshots.borrow_and_update());
            match received {
                Ok(reported) => self.take(&reported, &config()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.settle(&config());
                    self.write(&config());
                    return;
                }
            }
            if self.written.elapsed() >= self.write_pause {
                self.write(&config());
            }
        }
    }

    fn take(&mut self, reported: &Reported, config: &MemoryConfig) {
        if let Some(from) = reported.paused_since {
            self.resume(from);
        }
        let Some(counters) = &reported.counters else {
            pending::take(&mut self.pending, &mut self.ledger, &reported.events);
            return;
        };
        let is_first = !self.ledger.has_counted();
        if !is_first {
            self.ledger.count(&counters.rows);
        }
        let taken = pending::take(&mut self.pending, &mut self.ledger, &reported.events);
        if is_first {
            // These were counted by now, as what no agent saw.
            self.ledger.count(&counters.rows);
        }
        if let Some(head) = self.head.take() {
            self.compare(&head, &counters.rows, taken);
        }
        // Only now: what was counted by then was reported by now.
        if self.settled.elapsed() >= self.settle_pause {
            self.settle(config);
        }
    }

    /// The memory was off since a time: what was counted meanwhile belongs to no source seen now.
    fn resume(&mut self, from: Timestamp) {
        self.ledger = Ledger::default();
        let before = Timestamp::now();
        self.observations.lock().lost = Some(Lost { from, before });
    }

    fn settle(&mut self, config: &MemoryConfig) {
        let begun = Instant::now();
        let unreported = self.ledger.settle();
        let pending = std::mem::take(&mut self.pending);
        if !pending.is_empty() || !unreported.is_empty() {
            let (most, now) = (config.each(), Timestamp::now());
            settle(
                &self.observations,
                pending,
                unreported,
                &self.models,
                most,
                now,
            );
        }
        self.settled = Instant::now();
        self.settle_pause = (begun.elapsed() * SHARE).clamp(SETTLE_EVERY, SETTLE_AT_LAST);
    }

    /// Whether attempts were counted while no agent wrote them down.
    fn compare(
        &mut self,
        head: &MemoryHead,
        rows: &[(ScopeId, netpolicy_common::Reason, u64)],
        taken: u64,
    ) {
        let missing: u64 = rows
            .iter()
            .filter(|row| super::ledger::is_remembered(row.1))
            .map(|row| {
                let mut kept = head.counted();
                let kept = kept.find(|(kind, _)| *kind == (row.0, row.1));
                let kept = kept.map_or(0, |(_, count)| count);
                // Less than before: the kernel counts from zero, in other maps.
                row.2.checked_sub(kept).unwrap_or(row.2)
            })
            .sum();
        if missing <= taken {
            return;
        }
        let Ok(from) = Timestamp::from_millisecond(head.written) else {
            return;
        };
        let lost = Lost {
            from,
            before: Timestamp::now(),
        };
        tracing::info!(
            attempts = missing - taken,
            "the memory of sources misses attempts since {from}: no agent wrote them down"
        );
        self.observations.lock().lost = Some(lost);
    }

    /// Reads what is kept. What is damaged is made again; what cannot be read now is read later.
    fn restore(&mut self, config: &MemoryConfig) {
        if observations_bytes(&self.dir).is_none() {
            self.is_restored = true;
            return;
        }
        let begun = Instant::now();
        let read = self.read(config);
        match read {
            Ok(Restoration { memory, head, .. }) => {
                let sources = memory.sources.len();
                *self.observations.lock() = memory;
                self.head = head;
                (self.is_restored, self.is_whole) = (true, false);
                self.observations.lock_faults().present = None;
                let took_ms = begun.elapsed().as_millis();
                tracing::info!(sources, took_ms, "memory of sources read");
            }
            Err(error) => self.failed(&error, config),
        }
    }

    fn read(&mut self, config: &MemoryConfig) -> Result<Restoration, StoreError> {
        let mut store = open_observations(&self.dir, config.most_bytes())?;
        let mut restoration = Restoration::new(Timestamp::now());
        store.load(&mut |kind, key, value| restoration.take(kind, key, value))?;
        self.store = Some(store);
        match restoration.wrong.take() {
            Some(detail) => Err(StoreError::Corrupt {
                path: self.dir.clone(),
                detail,
            }),
            None => Ok(restoration),
        }
    }

    fn write(&mut self, config: &MemoryConfig) {
        // What was reported and is not attributed would count as written down.
        self.settle(config);
        let begun = Instant::now();
        self.written = begun;
        self.write_pause = WRITE_EVERY;
        if !self.is_restored {
            self.restore(config);
            if !self.is_restored {
                return;
            }
        }
        let changes = {
            let memory = &mut *self.observations.lock();
            let now = Timestamp::now();
            memory.tidy(now, config.days, config.each());
            if self
                .store
                .as_ref()
                .is_some_and(|store| !store.is_in_place())
            {
                // It was removed, or its directory was.
                self.store = None;
                self.is_whole = true;
                memory.all_dirty();
            }
            UnwrittenChanges::take(memory, now, self.ledger.accounted())
        };
        let count = changes.len();
        if count == 0 {
            return;
        }
        let written = self.written_to_store(&changes, config);
        drop(changes);
        if count >= MANY_RECORDS {
            give_back();
        }
        match written {
            Ok(()) => {
                self.is_whole = false;
                self.observations.lock_faults().present = None;
            }
            Err(error) => self.failed(&error, config),
        }
        let pause = (begun.elapsed() * SHARE).clamp(WRITE_EVERY, WRITE_AT_LAST);
        self.write_pause = self.write_pause.max(pause);
    }

    fn written_to_store(
        &mut self,
        changes: &UnwrittenChanges,
        config: &MemoryConfig,
    ) -> Result<(), StoreError> {
        let store = match &mut self.store {
            Some(store) => store,
            None => self
                .store
                .insert(open_observations(&self.dir, config.most_bytes())?),
        };
        match self.is_whole {
            true => store.replace(&mut changes.records()),
            false => store.write(&mut changes.records()),
        }
    }

    /// What could not be read or written: damaged files are made again, a full memory gives half
    /// of its sources up, everything else is tried again later.
    fn failed(&mut self, error: &StoreError, config: &MemoryConfig) {
        let was_open = self.store.take().is_some();
        self.is_whole = true;
        let memory = &mut *self.observations.lock();
        memory.all_dirty();
        self.write_pause = RETRY_EVERY;
        let mut faults = self.observations.lock_faults();
        match error {
            StoreError::Corrupt { detail, .. } => {
                let what = format!(
                    "the memory of sources in {} was damaged ({detail}) and has been made again",
                    self.dir.display()
                );
                match discard_observations(&self.dir) {
                    Ok(()) => {
                        tracing::warn!("{what}");
                        faults.past = Some((Instant::now(), what));
                        self.is_restored = true;
                        self.write_pause = WRITE_EVERY;
                    }
                    Err(error) => faults.present = Some(not_kept(&self.dir, &error.to_string())),
                }
            }
            StoreError::Full { .. } if was_open && is_own_limit(&self.dir, config) => {
                for is_denied in [false, true] {
                    memory.sources.halve(is_denied);
                }
                let what = format!(
                    "the memory of sources reached {} MiB (memory.most_mib): half of the sources \
                     were removed",
                    config.most_mib
                );
                tracing::warn!("{what}");
                // Written again as a whole, which also gives the space back.
                let _ = discard_observations(&self.dir);
                faults.past = Some((Instant::now(), what));
                self.write_pause = WRITE_EVERY;
            }
            // The store of the state says that it is gone.
            _ if !self.dir.is_dir() => {}
            error => {
                let why = match error {
                    StoreError::Full { .. } => "no space left".to_owned(),
                    error => error.to_string(),
                };
                let what = not_kept(&self.dir, &why);
                if faults.present.as_ref() != Some(&what) {
                    tracing::warn!("{what}");
                }
                faults.present = Some(what);
            }
        }
    }
}

fn not_kept(dir: &Path, why: &str) -> String {
    format!(
        "the memory of sources in {} is not written down: {why}",
        dir.display()
    )
}

/// Whether it is full by the configuration and not by the disk.
fn is_own_limit(dir: &Path, config: &MemoryConfig) -> bool {
    let bytes = observations_bytes(dir).unwrap_or(0);
    bytes >= config.most_bytes() / 100 * FULL_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_cannot_be_read_is_kept_and_read_later() {
        let (config, now) = (MemoryConfig::default(), Timestamp::now());
        let (kept, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let work = |dir: &Path| Work::new(dir.to_owned(), Observations::new(now));
        let mut first = work(kept.path());
        first.restore(&config);
        first.observations.lock().names.id("office");
        first.write(&config);
        drop(first);
        let file = dir.path().join("observations.db");
        std::fs::create_dir(&file).unwrap();
        let mut later = work(dir.path());
        later.restore(&config);
        later.observations.lock().names.id("branch");
        later.write(&config);
        assert!(!later.is_restored && file.is_dir());
        assert_eq!(later.observations.faults().len(), 1);
        std::fs::remove_dir(&file).unwrap();
        std::fs::copy(kept.path().join("observations.db"), &file).unwrap();
        later.write(&config);
        assert!(later.is_restored && later.observations.faults().is_empty());
        let memory = later.observations.lock();
        assert!(memory.names.known("office").is_some() && memory.names.known("branch").is_none());
    }
}
