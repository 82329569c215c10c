//! Attempts in every shape that Linux answers, against a listening server behind every kind of
//! device that this kernel can make: none of a denied source gets a SYN-ACK or is accepted, and
//! all of an allowed source that are accepted without a filter are accepted with one.
//!
//! Each SYN-ACK is acknowledged in the shape of its attempt, and the server says whose
//! connections its `accept` returned. Without a SYN-ACK there is no `accept`: it precedes every
//! connection of a listening socket, also by a SYN cookie, which it carries, and by TCP Fast
//! Open. So the SYN-ACK is the stricter measure of what was let through.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the tables are to be seen")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Instant;

use netpolicy_tests::evasion::attempt::Attempt;
use netpolicy_tests::evasion::attempts;
use netpolicy_tests::evasion::devices::{Device, addresses};
use netpolicy_tests::evasion::{Outcome, PORT, Sender, Sent, Stand, policies};
use netpolicy_tests::packet::HOST_MAC;
use netpolicy_tests::reference::linux::{Answer, Host};
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_user::config::HookChoice;

/// Numbers of a row.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    /// Attempts of the denied source that are answered without a filter.
    tried: usize,
    /// Of these, answered or accepted.
    through: usize,
    /// Attempts of the allowed source that were accepted.
    accepted: usize,
    /// Attempts of the allowed source that are answered without a filter and not with it, or
    /// accepted without and not with it.
    lost: usize,
}

impl Row {
    fn add(&mut self, other: Self) {
        self.tried += other.tried;
        self.through += other.through;
        self.accepted += other.accepted;
        self.lost += other.lost;
    }
}

