//! From the kernel's ring buffer to the listeners.
//!
//! The buffer is always drained, so that it never fills up with unread events;
//! names and rules are looked up only while there is a listener, on a thread of their
//! own ([`super::denied`]).

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netpolicy_common::Event;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{MissedTickBehavior, interval};

use super::recent::Recent;
use crate::agent::error::chain;
use crate::agent::kernel::{Allowance, EventSource, Inspector};
use crate::api::EventLine;

/// Lines that a listener may be behind before it loses some.
const BACKLOG: usize = 4096;

/// Time between two allowances.
const GRANT_EVERY: Duration = Duration::from_millis(100);

/// Time between two looks at how many events were lost.
const COUNT_EVERY: Duration = Duration::from_secs(1);

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

/// What each CPU may report in a tenth of a second, for `per_second` on all `cpus`
/// together: at least 1, unless nothing is to be reported.
#[must_use]
pub fn allowance(per_second: u32, cpus: usize) -> u64 {
    match per_second {
        0 => 0,
        n => (u64::from(n) / 10 / cpus.max(1) as u64).max(1),
    }
}

/// Drains the latest of `sources` for good and grants what each CPU may report and answer. While there is a
/// listener, events go into `raw`; those that do not fit are lost. Ends with `sources`.
pub async fn pump(
    mut sources: mpsc::UnboundedReceiver<Box<dyn EventSource>>,
    allowance: impl Fn() -> Allowance,
    hub: EventHub,
    raw: mpsc::Sender<Event>,
) {
    let mut source = sources.recv().await;
    while let Some(current) = source {
        tokio::select! {
            next = sources.recv() => source = next,
            result = pump_one(current, &allowance, &hub, &raw) => {
                if let Err(error) = result {
                    tracing::error!(%error, "no events: the ring buffer cannot be polled");
                }
                source = sources.recv().await;
            }
        }
    }
}

async fn pump_one(
    mut source: Box<dyn EventSource>,
    allowance: &impl Fn() -> Allowance,
    hub: &EventHub,
    raw: &mpsc::Sender<Event>,
) -> io::Result<()> {
    let descriptor = source.as_fd().try_clone_to_owned()?;
    // SAFETY: an `OwnedFd` is open and the same one as long as it exists, and nothing
    // takes it out of the `AsyncFd`.
    let readable = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?;
    let mut grants = interval(GRANT_EVERY);
    grants.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut grant_failed = false;
    loop {
        tokio::select! {
            _ = grants.tick() => {
                let result = source.grant(allowance());
                if let Err(error) = &result && !grant_failed {
                    tracing::warn!(error = chain(error), "events may be missing");
                }
                grant_failed = result.is_err();
                drain(&mut *source, hub, raw);
            }
            ready = readable.readable() => {
                let mut ready = ready?;
                // Cleared first: what comes in while draining makes it ready again.
                ready.clear_ready();
                drain(&mut *source, hub, raw);
                // A flood of events must not keep the thread from other work.
                tokio::task::coop::consume_budget().await;
            }
        }
    }
}

fn drain(source: &mut dyn EventSource, hub: &EventHub, raw: &mpsc::Sender<Event>) {
    let heard = hub.is_heard();
    let mut lost = 0;
    while let Some(event) = source.next() {
        hub.keep(event);
        if heard && raw.try_send(event).is_err() {
            lost += 1;
        }
    }
    if lost > 0 {
        hub.send(EventLine::Lost { count: lost });
    }
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
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::agent::error::EnforcerError;

    #[test]
    fn every_cpu_may_report_something() {
        assert_eq!(allowance(1000, 2), 50);
        assert_eq!(allowance(1000, 0), 100);
        assert_eq!(allowance(5, 64), 1);
        assert_eq!(allowance(0, 2), 0);
    }

    /// A source with some events in it; readable when its stream is.
    struct FakeSource {
        stream: UnixStream,
        _peer: UnixStream,
        events: VecDeque<Event>,
        granted: mpsc::UnboundedSender<Allowance>,
    }

    impl AsFd for FakeSource {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.stream.as_fd()
        }
    }

    impl EventSource for FakeSource {
        fn next(&mut self) -> Option<Event> {
            self.events.pop_front()
        }

        fn grant(&mut self, allowance: Allowance) -> Result<(), EnforcerError> {
            self.granted.send(allowance).unwrap();
            Ok(())
        }
    }

    fn source(events: usize) -> (FakeSource, mpsc::UnboundedReceiver<Allowance>) {
        let (granted, grants) = mpsc::unbounded_channel();
        let event = crate::agent::events::denied::tests::event();
        let (stream, peer) = UnixStream::pair().unwrap();
        let source = FakeSource {
            stream,
            _peer: peer,
            events: vec![event; events].into(),
            granted,
        };
        (source, grants)
    }

    #[tokio::test]
    async fn allowance_is_granted_and_events_without_a_listener_are_drained() {
        let (source, mut grants) = source(3);
        let (sources, receiver) = mpsc::unbounded_channel::<Box<dyn EventSource>>();
        assert!(sources.send(Box::new(source)).is_ok());
        let (raw, mut received) = mpsc::channel(8);
        const ALLOWANCE: Allowance = Allowance {
            events: 7,
            resets_per_second: 9,
        };
        let pump = tokio::spawn(pump(receiver, || ALLOWANCE, EventHub::default(), raw));
        assert_eq!(grants.recv().await, Some(ALLOWANCE));
        assert_eq!(grants.recv().await, Some(ALLOWANCE), "and again");
        assert!(received.try_recv().is_err());
        drop(sources);
        pump.await.unwrap();
    }

    #[tokio::test]
    async fn what_does_not_fit_is_counted() {
        let (mut source, _grants) = source(5);
        let hub = EventHub::default();
        let mut lines = hub.subscribe();
        let (raw, mut received) = mpsc::channel(2);
        drain(&mut source, &hub, &raw);
        assert!(received.try_recv().is_ok());
        assert!(received.try_recv().is_ok());
        assert!(received.try_recv().is_err());
        assert_eq!(lines.try_recv(), Ok(EventLine::Lost { count: 3 }));
    }
}
