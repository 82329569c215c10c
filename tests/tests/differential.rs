//! The loaded program and the reference agree on the verdict and the reason of random frames
//! under random rules; and nothing that Linux would answer escapes judgement.
//!
//! `NETPOLICY_SEED` sets another seed, `NETPOLICY_TEST_LONG=1` makes it twenty times as many
//! frames. What they differ in is made as simple as it can be and printed as a file for
//! `tests/corpus/frames/`, whose frames are judged first.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "seeds and figures are to be seen")]

use std::collections::BTreeMap;
use std::time::Instant;

use fastrand::Rng;
use netpolicy_common::{Action, Reason};
use netpolicy_tests::asked::Asked;
use netpolicy_tests::evasion::Stand;
use netpolicy_tests::evasion::devices::Device;
use netpolicy_tests::kept::{self, Kept};
use netpolicy_tests::packet::{HOST_MAC, HOST_V4, HOST_V6};
use netpolicy_tests::reference::linux::{Answer, Host};
use netpolicy_tests::reference::{Rules, expected, resets};
use netpolicy_tests::rules::Loaded;
use netpolicy_tests::shape::{Shape, random, shrink};
use netpolicy_user::config::HookChoice;

/// Rules of a run, and frames under each.
const ROUNDS: u64 = 400;
const FRAMES: u64 = 525;

fn seed() -> u64 {
    std::env::var("NETPOLICY_SEED").map_or(20_261_130, |text| {
        text.parse().expect("NETPOLICY_SEED is a number")
    })
}

fn is_long() -> bool {
    std::env::var_os("NETPOLICY_TEST_LONG").is_some_and(|value| value != "0")
}

/// A frame under some rules.
#[derive(Clone)]
struct Case {
    rules: Rules,
    shape: Shape,
    linear: Option<usize>,
}

impl Case {
    /// What the reference says of it and what the program does, if they differ.
    fn difference(&self, asked: &Asked) -> Option<(Reason, Result<Reason, String>)> {
        let frame = self.shape.build();
        if frame.len() < 14 {
            return None;
        }
        let linear = self.linear.map(|linear| linear.min(frame.len()));
        let expected = expected(&self.rules, self.shape.ethernet, &frame);
        let said = asked.reason(self.shape.ethernet, &frame, linear);
        (said != Ok(expected)).then_some((expected, said))
    }
}

/// The simplest frame under the simplest rules that shows the same difference.
fn simplest(asked: &mut Asked, case: &Case) -> Case {
    let (expected, said) = case.difference(asked).expect("they differ");
    let same = |case: &Case, asked: &Asked| {
        let found = case.difference(asked);
        found == Some((expected, said.clone()))
    };
    let frames = |case: &Case| {
        let linear = Case {
            linear: None,
            ..case.clone()
        };
        let shapes = shrink::frames(&case.shape).into_iter().map(|shape| Case {
            shape,
            ..case.clone()
        });
        let lines = case.linear.map(|_| linear);
        lines.into_iter().chain(shapes).collect()
    };
    let case = shrink::simplest(case, frames, |case| same(case, asked));
    let rules = |case: &Case| {
        let rules = shrink::rules(&case.rules).into_iter();
        rules
            .map(|rules| Case {
                rules,
                ..case.clone()
            })
            .collect()
    };
    let case = shrink::simplest(&case, rules, |case| {
        asked.enforce(&case.rules);
        same(case, asked)
    });
    asked.enforce(&case.rules);
    case
}

/// What was seen of the frames of a run.
#[derive(Default)]
struct Seen {
    frames: u64,
    in_buffers: u64,
    reasons: BTreeMap<Reason, u64>,
    answered: u64,
    kept: u64,
    denied: u64,
    lost: u64,
}

impl Seen {
    fn print(&self) {
        for (reason, count) in &self.reasons {
            println!("{:>24} {count}", reason.name());
        }
        println!(
            "{} frames, {} of them in several buffers. Linux would answer {} with a SYN-ACK, and \
             keeps {} as fragments. Of the answered, denied: {}, let through: 0, lost to the \
             strictest scope: {}",
            self.frames, self.in_buffers, self.answered, self.kept, self.denied, self.lost
        );
    }
}

