//! Watching verdicts while policies change: every packet of a flood, and the loaded
//! program asked over and over.
//!
//! Both observers compare what they see with a [`History`]. The flood sees what
//! became of each of millions of packets, in their order. Who asks
//! (`BPF_PROG_TEST_RUN`) sees far fewer verdicts, but each with its reason, and knows
//! within microseconds when it was given. In the end what was seen is compared with what
//! the program counts, and what the kernel counts as received and lost.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use netpolicy_common::{Action, Event, Reason};
use netpolicy_user::datapath::{Reader, packet};

use crate::flood::{Burst, Clock, Flood, Sender, leave_sending_cpu};
use crate::history::{History, Seen, Violation, Walk, Window};
use crate::shifting::Probe;

/// How often to try again when frames get lost.
const TRIES: usize = 100;

/// How long all counts stay as they are when nothing is on its way any more, and how long
/// to wait for that.
const QUIET: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(20);

/// What is watched.
pub struct Watch<'w> {
    probes: &'w [Probe],
    history: &'w History,
    stop: AtomicBool,
    wrong: Mutex<Vec<String>>,
}

/// What was seen, when nothing was wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Packets that were sent, including those of no probe.
    pub sent: u64,
    /// Of these, those that got through.
    pub through: u64,
    /// Of these, probes.
    pub probes_through: u64,
    /// Packets that may still have been on their way when it was noted what got through:
    /// the last ones of lossy bursts.
    pub open: u64,
    /// Bursts that they were sent in.
    pub bursts: usize,
    /// Bursts of which some were lost before or behind the program.
    pub lossy: usize,
    /// How often it could be told from a packet that a later step was in force.
    pub moves: usize,
    /// Packets that were asked about.
    pub asked: u64,
    /// How often it could be told from an answer.
    pub moves_asked: usize,
}

impl<'w> Watch<'w> {
    /// Of these probes, whose verdicts a history tells.
    #[must_use]
    pub fn new(probes: &'w [Probe], history: &'w History) -> Self {
        Self {
            probes,
            history,
            stop: AtomicBool::new(false),
            wrong: Mutex::default(),
        }
    }

