//! The cost of computing the impact of a change, and of examining all policies.

use std::{net::Ipv4Addr, time::Instant};

use netpolicy_user::{
    compiler::{Compilation, Ruleset, effects},
    model::{State, lint},
};

use crate::{
    large_state,
    lists::Family,
    random::Random,
    report::{Figure, Report},
};

/// Changes of one rule to measure.
const CHANGES: usize = 50;

/// Policies of this many rules: one block more, all of them, the other way round.
pub(crate) fn run(report: &mut Report, entries: usize) {
    report.progress(&format!("effect of changes {entries}"));
    let mut lists = large_state::lists(entries);
    let state = large_state::state(&lists);
    let nothing = Compilation::new(&State::empty());
    let before = Compilation::new(&state);
    let mut random = Random(entries as u64);
    let mut times = Vec::with_capacity(CHANGES);
    for _ in 0..CHANGES {
        let source = Ipv4Addr::from(Family::V4.address(&mut random) as u32);
        lists[0].push(ipnet::Ipv4Net::from(source).into());
        let mut changed = state.clone();
        changed.policies[0].block = large_state::list_of(&lists[0]);
        let after = before.next(&changed, &mut |_, _| {});
        times.push(microseconds(before.ruleset(), after.ruleset()));
        lists[0].pop();
    }
    times.sort_by(f64::total_cmp);
    let begin = Instant::now();
    let findings = lint(&state);
    let linted = begin.elapsed().as_secs_f64() * 1e3;
    report.progress(&format!("{} findings", findings.len()));
    let mut figure = |bench, value, unit| {
        report.figure(Figure {
            bench,
            engine: "",
            family: "",
            sources: "",
            entries,
            value,
            unit,
        });
    };
    figure("effect-of-one-rule", times[CHANGES / 2], "us");
    let all = microseconds(nothing.ruleset(), before.ruleset());
    figure("effect-of-all", all, "us");
    let none = microseconds(before.ruleset(), nothing.ruleset());
    figure("effect-of-none", none, "us");
    figure("lint", linted, "ms");
}

fn microseconds(old: &Ruleset, new: &Ruleset) -> f64 {
    let begin = Instant::now();
    let found = effects(old, new);
    let took = begin.elapsed().as_secs_f64() * 1e6;
    std::hint::black_box(found);
    took
}
