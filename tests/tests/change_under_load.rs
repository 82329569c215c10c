//! Policies are replaced, grown and shrunk under a flood, and every verdict is that of
//! one generation: the old or the new, never neither, and never the old one again.
//!
//! `NETPOLICY_LONG=1` does twenty times as much.

use std::sync::Arc;
use std::time::Duration;

use netpolicy_common::{Action, Reason};
use netpolicy_tests::DatabaseHost;
use netpolicy_tests::background::Background;
use netpolicy_tests::flood::{Flood, Port};
use netpolicy_tests::history::History;
use netpolicy_tests::host::NIC;
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_tests::shifting::{self, Probe};
use netpolicy_tests::stalls::Stalls;
use netpolicy_tests::watch::Watch;
use netpolicy_user::compiler::compile;
use netpolicy_user::model::change::Change;
use netpolicy_user::model::file::export;
use netpolicy_user::model::{ListEdit, State};

/// How lists grow and shrink: entries around the probes, and for how many steps. The
/// same number with another content is another list.
const COURSE: [(usize, usize); 7] = [
    (0, 10),
    (10, 10),
    (300, 10),
    (4_000, 10),
    (10, 10),
    (300, 10),
    (4_000, 10),
];

/// The same, once in three laps.
const GREAT_COURSE: [(usize, usize); 3] = [(30_000, 4), (200_000, 4), (10, 2)];

/// Steps that follow one another without a pause.
const GROUP: usize = 3;

/// Events that the program may report at each change, on each CPU.
const EVENTS: u64 = 300;

/// One packet in so many (a prime number, so that it is every probe's turn) is held up
/// in its program's middle, for so long: longer than many changes take.
const ONE_IN: u64 = 199;
const STALL: Duration = Duration::from_millis(3);

fn times(usually: usize) -> usize {
    let is_long = std::env::var_os("NETPOLICY_LONG").is_some();
    usually * if is_long { 20 } else { 1 }
}

/// What is around the probes in each step.
fn backgrounds() -> Vec<Arc<Background>> {
    let new = |(seed, (entries, steps))| (Arc::new(Background::new(entries, seed)), steps);
    let course: Vec<_> = (0..).zip(COURSE).map(new).collect();
    let great: Vec<_> = (100..).zip(GREAT_COURSE).map(new).collect();
    let laps = (0..times(3)).flat_map(|lap| match lap % 3 {
        1 => [&course[..], &great].concat(),
        _ => course.clone(),
    });
    laps.flat_map(|(background, steps)| std::iter::repeat_n(background, steps))
        .collect()
}

fn flood<'a>(host: &'a DatabaseHost, probes: &[Probe]) -> Flood<'a> {
    let [from, to] = [host.clients(), host.db()].map(|ns| Port { ns, interface: NIC });
    Flood::new(from, to, probes)
}

