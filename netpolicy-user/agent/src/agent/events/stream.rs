//! From the kernel's ring buffer to the listeners and to the memory of sources.
//!
//! The buffer is always drained, so that it never fills up with unread events. The program wakes
//! no reader: with 20,000 events a second each wake-up would cost more than its event, so the
//! buffer is looked into every tenth of a second, more often while there is a listener. Names and
//! rules for listeners are looked up on a thread of their own ([`super::denied`]).

use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use netpolicy_common::{Event, Reason};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::meter::{GRANT_EVERY, Meter};
use super::recent::Recent;
use crate::agent::error::chain;
use crate::agent::kernel::{Allowance, EventSource, Inspector};
use crate::api::EventLine;
use crate::datapath::CounterSnapshot;

/// Lines that a listener may be behind before it loses some.
const BACKLOG: usize = 4096;

/// Time between two looks into the buffer while there is a listener; else it is looked into at
/// each allowance.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Time between two looks at the counters.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// An attempt is counted before it is reported: so long after the counters were read, all that
/// they count is reported.
const IN_FLIGHT: Duration = Duration::from_millis(5);

/// Attempts of each kind reported in a second when there are more than the memory takes: enough
/// to tell which sources they come from.
const SAMPLE: u32 = 2000;

/// Where listeners subscribe, and what happened lately.
#[derive(Clone, Debug)]
pub struct EventHub {
    listeners: broadcast::Sender<EventLine>,
    recent: Arc<Mutex<Recent>>,
}

impl Default for EventHub {
    fn default() -> Self {
        Self {
            listeners: broadcast::Sender::new(BACKLOG),
            recent: Arc::default(),
        }
    }
}

impl EventHub {
    /// Everything from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<EventLine> {
        self.listeners.subscribe()
    }

    /// Whether there is a listener.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.listeners.receiver_count() > 0
    }

    /// To all who listen, if any.
    pub fn send(&self, line: EventLine) {
        // It is no error that there is no listener.
        let _ = self.listeners.send(line);
    }

    /// Remembers what happened.
    pub fn keep(&self, event: Event) {
        self.recent().keep(event);
    }

    /// What is remembered.
    pub fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be reported, by the configuration in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reporting {
    /// Denied attempts a second that listeners are told of.
    pub listeners: u32,
    /// Attempts a second, of those denied and of those that pass, up to which the memory of
    /// sources is told of each; 0: it is told of none.
    pub memory: u32,
    /// See [`Allowance::resets_per_second`].
    pub resets_per_second: u64,
}

/// What the kernel reported since the last time.
#[derive(Debug)]
pub struct Reported {
    /// Attempts, denied ones and others.
    pub events: Vec<Event>,
    /// What was counted of all that was judged, read before the events: whatever is counted in
    /// it and was reported is among these events or earlier ones. Not each time.
    pub counters: Option<CounterSnapshot>,
    /// Until now, since then, the memory was off and was told nothing.
    pub paused_since: Option<Timestamp>,
}

/// Where events go.
#[derive(Debug)]
pub struct Outlets {
    /// Listeners.
    pub hub: EventHub,
    /// Denied attempts that are to be named for them.
    pub raw: mpsc::Sender<Event>,
    /// The memory of sources. What it has no room for it learns of by the counters.
    pub memory: SyncSender<Reported>,
}

/// What each CPU may report in a tenth of a second, for `per_second` on all `cpus`
/// together: at least 1, unless nothing is to be reported.
#[must_use]
pub fn allowance(per_second: u32, cpus: usize) -> u64 {
    match per_second {
        0 => 0,
        n => (u64::from(n) / 10 / cpus.max(1) as u64).max(1),
    }
}

/// Drains the latest of `sources` for good and grants what each of the CPUs may report and answer.
/// Ends with `sources`.
pub async fn pump(
    mut sources: mpsc::UnboundedReceiver<Box<dyn EventSource>>,
    reporting: impl Fn() -> Reporting,
    cpus: usize,
    outlets: Outlets,
) {
    let mut source = sources.recv().await;
    while let Some(current) = source {
        tokio::select! {
            next = sources.recv() => source = next,
            () = pump_one(current, &reporting, cpus, &outlets) => return,
        }
    }
}

