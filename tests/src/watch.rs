//! Watching verdicts while policies change: every packet of a flood, and the loaded
//! program asked over and over.
//!
//! Both observers compare what they see with a [`History`]. The flood sees what
//! became of each of millions of packets, in their order. Who asks
//! (`BPF_PROG_TEST_RUN`) sees far fewer verdicts, but each with its reason, and knows
//! within microseconds when it was given.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use netpolicy_common::{Action, Event, Reason};
use netpolicy_user::datapath::{Reader, packet};

use crate::flood::{Burst, Clock, Flood, Sender, leave_sending_cpu};
use crate::history::{History, Seen, Violation, Walk, Window};
use crate::shifting::Probe;

/// How often to try again when frames get lost.
const TRIES: usize = 100;

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
    /// Packets that were sent.
    pub sent: u64,
    /// Of these, those that got through.
    pub through: u64,
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
    /// program is asked as well.
    ///
    /// # Panics
    /// When a verdict is none of the history.
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
        let (flooded, asked) = std::thread::scope(|scope| {
            let changing = scope.spawn(move || {
                let _stop = StopOnDrop(&self.stop);
                leave_sending_cpu();
                change(&mut changes);
            });
            let flooded = scope.spawn(|| flood.run(|sender| self.flood(sender)));
            let asked = scope.spawn(|| self.ask(reader));
            if let Err(panic) = changing.join() {
                std::panic::resume_unwind(panic);
            }
            let flooded = flooded.join().expect("the flood");
            (flooded, asked.join().expect("the asking"))
        });
        let wrong = self.wrong.lock().expect("not poisoned");
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
        Watched {
            asked: asked.asked,
            moves_asked: asked.moves_asked,
            ..flooded
        }
    }

    /// Sends until told to stop, and once more: that must be by the last step.
    fn flood(&self, sender: &mut Sender) -> Watched {
        let mut walk = self.history.walk();
        let mut watched = Watched::default();
        while !self.is_over() {
            let (burst, window) = self.history.during(|| sender.burst());
            self.see_burst(&mut walk, &burst, window, &mut watched);
        }
        for _ in 0..TRIES {
            let (burst, window) = self.history.during(|| sender.burst());
            self.see_burst(&mut walk, &burst, window, &mut watched);
            if burst.is_whole {
                break;
            }
        }
        watched.moves = walk.moves();
        watched
    }

    fn see_burst(&self, walk: &mut Walk<'_>, burst: &Burst, window: Window, watched: &mut Watched) {
        watched.bursts += 1;
        watched.lossy += usize::from(!burst.is_whole);
        for block in &burst.blocks {
            let window = Window {
                earliest: block
                    .before
                    .map_or(window.earliest, |before| before.earliest),
                latest: block.after.map_or(window.latest, |after| after.latest),
            };
            let through = block.frames.iter().filter(|(_, is_through)| *is_through);
            watched.sent += block.frames.len() as u64;
            watched.through += through.count() as u64;
            let seen = block.frames.iter().filter_map(|(probe, is_through)| {
                let action = match is_through {
                    true => Action::Pass,
                    false if burst.is_whole => Action::Drop,
                    // It may have been lost.
                    false => return None,
                };
                Some((*probe, Seen::Action(action)))
            });
            let fits = walk.see(window, seen);
            self.expect("a packet of the flood", fits);
        }
    }

    /// Asks until told to stop, and once more.
    fn ask(&self, reader: &Reader) -> Watched {
        let frames: Vec<_> = self
            .probes
            .iter()
            .map(|probe| packet::syn(probe.source, probe.port))
            .collect();
        leave_sending_cpu();
        // Whoever changes policies comes first.
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

/// Lets the observers end when the changing fails.
struct StopOnDrop<'s>(&'s AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