#[derive(Default)]
struct Results {
    /// By device, by family.
    rows: BTreeMap<(String, &'static str), Row>,
    wrong: Vec<String>,
    skipped: BTreeSet<String>,
}

impl Results {
    fn print(&self) {
        let table = |title: &str, of: &dyn Fn(&(String, &'static str)) -> String| {
            let mut sums: BTreeMap<String, Row> = BTreeMap::new();
            for (key, row) in &self.rows {
                sums.entry(of(key)).or_default().add(*row);
            }
            let mut text = format!(
                "{title:<34} {:>7} {:>12} {:>9} {:>6}\n",
                "tried", "let through", "accepted", "lost"
            );
            for (name, row) in sums {
                let Row {
                    tried,
                    through,
                    accepted,
                    lost,
                } = row;
                let _ = writeln!(
                    text,
                    "{name:<34} {tried:>7} {through:>12} {accepted:>9} {lost:>6}"
                );
            }
            println!("{text}");
        };
        table("device, hook, MTU", &|(device, _)| device.clone());
        table("family", &|(_, family)| (*family).to_owned());
        for line in &self.skipped {
            println!("skipped: {line}");
        }
    }

    fn check(&self, least: usize) {
        let tried: usize = self.rows.values().map(|row| row.tried).sum();
        assert!(tried >= least, "only {tried} attempts were made");
        let shown: Vec<&str> = self.wrong.iter().take(100).map(String::as_str).collect();
        assert!(
            shown.is_empty(),
            "{} wrong, of which the first are:\n{}",
            self.wrong.len(),
            shown.join("\n")
        );
    }
}

/// What the server does without a filter.
struct Baseline {
    /// The attempts that it answers.
    answered: Vec<usize>,
    /// Those whose connections it accepts.
    accepted: BTreeSet<usize>,
}

/// What the server does without a filter, sent again where it may have been lost.
fn baseline(stand: &Stand, all: &[Attempt], host: &Host) -> Result<Baseline, String> {
    let (mut answered, mut accepted) = (Vec::new(), BTreeSet::new());
    let mut open: Vec<usize> = (0..all.len()).collect();
    for round in 0..2 {
        let sent: Vec<Sent> = open
            .iter()
            .filter_map(|number| stand.sent(&all[*number], *number, Sender::Allowed, round))
            .collect();
        let these = stand.exchange(&sent, round)?;
        accepted.extend(these.accepted.iter().map(|(_, number)| *number));
        open = Vec::new();
        for sent in sent {
            let number = sent.id.1;
            if these.answered.contains(&sent.id) {
                answered.push(number);
                continue;
            }
            // The model says whether an answer was due.
            if sent.frames.len() == 1 {
                let ethernet = stand.device.has_ethernet();
                let model = host.answer(ethernet, &sent.frames[0]);
                if !matches!(model, Answer::None(_)) {
                    open.push(number);
                }
            } else {
                open.push(number);
            }
        }
    }
    answered.sort_unstable();
    Ok(Baseline { answered, accepted })
}

/// Under each kind of policy, both senders.
fn filtered(
    stand: &Stand,
    all: &[Attempt],
    baseline: &Baseline,
    mode: HookChoice,
    name: &str,
    loaded: &mut Loaded,
    results: &Mutex<Results>,
) -> Result<(), String> {
    stand.filter(loaded, mode)?;
    for (kind, (policy, rules)) in policies().into_iter().enumerate() {
        stand.enforce(loaded, &rules);
        let mut lost: Vec<usize> = baseline.answered.clone();
        let mut senders = vec![Sender::Denied, Sender::Allowed];
        for turn in 0..3u8 {
            // Another for each hook, since half-open connections last a second.
            let hook = match mode {
                HookChoice::Native => 10,
                HookChoice::Tcx => 70,
                _ => 130,
            };
            let round = hook + 8 * u8::try_from(kind).unwrap_or(0) + turn;
            let sent: Vec<Sent> = lost
                .iter()
                .flat_map(|number| senders.iter().map(move |sender| (*number, *sender)))
                .filter_map(|(number, sender)| stand.sent(&all[number], number, sender, round))
                .collect();
            let Outcome { answered, accepted } = stand.exchange(&sent, round)?;
            let mut results = results.lock().expect("not poisoned");
            for number in &baseline.answered {
                let attempt = &all[*number];
                let key = (name.to_owned(), attempt.family);
                let row = results.rows.entry(key).or_default();
                row.tried += usize::from(turn == 0);
                row.accepted += usize::from(accepted.contains(&(Sender::Allowed, *number)));
                let denied = (Sender::Denied, *number);
                if answered.contains(&denied) || accepted.contains(&denied) {
                    row.through += 1;
                    let line = format!("{name}, {policy}: let through: {}", attempt.name);
                    results.wrong.push(line);
                }
            }
            lost.retain(|number| {
                let done = if baseline.accepted.contains(number) {
                    &accepted
                } else {
                    &answered
                };
                !done.contains(&(Sender::Allowed, *number))
            });
            // What a busy machine lost is sent again.
            senders = vec![Sender::Allowed];
            if lost.is_empty() {
                break;
            }
        }
        let mut results = results.lock().expect("not poisoned");
        for number in lost {
            let attempt = &all[number];
            let key = (name.to_owned(), attempt.family);
            results.rows.entry(key).or_default().lost += 1;
            let line = format!("{name}, {policy}: lost: {}", attempt.name);
            results.wrong.push(line);
        }
    }
    Ok(())
}

const MODES: [(&str, HookChoice); 3] = [
    ("native", HookChoice::Native),
    ("tcx", HookChoice::Tcx),
    ("generic", HookChoice::Generic),
];

/// Devices at which the generic hook is tried too, which only a configuration chooses: one with
/// Ethernet headers and one without.
fn has_generic(device: Device) -> bool {
    matches!(device, Device::Veth | Device::Tun)
}

/// Random frames have a seed: `NETPOLICY_SEED`, or this.
fn seed() -> u64 {
    std::env::var("NETPOLICY_SEED").map_or(20_261_130, |text| {
        text.parse().expect("NETPOLICY_SEED is a number")
    })
}

/// `NETPOLICY_DEVICES=tun,ppp` tries these alone, where a machine is slow.
fn is_wanted(device: Device) -> bool {
    let wanted = std::env::var("NETPOLICY_DEVICES");
    wanted.map_or(true, |names| {
        names
            .split(',')
            .any(|name| name.eq_ignore_ascii_case(device.name()))
    })
}

fn by(
    device: Device,
    mtu: usize,
    modes: &[(&str, HookChoice)],
    all: &[Attempt],
    loaded: &mut Loaded,
    results: &Mutex<Results>,
) {
    let host = Host {
        mac: HOST_MAC,
        addresses: addresses(),
        listening: vec![PORT],
    };
    let skip = |name: &str, why: String| {
        let mut results = results.lock().expect("not poisoned");
        results.skipped.insert(format!("{name}: {why}"));
    };
    let stand = match Stand::new(device, mtu) {
        Ok(stand) => stand,
        Err(why) => return skip(device.name(), why),
    };
    let baseline = match baseline(&stand, all, &host) {
        Ok(baseline) => baseline,
        Err(why) => {
            let mut results = results.lock().expect("not poisoned");
            results
                .wrong
                .push(format!("{}, no filter: {why}", device.name()));
            return;
        }
    };
    // A bridge looks into packets itself, for multicast groups, and drops some that Linux takes;
    // so does WireGuard, which cuts a jumbogram to the length that its header says.
    if !matches!(
        device,
        Device::Bridge | Device::BridgePort | Device::Wireguard
    ) {
        compare(&stand, all, &baseline, &host, results);
    }
    for (hook, mode) in modes.iter().copied() {
        let name = format!("{}, {hook}, {mtu}", device.name());
        let done = filtered(&stand, all, &baseline, mode, &name, loaded, results);
        stand.unfilter(loaded);
        if let Err(why) = done {
            skip(&name, why);
        }
    }
}

/// Holds the model of Linux to what it did, and each answer to be followed by a connection.
fn compare(
    stand: &Stand,
    all: &[Attempt],
    baseline: &Baseline,
    host: &Host,
    results: &Mutex<Results>,
) {
    for number in &baseline.answered {
        // `accept` cannot tell of a peer at port 0: see `Listener`.
        let is_told = all[*number].source_port(1) != 0;
        if is_told && !baseline.accepted.contains(number) {
            let line = format!(
                "{}, no filter: {}: answered and not accepted",
                stand.device.name(),
                all[*number].name
            );
            results.lock().expect("not poisoned").wrong.push(line);
        }
    }
    for (number, attempt) in all.iter().enumerate() {
        let Some(sent) = stand.sent(attempt, number, Sender::Allowed, 0) else {
            continue;
        };
        let [frame] = sent.frames.as_slice() else {
            continue;
        };
        let model = host.answer(stand.device.has_ethernet(), frame);
        if let Answer::Depends(_) = model {
            continue;
        }
        let says = matches!(model, Answer::SynAck { .. });
        if says != baseline.answered.contains(&number) {
            let line = format!(
                "{}, no filter: {}: the model of Linux says {model:?}, Linux does not",
                stand.device.name(),
                attempt.name
            );
            results.lock().expect("not poisoned").wrong.push(line);
        }
    }
}

#[test]
fn no_denied_attempt_is_answered_and_no_allowed_one_is_lost() {
    let start = Instant::now();
    let mut all = attempts::all();
    all.extend(attempts::random(seed(), 100));
    println!(
        "NETPOLICY_SEED={}: {} attempts, under {} kinds of policy",
        seed(),
        all.len(),
        policies().len()
    );
    let devices = Device::ALL.into_iter().filter(|device| is_wanted(*device));
    let devices: Vec<Device> = devices.collect();
    let stands: Vec<(Device, usize)> = devices
        .iter()
        .flat_map(|device| [1500, 9000].map(|mtu| (*device, mtu)))
        .collect();
    let (results, next) = (
        Mutex::new(Results::default()),
        Mutex::new(stands.into_iter()),
    );
    // Most of it is waiting, so some at once.
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut loaded = Loaded::new(&rules::ruleset(&[]));
                loop {
                    let Some((device, mtu)) = next.lock().expect("not poisoned").next() else {
                        return;
                    };
                    let modes = &MODES[..if has_generic(device) { 3 } else { 2 }];
                    by(device, mtu, modes, &all, &mut loaded, &results);
                }
            });
        }
    });
    let results = results.into_inner().expect("not poisoned");
    results.print();
    println!("{:.1} s", start.elapsed().as_secs_f64());
    let is_part = devices.len() < Device::ALL.len();
    results.check(if is_part { 100 } else { 10_000 });
}

#[test]
fn random_frames_are_answered_as_the_model_of_linux_and_the_policies_say() {
    let all = attempts::random(seed(), 6000);
    let mut loaded = Loaded::new(&rules::ruleset(&[]));
    let results = Mutex::new(Results::default());
    println!("NETPOLICY_SEED={}: {} frames", seed(), all.len());
    by(Device::Veth, 9000, &MODES[..2], &all, &mut loaded, &results);
    let results = results.into_inner().expect("not poisoned");
    results.print();
    results.check(2000);
}
