//! Packets a second through several filters side by side.

use std::{
    net::IpAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use netpolicy_tests::rules;
use netpolicy_user::{
    compiler::{Ruleset, compile},
    config::EngineChoice,
    model::{AllowPart, State},
};

use crate::{
    choice::Choice,
    filters::{Bare, Content, Filter, Ipset, Netpolicy, Nftables, Sense, XdpFilter},
    frame::Packets,
    generator::{CALL, Generator, Run, is_set_to_drop},
    large_state,
    lists::{self, Family, Kind},
    random::Random,
    report::{Rate, Report, median},
    sources::{self, Cover, Sources},
};

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) kind: Kind,
    pub(crate) sense: Sense,
    pub(crate) family: Family,
    pub(crate) entries: usize,
    pub(crate) sources: Sources,
    pub(crate) packets: Packets,
}

/// What a scenario is measured with: the same in every run.
pub(crate) struct Input {
    /// The list, sorted.
    pub(crate) nets: Vec<IpNet>,
    /// Whose packets are sent, in this order, over and over.
    pub(crate) sources: Vec<IpAddr>,
}

/// Rounds at the least: a spread of fewer says nothing.
const FEWEST_ROUNDS: usize = 5;

/// How long a filter is measured at a time, at least: short, since what else goes on in
/// the machine comes and goes.
const RUN: Duration = Duration::from_millis(25);

/// Sources that the generator goes through: as many as there are entries, within
/// these bounds, so that a large list is not looked up in the same corner.
const FEWEST_SOURCES: usize = 1 << 20;
const MOST_SOURCES: usize = 1 << 22;

impl Scenario {
    /// "syn-rate" or "established-rate".
    pub(crate) fn bench(&self) -> &'static str {
        match self.packets {
            Packets::Attempts => "syn-rate",
            Packets::Established => "established-rate",
        }
    }

    /// The share of packets that a filter must let pass.
    fn passes(&self) -> f64 {
        let (listed, unlisted) = match (self.packets, self.sense) {
            (Packets::Established, _) => (1.0, 1.0),
            (Packets::Attempts, Sense::Block) => (0.0, 1.0),
            (Packets::Attempts, Sense::Allow) => (1.0, 0.0),
        };
        match self.sources {
            Sources::Listed => listed,
            Sources::Unlisted => unlisted,
            Sources::Mixed => f64::midpoint(listed, unlisted),
        }
    }

    /// The program that only returns the action.
    fn reference(&self) -> Bare {
        match self.passes() {
            0.0 => Bare::drop_all(),
            1.0 => Bare::pass_all(),
            _ => Bare::as_told(),
        }
    }

    /// The list, and the sources.
    pub(crate) fn input(&self) -> Input {
        let mut random = Random(self.entries as u64);
        let nets = lists::list(self.kind, self.family, self.entries, &mut random);
        let cover = Cover::new(self.family, &nets);
        let count = nets.len().next_power_of_two();
        let count = count.clamp(FEWEST_SOURCES, MOST_SOURCES);
        // What calls for a drop is what is listed, or with an allow list what is not.
        let is_listed = |index| is_set_to_drop(index) == (self.sense == Sense::Block);
        let sources = sources::pick(
            self.sources,
            &nets,
            &cover,
            count as u32,
            is_listed,
            &mut random,
        );
        Input { nets, sources }
    }

    /// What a filter is to enforce, with the list of the input.
    pub(crate) fn content<'a>(&self, nets: &'a [IpNet]) -> Content<'a> {
        Content {
            family: self.family,
            sense: self.sense,
            nets,
            packets: self.packets,
        }
    }

    /// "syn-rate ipv4 1000 listed (mix, block)".
    pub(crate) fn describe(&self) -> String {
        format!(
            "{} {} {} {} ({}, {})",
            self.bench(),
            self.family.name(),
            self.entries,
            self.sources.name(),
            self.kind.name(),
            self.sense.name()
        )
    }
}