async fn pump_one(
    mut source: Box<dyn EventSource>,
    reporting: &impl Fn() -> Reporting,
    cpus: usize,
    outlets: &Outlets,
) {
    let start = Instant::now();
    let (mut granted, mut counted) = (None::<Instant>, None::<Instant>);
    let is_due = |last: Option<Instant>, every, now: Instant| {
        last.is_none_or(|last| now.duration_since(last) >= every)
    };
    let mut meters = [Meter::new(start), Meter::new(start)];
    let mut told = 0;
    // For the memory, which is told at each grant.
    let mut waiting = Vec::new();
    let mut paused_since = None;
    let mut grant_failed = false;
    loop {
        let now = Instant::now();
        let wanted = reporting();
        let mut counters = None;
        if is_due(counted, COUNT_EVERY, now) {
            counted = Some(now);
            counters = Some(source.counters());
            sleep(IN_FLIGHT).await;
        }
        let events = drain(&mut *source, outlets, &mut told);
        let mut is_sent = counters.is_some();
        let [denied, passed] = &mut meters;
        for event in &events {
            match is_denial(event) {
                true => denied.see(),
                false => passed.see(),
            }
        }
        if is_due(granted, GRANT_EVERY, now) {
            granted = Some(now);
            is_sent = true;
            told = u64::from(wanted.listeners).div_ceil(10);
            let least = allowance(wanted.listeners, cpus);
            let few = allowance(SAMPLE, cpus);
            let (denied, passed) = match wanted.memory {
                0 => (least, 0),
                most => (
                    denied.next(most.max(wanted.listeners), few.max(least), now),
                    passed.next(most, few, now),
                ),
            };
            let result = source.grant(Allowance {
                denied,
                passed,
                resets_per_second: wanted.resets_per_second,
            });
            if let Err(error) = &result
                && !grant_failed
            {
                tracing::warn!(error = chain(error), "events may be missing");
            }
            grant_failed = result.is_err();
        }
        match wanted.memory {
            0 => {
                waiting.clear();
                paused_since.get_or_insert_with(Timestamp::now);
            }
            _ => waiting.extend(events),
        }
        // After a pause the memory begins with what is counted then.
        let has_counters = counters.is_some();
        let is_due_now = has_counters || (paused_since.is_none() && !waiting.is_empty());
        if is_sent && wanted.memory > 0 && is_due_now {
            let reported = Reported {
                events: std::mem::take(&mut waiting),
                counters,
                paused_since,
            };
            match outlets.memory.try_send(reported) {
                Ok(()) => paused_since = None,
                Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Disconnected(_)) => {
                    tracing::debug!("the memory of sources has stopped");
                }
            }
        }
        let is_heard = outlets.hub.is_heard();
        sleep(if is_heard { LOOK_EVERY } else { GRANT_EVERY }).await;
    }
}

fn is_denial(event: &Event) -> bool {
    Reason::from_u8(event.reason).is_none_or(Reason::is_denial)
}

/// Empties the buffer. Listeners get `told` denied attempts more, as long as there is room.
fn drain(source: &mut dyn EventSource, outlets: &Outlets, told: &mut u64) -> Vec<Event> {
    let heard = outlets.hub.is_heard();
    let mut events = Vec::new();
    let mut lost = 0;
    while let Some(event) = source.next() {
        if is_denial(&event) {
            outlets.hub.keep(event);
            if heard {
                match *told > 0 && outlets.raw.try_send(event).is_ok() {
                    true => *told -= 1,
                    false => lost += 1,
                }
            }
        }
        events.push(event);
    }
    if lost > 0 {
        outlets.hub.send(EventLine::Lost { count: lost });
    }
    events
}