    /// Whether it is pointless to go on: a verdict was wrong.
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Runs `change` under the flood, whose frames are the probes, while the loaded
    /// program is asked as well. Nothing else sends TCP to it.
    ///
    /// # Panics
    /// When a verdict is none of the history, when what was seen is not what is counted,
    /// or too little was seen.
    pub fn while_changing(
        &self,
        flood: &mut Flood<'_>,
        reader: &Reader,
        change: impl FnOnce(&mut Changes<'_>) + Send,
    ) -> Watched {
        let mut changes = Changes {
            history: self.history,
            clock: flood.take_clock(),
        };
        let before = Counts::when_quiet(flood, reader);
        // The first thread that fails ends the others.
        let stop = || StopOnDrop(&self.stop);
        let (changed, flooded, asked) = std::thread::scope(|scope| {
            let changing = scope.spawn(move || {
                let _stop = stop();
                leave_sending_cpu();
                change(&mut changes);
            });
            let flooded = scope.spawn(|| {
                let _stop = stop();
                flood.run(|sender| self.flood(sender))
            });
            let asked = scope.spawn(|| {
                let _stop = stop();
                self.ask(reader)
            });
            let changed = changing.join();
            let flooded = flooded.join().expect("the flood");
            (changed, flooded, asked.join().expect("the asking"))
        });
        let wrong = self.wrong.lock().expect("not poisoned").join("\n");
        if let Err(panic) = changed {
            eprintln!("{wrong}");
            std::panic::resume_unwind(panic);
        }
        assert!(wrong.is_empty(), "\n{wrong}");
        let watched = Watched {
            asked: asked.asked,
            moves_asked: asked.moves_asked,
            ..flooded
        };
        watched.account(&before, &Counts::when_quiet(flood, reader));
        watched
    }

    /// Sends until told to stop, and once more: that must be by the last step.
    fn flood(&self, sender: &mut Sender) -> Watched {
        let mut walk = self.history.walk();
        let mut watched = Watched::default();
        while !self.is_over() {
            let (burst, window) = self.history.during(|| sender.burst());
            self.see_burst(&mut walk, &burst, window, &mut watched);
        }
        let mut is_whole = || {
            let (burst, window) = self.history.during(|| sender.burst());
            self.see_burst(&mut walk, &burst, window, &mut watched);
            burst.is_whole()
        };
        if !(0..TRIES).any(|_| is_whole()) {
            self.fail(format!("none of {TRIES} last bursts was whole"));
        }
        watched.moves = walk.moves();
        watched
    }

    fn see_burst(&self, walk: &mut Walk<'_>, burst: &Burst, window: Window, watched: &mut Watched) {
        watched.bursts += 1;
        watched.lossy += usize::from(!burst.is_whole());
        watched.sent += burst.sent;
        watched.through += burst.through;
        watched.open += burst.open;
        let mut certainly_lost = 0;
        for block in &burst.blocks {
            let window = Window {
                earliest: block
                    .before
                    .map_or(window.earliest, |before| before.earliest),
                latest: block.after.map_or(window.latest, |after| after.latest),
            };
            let frames = block.frames.iter();
            let through = frames.clone().filter(|(_, is_through)| *is_through);
            watched.probes_through += through.count() as u64;
            if !burst.is_whole() {
                let missing = frames.clone().filter(|(_, is_through)| !is_through);
                let lost = missing.filter(|(probe, _)| !self.may_drop(window, *probe));
                certainly_lost += lost.count() as u64;
            }
            let seen = frames.filter_map(|(probe, is_through)| {
                let action = match is_through {
                    true => Action::Pass,
                    false if burst.is_whole() => Action::Drop,
                    // It may have been lost.
                    false => return None,
                };
                Some((*probe, Seen::Action(action)))
            });
            let fits = walk.see(window, seen);
            self.expect("a packet of the flood", fits);
        }
        if certainly_lost > burst.lost {
            self.fail(format!(
                "{certainly_lost} packets that no step denies did not get through, of which \
                 only {} were lost",
                burst.lost
            ));
        }
    }

    /// Whether any step that may have been in force drops a probe.
    fn may_drop(&self, window: Window, probe: usize) -> bool {
        let mut steps = window.earliest..=window.latest;
        steps.any(|step| {
            let reason = self.history.reason(step, probe);
            reason.is_some_and(|reason| reason.action() == Action::Drop)
        })
    }

    /// Asks until told to stop, and once more.
    fn ask(&self, reader: &Reader) -> Watched {
        let frames: Vec<_> = self
            .probes
            .iter()
            .map(|probe| packet::syn(probe.source, probe.port))
            .collect();
        leave_sending_cpu();
        // The thread that changes policies takes precedence.
        // SAFETY: takes a number, and on Linux concerns this thread alone.
        unsafe { libc::nice(5) };
        let mut walk = self.history.walk();
        let mut is_over = false;
        while !is_over {
            is_over = self.is_over();
            for (probe, frame) in frames.iter().enumerate() {
                let (answer, window) = self.history.during(|| reader.probe(frame));
                let (_, reason) = answer.expect("ask the program");
                let fits = walk.see(window, [(probe, Seen::Reason(reason))]);
                self.expect("the program, when asked", fits);
            }
        }
        Watched {
            asked: walk.seen(),
            moves_asked: walk.moves(),
            ..Watched::default()
        }
    }

    /// Compares an event, which names its generation, with that generation's step.
    pub fn see_event(&self, event: &Event, step: usize) {
        let is_its = |probe: &&Probe| {
            let source = match probe.source {
                IpAddr::V4(source) => event.source[..4] == source.octets(),
                IpAddr::V6(source) => event.source == source.octets(),
            };
            source && event.destination_port == probe.port
        };
        let probe = self.probes.iter().position(|probe| is_its(&probe));
        let reason = probe.and_then(|probe| self.history.reason(step, probe));
        if reason.is_none_or(|reason| reason as u8 != event.reason) {
            self.fail(format!(
                "step {step} gives {reason:?}, but an event says {event:?}"
            ));
        }
    }

    fn expect(&self, who: &str, fits: Result<(), Violation>) {
        if let Err(violation) = fits {
            let probe = self.probes[violation.probe];
            self.fail(format!("{who}: {violation}; {probe:?}"));
        }
    }

    fn fail(&self, what: String) {
        self.stop.store(true, Ordering::Relaxed);
        let mut wrong = self.wrong.lock().expect("not poisoned");
        if wrong.len() < 10 {
            wrong.push(what);
        }
    }
}

impl Watched {
    /// Compares what was seen with what was counted: each packet that came had one
    /// verdict, and each that did not get through was dropped by it or lost.
    fn account(&self, before: &Counts, after: &Counts) {
        let judged = |is: &dyn Fn(Reason) -> bool| after.judged(is) - before.judged(is);
        let received = after.received - before.received;
        assert_eq!(received, judged(&|_| true), "received and judged, {self:?}");

        let lost = after.lost - before.lost;
        // Without losses these are numbers and not ranges.
        let lost_or_open = lost + self.open;
        let dropped = judged(&|reason| reason.action() == Action::Drop);
        let missing = self.sent - self.through;
        assert!(
            (dropped + lost..=dropped + lost_or_open).contains(&missing),
            "{missing} did not get through, {dropped} were dropped and {lost} lost: {self:?}"
        );
        let is_passed_probe =
            |reason: Reason| reason.action() == Action::Pass && reason != Reason::NotTcp;
        let passed = judged(&is_passed_probe);
        let through = self.probes_through;
        assert!(
            (through..=through + lost_or_open).contains(&passed),
            "{passed} probes passed, {through} got through and {lost} packets were lost: {self:?}"
        );
        // Of a lossy burst it is only known how many are missing, and not which of them by a
        // verdict. Very few are: the queue holds several batches.
        assert!(self.lossy * 4 <= self.bursts, "{self:?}");
    }
}

/// The counts of all packets, of all senders.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counts {
    /// By the interface: packets that the program has seen, and those lost around it.
    received: u64,
    lost: u64,
    /// By the program: packets by reason.
    judged: Vec<(Reason, u64)>,
}