/// Fails unless this machine tells what passes a filter.
pub(crate) fn check_machine() {
    let mut random = Random(0);
    let nets = lists::list(Kind::Hosts, Family::V4, 16, &mut random);
    let cover = Cover::new(Family::V4, &nets);
    let all = Sources::Listed;
    let sources = sources::pick(all, &nets, &cover, 16, |_| true, &mut random);
    let mut generator = Generator::new(Packets::Attempts, &sources);
    let bare = Bare::pass_all();
    generator.run(&bare, 1);
    let count = Count::of(&bare);
    assert!(
        count.passed > 0,
        "{} packets were sent past a filter that passes all, and `ip -s -s link` counts none of \
         them as `otherhost`: the benchmarks need Linux 5.19 and iproute2 5.19, or later",
        count.received
    );
}

/// Measures for about `time`, apart from what it takes to set the filters up.
pub(crate) fn measure(
    report: &mut Report,
    scenario: &Scenario,
    choices: &[Choice],
    time: Duration,
) {
    measure_input(report, scenario, &scenario.input(), choices, time);
}

/// The same with this input of the scenario.
pub(crate) fn measure_input(
    report: &mut Report,
    scenario: &Scenario,
    input: &Input,
    choices: &[Choice],
    time: Duration,
) {
    let begin = Instant::now();
    let mut generator = Generator::new(scenario.packets, &input.sources);
    let content = scenario.content(&input.nets);
    let mut filters: Vec<Box<dyn Filter>> = vec![Box::new(scenario.reference())];
    filters.extend(set_up(content, choices));
    report.progress(&format!(
        "{}: set up in {:.1} s",
        scenario.describe(),
        begin.elapsed().as_secs_f64()
    ));

    let counts: Vec<_> = filters.iter().map(|f| Count::of(f.as_ref())).collect();
    let check = || {
        for (filter, before) in filters.iter().zip(&counts) {
            Count::of(filter.as_ref()).check(before, scenario, filter.as_ref());
        }
    };
    // At first to see what each can do.
    let calls: Vec<u32> = filters
        .iter()
        .map(|filter| {
            let mpps = generator.run(filter.as_ref(), 1).mpps;
            let frames = mpps * RUN.as_micros() as f64;
            (frames / f64::from(CALL)).ceil() as u32
        })
        .collect();
    check();
    let mut runs = vec![Vec::new(); filters.len()];
    let begin = Instant::now();
    while runs[0].len() < FEWEST_ROUNDS || begin.elapsed() < time {
        // Each in each place: who comes after a fast one finds other caches than who comes
        // after a slow one.
        let first = runs[0].len();
        for at in 0..filters.len() {
            let at = (first + at) % filters.len();
            runs[at].push(generator.run(filters[at].as_ref(), calls[at]));
        }
    }
    check();
    let idle = idle_ns(&runs);
    for (filter, ours) in filters.iter().zip(&runs) {
        report.rate(rate(scenario, filter.as_ref(), ours, &runs[0], idle));
    }
}

/// Sets filters up, all at once: most of it is waiting for other processes.
fn set_up(content: Content<'_>, choices: &[Choice]) -> Vec<Box<dyn Filter>> {
    let is_other =
        |choice: &Choice| matches!(choice, Choice::Ipset | Choice::Nftables | Choice::XdpFilter);
    thread::scope(|scope| {
        let mut threads: Vec<_> = choices
            .iter()
            .map(|choice| {
                let others = *choice;
                is_other(choice).then(|| {
                    scope.spawn(move || -> Box<dyn Filter> {
                        match others {
                            Choice::Ipset => Box::new(Ipset::new(content)),
                            Choice::Nftables => Box::new(Nftables::new(content)),
                            _ => Box::new(XdpFilter::new(content)),
                        }
                    })
                })
            })
            .collect();
        let rules = Arc::new(ruleset(content));
        let filters = choices.iter().zip(&mut threads);
        filters
            .map(|(choice, thread)| -> Box<dyn Filter> {
                match (choice, thread.take()) {
                    (_, Some(thread)) => thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                    (Choice::ParseOnly, None) => Box::new(Bare::parse_only()),
                    (Choice::OneLine(name, lines), None) => Box::new(Bare::one_line(name, *lines)),
                    (Choice::Flat, None) => Box::new(Netpolicy::new(EngineChoice::Flat, &rules)),
                    (_, None) => Box::new(Netpolicy::new(EngineChoice::Lpm, &rules)),
                }
            })
            .collect()
    })
}

