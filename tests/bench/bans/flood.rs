//! A flood from banned sources, next to one from sources on a policy's block list of the same
//! entries.

use std::sync::Arc;

use ipnet::IpNet;
use netpolicy_common::HOST_SCOPE;
use netpolicy_tests::rules;
use netpolicy_user::{
    compiler::{Ruleset, compile},
    config::{EngineChoice, HookChoice},
    datapath::BanLists,
};

use super::{Plan, Ratio, Turns};
use crate::{
    filters::{Filter, Netpolicy, Sense},
    frame::Packets,
    generator::{CALL, Generator},
    lists::{Family, Kind},
    rate::{self, Scenario},
    report::Report,
    sources::Sources,
};

/// Frames of a turn.
const TURN: u32 = 8 * CALL;

/// Turns of each, for one of the plan's.
const TURNS: usize = 3;

const BANNED: &str = "netpolicy, banned";
const LISTED: &str = "netpolicy, on a block list";
/// How far it differs from the one above is the measurement's noise.
const AGAIN: &str = "netpolicy, on a block list, again";

/// Packets that pass a filter unasked: neighbour discovery and the like.
const STRAY: u64 = 32;

/// Where netpolicy drops, and of which family the attempts are.
const FLOODS: [(&str, HookChoice, Family); 4] = [
    (
        "SYN flood, native XDP, IPv4",
        HookChoice::Native,
        Family::V4,
    ),
    (
        "SYN flood, native XDP, IPv6",
        HookChoice::Native,
        Family::V6,
    ),
    ("SYN flood, tcx, IPv4", HookChoice::Tcx, Family::V4),
    ("SYN flood, tcx, IPv6", HookChoice::Tcx, Family::V6),
];

pub(super) fn run(report: &mut Report, plan: Plan) {
    for (figure, hook, family) in FLOODS {
        report.progress(&format!("bans: {figure}"));
        measure(report, plan, figure, hook, family);
    }
}

fn measure(
    report: &mut Report,
    plan: Plan,
    figure: &'static str,
    hook: HookChoice,
    family: Family,
) {
    let scenario = Scenario {
        kind: Kind::Mix,
        sense: Sense::Block,
        family,
        entries: plan.many,
        sources: Sources::Listed,
        packets: Packets::Attempts,
    };
    let input = scenario.input();
    let listed = Arc::new(rate::ruleset(scenario.content(&input.nets)));
    let filters = [
        (BANNED, banned(hook, &input.nets)),
        (LISTED, at(hook, &listed)),
        (AGAIN, at(hook, &listed)),
    ];
    let mut generator = Generator::new(Packets::Attempts, &input.sources);
    let mut columns = filters.each_ref().map(|(name, _)| (*name, Vec::new()));
    for round in 0..plan.rounds * TURNS {
        for place in 0..filters.len() {
            // Each comes first as often as the others.
            let place = (round + place) % filters.len();
            let run = generator.run(&filters[place].1, TURN / CALL);
            columns[place].1.push(run.mpps);
        }
    }
    for (name, filter) in &filters {
        let passed = filter.passed();
        assert!(passed <= STRAY, "{name} let {passed} pass");
    }
    let ratio = |of, target| Ratio {
        of,
        to: LISTED,
        target,
    };
    Turns {
        figure,
        unit: "Mpps",
        entries: plan.many,
        is_less_better: false,
        columns: &columns,
        ratios: &[ratio(BANNED, Some(1.0)), ratio(AGAIN, None)],
    }
    .report(report);
}

/// netpolicy that blocks what a ruleset says.
fn at(hook: HookChoice, rules: &Arc<Ruleset>) -> Netpolicy {
    match hook {
        HookChoice::Native => Netpolicy::new(EngineChoice::Flat, rules),
        hook => Netpolicy::at(hook, rules),
    }
}

/// netpolicy without a policy, and these sources banned.
fn banned(hook: HookChoice, nets: &[IpNet]) -> Netpolicy {
    let mut netpolicy = at(hook, &Arc::new(compile(&rules::state(&[]))));
    let bans = BanLists::of(nets.iter().map(|net| (HOST_SCOPE, *net)));
    netpolicy.loaded().ban(&bans);
    netpolicy
}
