//! Policies are replaced, grown and shrunk under a flood, and every verdict is that of
//! one generation: the old or the new, never neither, and never the old one again.
//!
//! `NETPOLICY_LONG=1` does twenty times as much.

use std::sync::Arc;
use std::time::Duration;

use netpolicy_common::Reason;
use netpolicy_tests::background::{Background, Desired};
use netpolicy_tests::flood::{Flood, Port};
use netpolicy_tests::history::History;
use netpolicy_tests::host::NIC;
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_tests::shifting::{self, Probe};
use netpolicy_tests::stalls::{Stalls, Tally};
use netpolicy_tests::watch::{Watch, Watched};
use netpolicy_tests::{DatabaseHost, Options};
use netpolicy_user::compiler::{Extent, compile};
use netpolicy_user::config::HookChoice;
use netpolicy_user::datapath::{self, Datapath, Opened, Reader};
use netpolicy_user::model::change::Change;
use netpolicy_user::model::file::export;
use netpolicy_user::model::{ListEdit, State};

/// How lists grow and shrink: entries around the probes, and for how many steps. The
/// same number with another content is another list.
const COURSE: [(usize, usize); 7] = [
    (0, 10),
    (10, 10),
    (300, 10),
    (16_000, 10),
    (10, 10),
    (300, 10),
    (16_000, 10),
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

/// What each probe gets in a step, by its policies alone: what is around the probes does
/// not matter.
fn reasons(probes: &[Probe], step: usize) -> Vec<Reason> {
    shifting::reasons(probes, step, &rules::state(&shifting::changes(step)))
}

/// Fails if less was seen of so many changes than proves anything, on the loudest machine
/// too; on a quiet one all but a few of them are.
fn assert_is_seen(watched: &Watched, changes: usize) {
    assert!(watched.moves * 4 > changes, "of {changes}: {watched:?}");
    assert!(
        watched.moves_asked * 16 > changes,
        "of {changes}: {watched:?}"
    );
}

/// Nothing is left of the way that led here: what is in force is what the state says when it
/// is compiled from scratch.
fn assert_equals_a_fresh_compile(loaded: &mut Loaded, desired: &Desired) {
    let fresh = compile(desired.state());
    assert!(
        **desired.ruleset() == fresh,
        "compiled otherwise than from scratch"
    );
    let differences = loaded.differences(&fresh);
    assert!(differences.is_empty(), "{differences:?}");
}

#[test]
fn every_packet_is_judged_by_one_generation() {
    let probes = shifting::probes();
    let backgrounds = backgrounds();
    let mut desired = Desired::new(&backgrounds[0]);
    let history = History::new(reasons(&probes, 0));

    let host = DatabaseHost::without_agent();
    let mut loaded = Loaded::new(desired.ruleset());
    host.db().run(|| loaded.datapath().attach(NIC).unwrap());
    let origin = loaded.datapath().enforced().unwrap().generation;
    let mut events = loaded.datapath().take_events().unwrap();
    let reader = loaded.reader();
    let mut flood = flood(&host, &probes);

    let watch = Watch::new(&probes, &history);
    let mut reported = 0;
    let mut held_up = Tally::default();
    let watched = watch.while_changing(&mut flood, &reader, |changes| {
        let mut generation = origin;
        let mut stalls = None;
        let steps: Vec<_> = backgrounds.iter().enumerate().skip(1).collect();
        let mut groups = steps.chunks(GROUP).peekable();
        while let Some(group) = groups.next() {
            if watch.is_over() {
                break;
            }
            // At first at full rate.
            if group[0].0 > backgrounds.len() / 3 && stalls.is_none() {
                stalls = Some(Stalls::start(loaded.bpffs_dir(), ONE_IN, STALL));
            }
            let ruleset = |&(step, background): &(usize, &Arc<Background>)| {
                let ruleset = desired.go(step, background);
                (step, ruleset, reasons(&probes, step))
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
                let stall = stalls.as_mut().and_then(Stalls::wait);
                events.grant(EVENTS, 0);
                assert_eq!(datapath.commit(&prepared), origin + revision);
                if let Some(stalls) = &mut stalls {
                    let goes_on = stall.is_some_and(|stall| stalls.goes_on(stall));
                    held_up.count(stalls, goes_on);
                }
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
            // Before other entries come around the probes.
            let last = group[group.len() - 1].1;
            let stays = groups.peek().is_some_and(|next| {
                let (_, next) = next[next.len() - 1];
                Arc::ptr_eq(next, last)
            });
            if !stays {
                assert_equals_a_fresh_compile(&mut loaded, &desired);
            }
        }
        drop(stalls);
    });
    let steps = backgrounds.len() - 1;
    println!(
        "{steps} steps, {watched:?}, {reported} events, {held_up:?}, {} spliced",
        desired.spliced()
    );
    assert_is_seen(&watched, steps);
    assert!(reported > 100, "only {reported} events");
    // From before the flip until after it.
    held_up.assert_one_in(4);
    assert!(
        desired.spliced() * 5 > steps,
        "{} spliced",
        desired.spliced()
    );
}

#[test]
fn agent_and_cli_report_the_same_verdict_under_load() {
    let probes = shifting::probes();
    let backgrounds = [0, 2_000, 40].map(|entries| Background::new(entries, 7));
    let reasons = |step, state: &State| shifting::reasons(&probes, step, state);

    let mut host = DatabaseHost::with(&Options {
        // Generated frames arrive at native XDP.
        config: "verify_interval = \"1s\"\nhook = \"native\"\n".to_owned(),
        ..Options::default()
    });
    let apply = |host: &DatabaseHost, state: &State| {
        host.write("policy.toml", export(state));
        host.ok("apply -f policy.toml --yes")
    };
    let mut state = backgrounds[0].state(0);
    apply(&host, &state);
    let history = History::new(reasons(0, &state));
    let reader = Reader::open(host.bpffs_dir()).unwrap();
    let mut flood = flood(&host, &probes);

    let watch = Watch::new(&probes, &history);
    let mut held_up = Tally::default();
    let watched = watch.while_changing(&mut flood, &reader, |changes| {
        let steps = 1..=times(20);
        let mut stalls: Option<Stalls> = None;
        let mut change = |stalls: &mut Option<Stalls>, reasons, make: &dyn Fn() -> String| {
            let begun = stalls.as_mut().map(Stalls::begun);
            changes.begin(reasons);
            make();
            changes.finish();
            if let (Some(stalls), Some(begun)) = (stalls, begun) {
                let has_begun = stalls.begun() > begun;
                held_up.count(stalls, has_begun);
            }
        };
        for step in steps.clone() {
            if watch.is_over() {
                break;
            }
            if step > steps.end() / 2 && stalls.is_none() {
                stalls = Some(Stalls::start(host.bpffs_dir(), ONE_IN, STALL));
            }
            state = backgrounds[step / 3 % 3].state(step);
            change(&mut stalls, reasons(step, &state), &|| apply(&host, &state));
            // One rule more, one rule less, of either family.
            for source in shifting::singles() {
                for is_more in [true, false] {
                    let (edit, words) = edit(&source, is_more);
                    state = rules::apply(&state, &edit).unwrap();
                    change(&mut stalls, reasons(step, &state), &|| host.ok(&words));
                }
            }
            if step % 5 == 0 {
                host.ok("verify");
            }
        }
    });
    println!("{watched:?}, {held_up:?}");
    assert_is_seen(&watched, 5 * times(20));
    // Between a command's start and its end.
    held_up.assert_one_in(4);
    assert_eq!(host.status()["faults"].as_array().map(Vec::len), Some(0));

    // Nothing is left of the way that led here.
    host.stop_agent();
    let fresh = Arc::new(compile(&state));
    let options = datapath::Options {
        bpffs_dir: host.bpffs_dir().to_owned(),
        hook: HookChoice::Auto,
        engine: rules::engine(),
        keep: false,
        bans: None,
        keep_bans: false,
    };
    let (datapath, opened) = host
        .db()
        .run(|| Datapath::open(&options, &fresh, 0))
        .unwrap();
    assert_eq!(opened, Opened::Adopted);
    assert_eq!(
        datapath.verify(&fresh, Extent::Full).unwrap(),
        [] as [String; 0]
    );
}

/// Adds a source to a block list, or removes it.
fn edit(source: &str, is_more: bool) -> (Change, String) {
    let (list, nothing) = (rules::list(&[source]), rules::list(&[]));
    let (option, add, remove) = if is_more {
        ("--add-block", list, nothing)
    } else {
        ("--remove-block", nothing, list)
    };
    let change = rules::alter("of_host", ListEdit::Keep, ListEdit::Edit { add, remove });
    (change, format!("policy alter of_host {option} {source}"))
}