#[test]
fn every_packet_is_judged_by_one_generation() {
    let probes = shifting::probes();
    let backgrounds = backgrounds();
    let first = Arc::new(backgrounds[0].ruleset(0));
    let history = History::new(shifting::reasons(&probes, 0, &first));

    let host = DatabaseHost::without_agent();
    let mut loaded = Loaded::new(&first);
    host.db().run(|| loaded.datapath().attach(NIC).unwrap());
    let origin = loaded.datapath().enforced().unwrap().generation;
    let mut events = loaded.datapath().take_events().unwrap();
    let reader = loaded.reader();
    let mut flood = flood(&host, &probes);

    let watch = Watch::new(&probes, &history);
    let mut reported = 0;
    let watched = watch.while_changing(&mut flood, &reader, |changes| {
        let mut generation = origin;
        let mut stalls = None;
        let steps: Vec<_> = backgrounds.iter().enumerate().skip(1).collect();
        for group in steps.chunks(GROUP) {
            if watch.is_over() {
                break;
            }
            // At first at full rate.
            if group[0].0 > backgrounds.len() / 3 && stalls.is_none() {
                stalls = Some(Stalls::start(loaded.bpffs_dir(), ONE_IN, STALL));
            }
            let ruleset = |(step, background): &(usize, &Arc<Background>)| {
                let ruleset = Arc::new(background.ruleset(*step));
                let reasons = shifting::reasons(&probes, *step, &ruleset);
                (*step, ruleset, reasons)
            };
            // Ready beforehand, so that one change follows another without a pause.
            for (step, ruleset, reasons) in group.iter().map(ruleset).collect::<Vec<_>>() {
                changes.begin(reasons);
                let datapath = loaded.datapath();
                let revision = step as u64;
                let prepared = datapath
                    .prepare(&ruleset, revision, &mut |_, _| {})
                    .unwrap();
                // While a packet is being judged by the ruleset before; the next change
                // follows before it has been.
                stalls.as_mut().map(Stalls::wait);
                events.grant(EVENTS);
                assert_eq!(datapath.commit(&prepared), origin + revision);
                changes.finish();
            }
            while let Some(event) = events.next_event() {
                // One CPU judges, so generations come in their order.
                assert!(
                    event.generation >= generation,
                    "{event:?} after {generation}"
                );
                generation = event.generation;
                watch.see_event(&event, usize::try_from(generation - origin).unwrap());
                reported += 1;
            }
        }
        drop(stalls);
    });
    println!(
        "{} steps, {watched:?}, {reported} events",
        backgrounds.len()
    );
    // Else nothing would be proved.
    assert!(watched.moves > 10 && watched.moves_asked > 3, "{watched:?}");
    assert!(reported > 100, "only {reported} events");
    if watched.lossy == 0 {
        // Each packet was judged once, and what did not get through was dropped.
        let rows = loaded.datapath().counters().rows;
        let judged = |action| {
            let rows = rows
                .iter()
                .filter(|(_, reason, _)| reason.action() == action && *reason != Reason::NotTcp);
            rows.map(|(_, _, packets)| packets).sum::<u64>()
        };
        assert_eq!(judged(Action::Pass), watched.through);
        assert_eq!(judged(Action::Drop), watched.sent - watched.through);
    }
}

#[test]
fn so_it_is_through_the_agent_and_its_commands() {
    let probes = shifting::probes();
    let backgrounds = [0, 2_000, 40].map(|entries| Background::new(entries, 7));
    let reasons = |step, state: &State| shifting::reasons(&probes, step, &compile(state));

    let host = DatabaseHost::start();
    let apply = |state: &State| {
        host.write("policy.toml", export(state));
        host.ok("apply -f policy.toml --yes");
    };
    let first = backgrounds[0].state(0);
    apply(&first);
    let history = History::new(reasons(0, &first));
    let reader = netpolicy_user::datapath::Reader::open(host.bpffs_dir()).unwrap();
    let mut flood = flood(&host, &probes);

    let watch = Watch::new(&probes, &history);
    let watched = watch.while_changing(&mut flood, &reader, |changes| {
        let steps = 1..=times(20);
        let mut stalls = None;
        for step in steps.clone() {
            if watch.is_over() {
                break;
            }
            if step > steps.end() / 2 && stalls.is_none() {
                stalls = Some(Stalls::start(host.bpffs_dir(), ONE_IN, STALL));
            }
            let mut state = backgrounds[step / 3 % 3].state(step);
            changes.begin(reasons(step, &state));
            apply(&state);
            changes.finish();
            // One rule more, one rule less.
            for is_more in [true, false] {
                let (change, words) = edit(is_more);
                state = rules::apply(&state, &change).unwrap();
                changes.begin(reasons(step, &state));
                host.ok(&words);
                changes.finish();
            }
        }
    });
    println!("{watched:?}");
    assert!(watched.moves > 10 && watched.moves_asked > 3, "{watched:?}");
    assert_eq!(host.status()["faults"].as_array().map(Vec::len), Some(0));
}

/// Adds a probe's source to a block list, or removes it.
fn edit(is_more: bool) -> (Change, String) {
    let source = shifting::SINGLE;
    let (list, nothing) = (rules::list(&[source]), rules::list(&[]));
    let (option, add, remove) = if is_more {
        ("--add-block", list, nothing)
    } else {
        ("--remove-block", nothing, list)
    };
    let change = Change::AlterPolicy {
        name: "of_host".to_owned(),
        allow: ListEdit::Keep,
        block: ListEdit::Edit { add, remove },
        comment: None,
        blocked_rest: None,
    };
    (change, format!("policy alter of_host {option} {source}"))
}
