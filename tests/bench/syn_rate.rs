//! SYNs a second from listed sources, beside a program that only drops.

use std::{sync::Arc, time::Duration};

use ipnet::IpNet;
use netpolicy_common::Engine;
use netpolicy_tests::rules::{self, Loaded};
use netpolicy_user::{
    compiler::{Ruleset, compile},
    config::EngineChoice,
    datapath::packet,
    model::{Rule, RuleList},
};

use crate::{
    generator::{self, Generator, TESTED, Wire},
    lists::{self, Family, Random},
    report::{Rate, Report, median},
};

const PORT: u16 = 5432;

/// Sources that the generator goes through.
const SOURCES: usize = 1 << 20;

pub(crate) fn run(report: &mut Report, quick: bool) {
    let sizes: &[usize] = if quick {
        &[1_000]
    } else {
        &[1_000, 10_000, 100_000, 1_000_000, 4_000_000]
    };
    let families: &[Family] = if quick {
        &[Family::V4]
    } else {
        &[Family::V4, Family::V6]
    };
    let (rounds, time) = if quick { (5, 400) } else { (7, 700) };
    for family in families {
        for entries in sizes {
            measure(
                report,
                *family,
                *entries,
                rounds,
                Duration::from_millis(time),
            );
        }
    }
}

fn measure(report: &mut Report, family: Family, entries: usize, rounds: usize, time: Duration) {
    let mut random = Random(entries as u64);
    let nets = lists::blocklist(family, entries, &mut random);
    let sources = lists::listed(&nets, SOURCES, &mut random);
    let frame = packet::syn(sources[0], PORT);
    let mut generator = Generator::new(frame, &sources);

    let bare_wire = Wire::new();
    let _bare = generator::attach_bare_drop(&bare_wire);
    let rules = Arc::new(blocking(&nets));
    let mut engines: Vec<_> = [EngineChoice::Flat, EngineChoice::Lpm]
        .into_iter()
        .map(|engine| (engine, Tested::new(engine, &rules)))
        .collect();

    let mut bare = Vec::new();
    for _ in 0..rounds {
        bare.push(generator.run(&bare_wire, time));
        for (_, tested) in &mut engines {
            tested.rates.push(generator.run(&tested.wire, time));
        }
    }
    let rate = |filter: &str, engine, values: &[f64]| {
        let ratios: Vec<f64> = values
            .iter()
            .zip(&bare)
            .map(|(ours, bare)| ours / bare)
            .collect();
        Rate {
            bench: "syn-rate",
            filter: filter.to_owned(),
            engine,
            family: family.name(),
            entries,
            sources: "listed",
            mpps: median(values),
            spread: (
                values.iter().copied().fold(f64::INFINITY, f64::min),
                values.iter().copied().fold(0.0, f64::max),
            ),
            ratio_bare: median(&ratios),
        }
    };
    report.rate(rate("bare XDP_DROP", "", &bare));
    for (engine, tested) in &engines {
        report.rate(rate(
            "netpolicy",
            Engine::from(*engine).name(),
            &tested.rates,
        ));
    }
}

/// An engine at the end of a wire of its own, and its rounds.
struct Tested {
    wire: Wire,
    _loaded: Loaded,
    rates: Vec<f64>,
}

impl Tested {
    fn new(engine: EngineChoice, rules: &Arc<Ruleset>) -> Self {
        let wire = Wire::new();
        let mut loaded = Loaded::with_engine(engine, rules);
        wire.receiver()
            .run(|| loaded.datapath().attach(TESTED).expect("attach netpolicy"));
        Self {
            wire,
            _loaded: loaded,
            rates: Vec::new(),
        }
    }
}

/// A ruleset that blocks these networks on the host.
fn blocking(nets: &[IpNet]) -> Ruleset {
    let rules = nets
        .iter()
        .map(|net| Rule {
            net: *net,
            source: 0,
            line: 0,
            note: None,
        })
        .collect();
    let mut state = rules::state(&[rules::policy("bench", None, &[], &[])]);
    state.policies[0].block = RuleList::from_parts(rules, vec!["bench".into()]);
    compile(&state)
}