/// The list as netpolicy's.
pub(crate) fn ruleset(content: Content<'_>) -> Ruleset {
    compile(&state(content.sense, content.nets))
}

/// The state with one policy on the host, and these networks on one of its lists.
fn state(sense: Sense, nets: &[IpNet]) -> State {
    let list = large_state::list_of(nets);
    let mut state = rules::state(&[rules::policy("bench", None, &[], &[])]);
    match sense {
        Sense::Block => state.policies[0].block = list,
        Sense::Allow => state.policies[0].allow = AllowPart::Only(list),
    }
    state
}

/// What a filter has done so far.
struct Count {
    received: u64,
    passed: u64,
}

impl Count {
    fn of(filter: &dyn Filter) -> Self {
        Self {
            received: filter.wire().received(),
            passed: filter.passed(),
        }
    }

    /// Fails unless the filter took packets since `before`, and let as many pass as it
    /// should.
    fn check(&self, before: &Self, scenario: &Scenario, filter: &dyn Filter) {
        /// Neighbour discovery and the like, which the kernel sends by itself.
        const STRAY: f64 = 32.0;
        let received = self.received - before.received;
        let passed = self.passed - before.passed;
        let expected = scenario.passes();
        let tolerance = if expected.fract() == 0.0 {
            STRAY
        } else {
            STRAY + received as f64 / 20.0
        };
        let off = (passed as f64 - expected * received as f64).abs();
        assert!(
            received > 1000 && off <= tolerance,
            "{}: {} {} took {received} packets and let {passed} pass, where {:.0} % should: its \
             figures would be worthless",
            scenario.describe(),
            filter.name(),
            filter.engine(),
            expected * 100.0
        );
    }
}

fn rate(
    scenario: &Scenario,
    filter: &dyn Filter,
    runs: &[Run],
    bare: &[Run],
    idle_ns: f64,
) -> Rate {
    let each = |of: &dyn Fn(&Run, &Run) -> f64| -> Vec<f64> {
        runs.iter()
            .zip(bare)
            .map(|(ours, bare)| of(ours, bare))
            .collect()
    };
    let rates = each(&|ours, _| ours.mpps);
    let ns_more = median(&each(&|ours, bare| ours.ns() - bare.ns()));
    let bare_ns = median(&bare.iter().map(Run::ns).collect::<Vec<_>>()) + idle_ns;
    let ratios = each(&|ours, bare| ours.mpps / bare.mpps);
    Rate {
        bench: scenario.bench(),
        filter: filter.name(),
        engine: filter.engine(),
        family: scenario.family.name(),
        entries: scenario.entries,
        list: scenario.kind.name(),
        sense: scenario.sense.name(),
        sources: scenario.sources.name(),
        mpps: median(&rates),
        spread: extremes(&rates),
        ratio_bare: median(&ratios),
        ratio_spread: extremes(&ratios),
        ns_more,
        mpps_call: 1e3 / (bare_ns + ns_more),
        ratio_call: bare_ns / (bare_ns + ns_more),
        rounds: runs.len(),
    }
}

/// Nanoseconds of idle time to a packet, of all filters together: the mean of the middle
/// half of their runs.
///
/// A call returns on a tick of the kernel's clock, so of two filters whose frames take 6.6
/// and 8 ms the calls can take equally long, and of two that take 8 and 8.2 ms one's 4 to 16
/// ms longer. The rate over one filter's calls says more about ticks than about the filter.
fn idle_ns(runs: &[Vec<Run>]) -> f64 {
    let mut idle: Vec<f64> = runs.iter().flatten().map(|run| run.idle_ns).collect();
    idle.sort_by(f64::total_cmp);
    let outer = idle.len() / 4;
    let middle = &idle[outer..idle.len() - outer];
    middle.iter().sum::<f64>() / middle.len() as f64
}

fn extremes(values: &[f64]) -> (f64, f64) {
    (
        values.iter().copied().fold(f64::INFINITY, f64::min),
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    )
}
