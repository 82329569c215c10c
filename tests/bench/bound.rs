//! How fast any filter, and one of netpolicy's structure, can be on this machine: the
//! proof, with the measured and the required figures.

use std::time::Duration;

use netpolicy_user::compiler::Ruleset;

use crate::{
    chase,
    choice::Choice,
    filters::{FEWEST, NEEDED, PARSE},
    lists::Family,
    machine,
    rate::{self, Input, Scenario},
    report::{Bound, Rate, Report},
    walk::Walk,
};

const LINE: usize = 64;

/// What was asked for, as shares of the bare program's rate *with* the generator's idle
/// time (`ratio_call`), which is how those figures came about.
const TARGETS: [(Family, usize, f64); 8] = [
    (Family::V4, 1_000, 0.92),
    (Family::V4, 100_000, 0.80),
    (Family::V4, 1_000_000, 0.70),
    (Family::V4, 4_000_000, 0.70),
    (Family::V6, 1_000, 0.85),
    (Family::V6, 100_000, 0.70),
    (Family::V6, 1_000_000, 0.60),
    (Family::V6, 4_000_000, 0.55),
];

/// Measures listed sources of a block list, and the floors in the same rounds; then
/// sets what they say of the flat engine, which must be among the choices.
pub(crate) fn measure(
    report: &mut Report,
    scenario: &Scenario,
    choices: &[Choice],
    time: Duration,
) {
    let input = scenario.input();
    let rules = rate::ruleset(scenario.content(&input.nets));
    let facts = Facts::of(scenario, &input, &rules);
    drop(rules);
    let lines = |bytes: usize| u32::try_from(bytes.div_ceil(LINE)).unwrap_or(u32::MAX);
    let floors = [
        Choice::ParseOnly,
        Choice::OneLine(FEWEST, lines(facts.fewest)),
        Choice::OneLine(NEEDED, lines(facts.needed())),
    ];
    let before = report.rates.len();
    let choices = [choices, &floors].concat();
    rate::measure_input(report, scenario, &input, &choices, time);
    if let Some(bound) = bound(scenario, &facts, &report.rates[before..]) {
        report.bound(bound);
    }
}

/// What is known before anything is sent.
struct Facts {
    walk: Walk,
    /// The fewest bytes that hold the hosts of such a list.
    fewest: usize,
    /// What a load takes out of so many, if it waits for the one before.
    fewest_ns: f64,
    /// The same out of what the structure's look-ups touch.
    needed_ns: f64,
}

impl Facts {
    fn of(scenario: &Scenario, input: &Input, rules: &Ruleset) -> Self {
        let family = scenario.family;
        let walk = Walk::over(rules, &input.sources, machine::second_level_cache());
        let hosts = input
            .nets
            .iter()
            .filter(|net| net.prefix_len() == net.max_prefix_len());
        let fewest = fewest_bytes(family.addresses(), hosts.count()) as usize;
        Self {
            walk,
            fewest,
            fewest_ns: chase::cold_line(fewest),
            needed_ns: chase::cold_line(walk.working_set * LINE),
        }
    }

    /// Bytes that the structure's look-ups touch.
    fn needed(&self) -> usize {
        self.walk.working_set * LINE
    }
}

/// The fewest bytes that can tell exactly which `hosts` of `addresses` are on a list: the
/// logarithm of the number of such lists, from below by (a - h + 1)^h / h!.
fn fewest_bytes(addresses: f64, hosts: usize) -> f64 {
    let h = hosts as f64;
    let orders: f64 = (1..=hosts).map(|i| (i as f64).log2()).sum();
    (h * (addresses - h + 1.0).log2() - orders) / 8.0
}

/// The most hosts of which an exact list can fit in so many bytes, whatever the structure.
pub(crate) fn most_hosts(family: Family, bytes: usize) -> usize {
    let (mut least, mut most) = (0, bytes * 8);
    while least < most {
        let middle = (least + most).div_ceil(2);
        if fewest_bytes(family.addresses(), middle) <= bytes as f64 {
            least = middle;
        } else {
            most = middle - 1;
        }
    }
    least
}

fn bound(scenario: &Scenario, facts: &Facts, rates: &[Rate]) -> Option<Bound> {
    let named = |name: &str| rates.iter().find(|rate| rate.filter == name);
    let flat = rates.iter().find(|rate| rate.engine == "flat")?;
    let bare = rates.first()?;
    let (parse, fewest, needed) = (named(PARSE)?, named(FEWEST)?, named(NEEDED)?);
    // A flood asks for a line far less often than a chase does, and caches that are shared
    // with others have evicted it meanwhile: the floor shows what it costs then.
    let line_ns = facts.needed_ns.max(needed.ns_more - parse.ns_more);
    let structure_ns = parse.ns_more + facts.walk.cold * line_ns;
    // A packet that takes so much more than with the bare program.
    let ratio = |bare_mpps: f64| {
        let bare_ns = 1e3 / bare_mpps;
        bare_ns / (bare_ns + structure_ns)
    };
    let target = TARGETS
        .iter()
        .find(|(family, entries, _)| *family == scenario.family && *entries == scenario.entries)
        .map(|(_, _, target)| *target);
    let structure_ratio_call = ratio(bare.mpps_call);
    let verdict = target.map(|target| {
        if flat.ratio_call >= target {
            "reached"
        } else if parse.ratio_call < target {
            "forbidden by a look at the packet"
        } else if fewest.ratio_call < target {
            "forbidden by one line"
        } else if needed.ratio_call < target || structure_ratio_call < target {
            "beyond this structure's bound"
        } else {
            "left on the table"
        }
    });
    Some(Bound {
        bench: "bound",
        engine: flat.engine,
        family: flat.family,
        entries: flat.entries,
        value: flat.ratio_call,
        unit: "ratio",
        target,
        ratio_call: flat.ratio_call,
        ratio_bare: flat.ratio_bare,
        ns_more: flat.ns_more,
        parse_ns: parse.ns_more,
        parse_ratio_call: parse.ratio_call,
        fewest_bytes: facts.fewest,
        fewest_chase_ns: facts.fewest_ns,
        fewest_ns: fewest.ns_more,
        fewest_ratio_bare: fewest.ratio_bare,
        fewest_ratio_call: fewest.ratio_call,
        needed_bytes: facts.needed(),
        needed_chase_ns: facts.needed_ns,
        needed_ns: needed.ns_more,
        needed_ratio_bare: needed.ratio_bare,
        needed_ratio_call: needed.ratio_call,
        lines: facts.walk.lines,
        chain: facts.walk.chain,
        longest_chain: facts.walk.longest,
        cold_lines: facts.walk.cold,
        structure_ns,
        structure_ratio_bare: ratio(bare.mpps),
        structure_ratio_call,
        verdict,
    })
}