impl Counts {
    /// Once nothing changes any more.
    fn when_quiet(flood: &Flood<'_>, reader: &Reader) -> Self {
        let now = || {
            let (received, lost) = flood.received();
            let rows = reader.counters().rows.into_iter();
            Self {
                received,
                lost,
                judged: rows.map(|(_, reason, packets)| (reason, packets)).collect(),
            }
        };
        let deadline = Instant::now() + PATIENCE;
        let mut last = now();
        loop {
            std::thread::sleep(QUIET);
            let new = now();
            if new == last {
                return new;
            }
            assert!(Instant::now() < deadline, "packets come all the time");
            last = new;
        }
    }

    fn judged(&self, is: &dyn Fn(Reason) -> bool) -> u64 {
        let rows = self.judged.iter().filter(|(reason, _)| is(*reason));
        rows.map(|(_, packets)| packets).sum()
    }
}

/// How who changes policies says so.
pub struct Changes<'w> {
    history: &'w History,
    clock: Clock,
}

impl Changes<'_> {
    /// From now on the next step may be in force, which gives the probes these reasons.
    pub fn begin(&mut self, reasons: Vec<Reason>) {
        self.history.begin(reasons);
        self.clock.set(self.history.now());
    }

    /// From now on nothing before that step is in force.
    pub fn finish(&mut self) {
        self.history.finish();
        self.clock.set(self.history.now());
    }
}

/// Lets the others end.
struct StopOnDrop<'s>(&'s AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