/// A host that listens on every port.
fn host() -> Host {
    let addresses = [HOST_V4, HOST_V6];
    Host {
        mac: HOST_MAC,
        addresses: addresses.map(|a| a.parse().expect("an address")).into(),
        listening: (0..=u16::MAX).collect(),
    }
}

/// Judges what is kept.
fn replay(asked: &mut Asked) {
    let mut wrong = Vec::new();
    for (name, kept) in kept::all() {
        let (frame, reason) = (kept.bytes(), kept.reason());
        let of_reference = expected(&kept.rules, kept.ethernet, &frame);
        if of_reference != reason {
            wrong.push(format!("{name}: the reference says {of_reference:?}"));
        }
        if kept.linear.is_some() && !asked.takes_linear() {
            println!("{name}: this kernel cannot be told what is in the first buffer");
            continue;
        }
        asked.enforce(&kept.rules);
        let said = asked.reason(kept.ethernet, &frame, kept.linear);
        if said != Ok(reason) {
            wrong.push(format!("{name}: the program says {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn program_and_reference_agree_on_kept_and_random_frames() {
    let mut asked = Asked::new();
    replay(&mut asked);
    let seed = seed();
    let rounds = if is_long() { 20 * ROUNDS } else { ROUNDS };
    println!("NETPOLICY_SEED={seed}, {rounds} rounds");
    let (host, takes_linear) = (host(), asked.takes_linear());
    if !takes_linear {
        println!("this kernel cannot be told what is in the first buffer: as much as fits");
    }
    let (start, mut seen) = (Instant::now(), Seen::default());
    // Each kind of difference once, as simple as it can be.
    let mut differences: BTreeMap<String, String> = BTreeMap::new();
    for round in 0..rounds {
        let mut rng = Rng::with_seed(seed.wrapping_add(round.wrapping_mul(0x9e37_79b9)));
        let rules = random::rules(&mut rng);
        asked.enforce(&rules);
        for _ in 0..FRAMES {
            // Of every six frames one is of a device without Ethernet headers.
            let ethernet = rng.u32(..6) != 0;
            let shape = random::frame(&mut rng, &rules, ethernet);
            let frame = shape.build();
            if frame.len() < 14 {
                continue;
            }
            let linear = random::linear(&mut rng, frame.len()).filter(|_| takes_linear);
            let case = Case {
                rules: rules.clone(),
                shape,
                linear,
            };
            let expected = expected(&rules, ethernet, &frame);
            seen.note(&host, &case, &frame, expected);
            let Some((expected, said)) = case.difference(&asked) else {
                continue;
            };
            let kind = format!("expected {expected:?}, the program says {said:?}");
            if differences.contains_key(&kind) || differences.len() >= 12 {
                continue;
            }
            let simple = simplest(&mut asked, &case);
            let kept = Kept::new(
                &simple.rules,
                simple.shape.ethernet,
                &simple.shape.build(),
                simple.linear,
                expected,
            );
            let text = format!("round {round}, {:?}\n{}", simple.shape, kept.text());
            differences.insert(kind, text);
            asked.enforce(&rules);
        }
    }
    seen.print();
    println!("{:.1} s", start.elapsed().as_secs_f64());
    let texts: Vec<String> = differences
        .iter()
        .map(|(kind, text)| format!("{kind}\n{text}"))
        .collect();
    assert!(
        texts.is_empty(),
        "NETPOLICY_SEED={seed}\n{}",
        texts.join("\n\n")
    );
}

/// What the program counts, by reasons.
fn counts(loaded: &mut Loaded) -> BTreeMap<Reason, u64> {
    let mut counts = BTreeMap::new();
    for (_, reason, packets) in loaded.datapath().counters().rows {
        *counts.entry(reason).or_default() += packets;
    }
    counts
}

/// Attempts so far that asked for a reset, whether they got one or not.
fn resets_asked(loaded: &mut Loaded) -> u64 {
    let stats = loaded.datapath().counters().resets;
    stats.sent + stats.limited + stats.withheld
}

#[test]
fn frames_that_no_test_run_accepts_get_the_same_verdict_at_a_tun() {
    // A test run takes none of less than 14 bytes. Packets that read as two are large.
    const MTU: usize = 32_000;
    let stand = Stand::new(Device::Tun, MTU).expect("a tun device");
    let mut loaded = Loaded::new(&netpolicy_tests::rules::ruleset(&[]));
    let attached = stand.filter(&mut loaded, HookChoice::Generic);
    attached.expect("attach to the tun");
    loaded.datapath().limit_resets(u64::MAX);
    let seed = seed();
    let (mut frames, mut short, mut wrong) = (0, 0, Vec::new());
    let mut all_asked = 0;
    println!("NETPOLICY_SEED={seed}");
    for round in 0..if is_long() { 200 } else { 20 } {
        let mut rng = Rng::with_seed(seed.wrapping_add(round));
        let mut rules = random::rules(&mut rng);
        if round % 2 == 0 {
            // Few random rules answer what is denied.
            rules.host_resets = true;
            rules.services.iter_mut().for_each(|s| s.resets = true);
        }
        stand.enforce(&mut loaded, &rules);
        let mut before = counts(&mut loaded);
        for _ in 0..60 {
            let mut shape = random::frame(&mut rng, &rules, false);
            if rng.u32(..4) == 0 {
                shape.cut = Some(rng.usize(1..40));
            }
            let frame = shape.build();
            // It takes what looks like IPv4 or IPv6 alone.
            if frame.is_empty() || frame.len() > MTU || !stand.send(&frame) {
                continue;
            }
            frames += 1;
            short += u64::from(frame.len() < 14);
            let expected = expected(&rules, false, &frame);
            let after = counts(&mut loaded);
            let asked = resets_asked(&mut loaded);
            let should_ask = resets(&rules, false, &frame);
            if (asked - all_asked == 1) != should_ask && wrong.len() < 10 {
                wrong.push(format!(
                    "asks for a reset: {should_ask}, counted {} of them: {shape:?}",
                    asked - all_asked
                ));
            }
            all_asked = asked;
            let mut due = before.clone();
            *due.entry(expected).or_default() += 1;
            if after != due && wrong.len() < 10 {
                wrong.push(format!(
                    "expected one {expected:?} more than {before:?}, counted {after:?}: {shape:?}"
                ));
            }
            before = after;
        }
    }
    stand.unfilter(&mut loaded);
    println!(
        "{frames} frames, {short} of them of less than 14 bytes, {all_asked} resets asked for"
    );
    assert!(frames > 500 && short > 50, "{frames}, {short}");
    assert!(all_asked > 20, "{all_asked}");
    assert!(
        wrong.is_empty(),
        "NETPOLICY_SEED={seed}\n{}",
        wrong.join("\n")
    );
}

impl Seen {
    /// Counts a frame, and holds the reference to what Linux would do.
    fn note(&mut self, host: &Host, case: &Case, frame: &[u8], expected: Reason) {
        self.frames += 1;
        *self.reasons.entry(expected).or_default() += 1;
        self.in_buffers += u64::from(case.linear.is_some_and(|l| l < frame.len()));
        match host.answer(case.shape.ethernet, frame) {
            Answer::SynAck { source, port } => {
                self.answered += 1;
                let due = case.rules.judge(source, port).action();
                let done = expected.action();
                self.denied += u64::from(due == Action::Drop);
                self.lost += u64::from(due == Action::Pass && done == Action::Drop);
                assert!(
                    due == Action::Pass || done == Action::Drop,
                    "Linux would answer {source} on port {port}, which the rules deny, and the \
                     reference says {expected:?}: {:?}",
                    case.shape
                );
            }
            Answer::Kept => self.kept += 1,
            Answer::None(_) | Answer::Depends(_) => {}
        }
    }
}