/// Tells listeners how many events the kernel left out, once a second.
pub async fn count_lost(inspector: Arc<dyn Inspector>, hub: EventHub) {
    let mut before: Option<u64> = None;
    let mut ticks = interval(COUNT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !hub.is_heard() {
            // Events that are lost without a listener are not missed.
            before = None;
            continue;
        }
        let inspector = inspector.clone();
        let Ok(Ok(stats)) = tokio::task::spawn_blocking(move || inspector.event_stats()).await
        else {
            continue;
        };
        let lost = stats.limited + stats.overflowed;
        let count = before.map_or(0, |before| lost.saturating_sub(before));
        before = Some(lost);
        if count > 0 {
            hub.send(EventLine::Lost { count });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::mpsc::{Receiver, sync_channel};

    use netpolicy_common::{EventStats, HOST_SCOPE, ResetStats};

    use super::*;
    use crate::agent::error::EnforcerError;

    #[test]
    fn every_cpu_may_report_something() {
        assert_eq!(allowance(1000, 2), 50);
        assert_eq!(allowance(1000, 0), 100);
        assert_eq!(allowance(5, 64), 1);
        assert_eq!(allowance(0, 2), 0);
    }

    struct FakeSource {
        events: VecDeque<Event>,
        granted: mpsc::UnboundedSender<Allowance>,
    }

    impl EventSource for FakeSource {
        fn next(&mut self) -> Option<Event> {
            self.events.pop_front()
        }

        fn grant(&mut self, allowance: Allowance) -> Result<(), EnforcerError> {
            self.granted.send(allowance).unwrap();
            Ok(())
        }

        fn counters(&mut self) -> CounterSnapshot {
            CounterSnapshot {
                rows: vec![(HOST_SCOPE, Reason::Blocked, 7)],
                events: EventStats::default(),
                resets: ResetStats::default(),
                since: None,
            }
        }
    }

    fn source(events: usize) -> (FakeSource, mpsc::UnboundedReceiver<Allowance>) {
        let (granted, grants) = mpsc::unbounded_channel();
        let event = crate::agent::events::denied::tests::event();
        let source = FakeSource {
            events: vec![event; events].into(),
            granted,
        };
        (source, grants)
    }

    fn outlets(room: usize) -> (Outlets, mpsc::Receiver<Event>, Receiver<Reported>) {
        let (raw, named) = mpsc::channel(room);
        let (memory, reported) = sync_channel(8);
        let hub = EventHub::default();
        let outlets = Outlets { hub, raw, memory };
        (outlets, named, reported)
    }

    const REPORTING: Reporting = Reporting {
        listeners: 1000,
        memory: 30_000,
        resets_per_second: 9,
    };

    #[tokio::test(start_paused = true)]
    async fn allowance_is_granted_and_memory_gets_events_without_a_listener() {
        let (source, mut grants) = source(3);
        let (sources, receiver) = mpsc::unbounded_channel::<Box<dyn EventSource>>();
        assert!(sources.send(Box::new(source)).is_ok());
        let (outlets, mut named, reported) = outlets(8);
        let pump = tokio::spawn(pump(receiver, || REPORTING, 2, outlets));
        let exact = Allowance {
            denied: 9000,
            passed: 9000,
            resets_per_second: 9,
        };
        assert_eq!(grants.recv().await, Some(exact));
        assert_eq!(grants.recv().await, Some(exact), "and again");
        let first = reported.try_recv().unwrap();
        assert_eq!(first.events.len(), 3);
        assert_eq!(first.counters.unwrap().rows.len(), 1);
        assert!(named.try_recv().is_err(), "for listeners alone");
        drop(sources);
        pump.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn without_memory_only_what_listeners_get_is_reported() {
        let (source, mut grants) = source(3);
        let (sources, receiver) = mpsc::unbounded_channel::<Box<dyn EventSource>>();
        assert!(sources.send(Box::new(source)).is_ok());
        let (outlets, _named, reported) = outlets(8);
        let reporting = || Reporting {
            memory: 0,
            ..REPORTING
        };
        let pump = tokio::spawn(pump(receiver, reporting, 2, outlets));
        let granted = grants.recv().await.unwrap();
        assert_eq!((granted.denied, granted.passed), (50, 0));
        assert!(reported.try_recv().is_err());
        drop(sources);
        pump.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn memory_that_is_switched_on_again_learns_of_the_pause() {
        let (source, mut grants) = source(3);
        let (sources, receiver) = mpsc::unbounded_channel::<Box<dyn EventSource>>();
        assert!(sources.send(Box::new(source)).is_ok());
        let (outlets, _named, reported) = outlets(8);
        let most = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let now = most.clone();
        let reporting = move || Reporting {
            memory: now.load(std::sync::atomic::Ordering::Relaxed),
            ..REPORTING
        };
        let pump = tokio::spawn(pump(receiver, reporting, 2, outlets));
        grants.recv().await.unwrap();
        most.store(30_000, std::sync::atomic::Ordering::Relaxed);
        for _ in 0..25 {
            grants.recv().await.unwrap();
        }
        let first = reported.try_recv().unwrap();
        assert!(first.paused_since.is_some() && first.counters.is_some());
        assert_eq!(reported.try_recv().unwrap().paused_since, None);
        drop(sources);
        pump.await.unwrap();
    }

    #[tokio::test]
    async fn what_listeners_do_not_get_is_counted() {
        let (mut fake, _grants) = source(5);
        let (outlets, mut named, _reported) = outlets(2);
        let mut lines = outlets.hub.subscribe();
        let mut told = 100;
        assert_eq!(drain(&mut fake, &outlets, &mut told).len(), 5);
        assert!(named.try_recv().is_ok());
        assert!(named.try_recv().is_ok());
        assert!(named.try_recv().is_err());
        assert_eq!(lines.try_recv(), Ok(EventLine::Lost { count: 3 }));

        let (mut fake, _grants) = source(5);
        let mut told = 1;
        drain(&mut fake, &outlets, &mut told);
        assert!(named.try_recv().is_ok());
        assert!(named.try_recv().is_err());
        assert_eq!(lines.try_recv(), Ok(EventLine::Lost { count: 4 }));
    }
}
