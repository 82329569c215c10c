//! Denied attempts answered by a reset, without a limit, next to the same dropped silently.
//!
//! By native XDP the answer goes out by `XDP_TX`, as on a NIC; at tcx by a redirect. netpolicy
//! itself answers nothing at native XDP on a veth, since its frames arrive only at a peer with
//! native XDP: here the sending end has that, and drops what comes.
//!
//! With them a program that only sends every frame back, and one that only drops: what remains
//! of an answer's time without netpolicy is the kernel's and the other end's.

use std::sync::Arc;

use aya::{
    Ebpf,
    maps::{HashMap, Map, MapData},
    programs::{Xdp, XdpMode},
};
use netpolicy_common::Answering;
use netpolicy_tests::rules;
use netpolicy_user::{
    compiler::{Ruleset, compile},
    config::{EngineChoice, HookChoice},
    model::OnDeny,
};

use crate::{
    filters::{Bare, Filter, Netpolicy, Sense},
    frame::{Packets, TESTED_MAC},
    generator::{CALL, Generator, OBJECT},
    large_state,
    lists::{Family, Kind},
    rate::Scenario,
    report::{Figure, Report, median},
    sources::Sources,
    wire::{SENDING, TESTED, Wire},
};

/// Entries of the block list.
const ENTRIES: usize = 1_000;

/// Frames of a turn.
const TURN: u32 = 4 * CALL;

/// Turns of each.
const ROUNDS: usize = 9;

/// netpolicy whose denied attempts are addressed to it, and what takes its answers.
struct Answered {
    netpolicy: Netpolicy,
    _sink: Ebpf,
}

impl Answered {
    fn new(hook: HookChoice, rules: &Arc<Ruleset>) -> Self {
        let mut netpolicy = match hook {
            HookChoice::Native => Netpolicy::new(EngineChoice::Flat, rules),
            hook => Netpolicy::at(hook, rules),
        };
        let sink = sink(netpolicy.wire());
        let bpffs_dir = netpolicy.loaded().bpffs_dir().join("live/ANSWERING");
        let map = MapData::from_pin(bpffs_dir).expect("open what tells where to answer");
        let mut map: HashMap<_, u32, Answering> = Map::HashMap(map).try_into().expect("a hash map");
        let index = netpolicy
            .wire()
            .receiver()
            .run(|| nix::net::if_::if_nametoindex(TESTED).expect("the tested end"));
        let answering = Answering {
            addresses: [TESTED_MAC; 2],
            reserved: [0; 4],
        };
        map.insert(index, answering, 0)
            .expect("tell where to answer");
        netpolicy.loaded().datapath().limit_resets(u64::MAX);
        Self {
            netpolicy,
            _sink: sink,
        }
    }
}

/// A bare program, and what takes what it sends back.
struct Returned {
    bare: Bare,
    _sink: Ebpf,
}

impl Returned {
    fn new(bare: Bare) -> Self {
        let sink = sink(bare.wire());
        Self { bare, _sink: sink }
    }
}

impl Filter for Returned {
    fn name(&self) -> &'static str {
        self.bare.name()
    }

    fn wire(&self) -> &Wire {
        self.bare.wire()
    }
}

/// A program at the sending end that drops all that comes.
fn sink(wire: &Wire) -> Ebpf {
    let mut ebpf = Ebpf::load(OBJECT).expect("load the sink");
    wire.sender().run(|| {
        let program: &mut Xdp = ebpf
            .program_mut("bare_drop")
            .expect("a program of this name")
            .try_into()
            .expect("an XDP program");
        program.load().expect("load the sink");
        program
            .attach(SENDING, XdpMode::Driver)
            .expect("attach the sink");
    });
    ebpf
}

impl Filter for Answered {
    fn name(&self) -> &'static str {
        "netpolicy"
    }

    fn wire(&self) -> &Wire {
        self.netpolicy.wire()
    }

    fn wants_own_packets(&self) -> bool {
        true
    }
}

/// Measures both, turn by turn.
pub(crate) fn run(report: &mut Report) {
    for (hook, name) in [(HookChoice::Native, "native"), (HookChoice::Tcx, "tcx")] {
        for family in [Family::V4, Family::V6] {
            report.progress(&format!("answer {} {name}", family.name()));
            measure(report, family, hook, name);
        }
    }
}

fn measure(report: &mut Report, family: Family, hook: HookChoice, name: &'static str) {
    let input = Scenario {
        kind: Kind::Mix,
        sense: Sense::Block,
        family,
        entries: ENTRIES,
        sources: Sources::Listed,
        packets: Packets::Attempts,
    }
    .input();
    let rules = |on_deny| {
        let mut state = rules::state(&[rules::policy("bench", None, &[], &[])]);
        state.policies[0].block = large_state::list_of(&input.nets);
        state.host.on_deny = on_deny;
        Arc::new(compile(&state))
    };
    let mut filters =
        [OnDeny::Drop, OnDeny::Reset].map(|on_deny| Answered::new(hook, &rules(on_deny)));
    let bare = match hook {
        HookChoice::Native => [Bare::drop_all(), Bare::return_all()],
        _ => [Bare::drop_all_tcx(), Bare::return_all_tcx()],
    };
    let bare = bare.map(Returned::new);
    let mut generator = Generator::renewing(Packets::Attempts, &input.sources);
    let mut rates = [const { Vec::new() }; 4];
    for round in 0..ROUNDS {
        for at in 0..rates.len() {
            // Each comes first as often as the others.
            let at = (round + at) % rates.len();
            let filter: &dyn Filter = match at {
                0 | 1 => &filters[at],
                _ => &bare[at - 2],
            };
            rates[at].push(generator.run(filter, TURN / CALL).mpps);
        }
    }
    let [dropping, answering] = &mut filters;
    let sent = |filter: &mut Answered| filter.netpolicy.loaded().datapath().counters().resets.sent;
    assert_eq!(
        sent(dropping),
        0,
        "nothing is answered that is to be dropped"
    );
    let (answers, received) = (sent(answering), answering.wire().received());
    assert!(
        answers * 100 >= received * 99,
        "{name}: {answers} of {received} attempts were answered: the figures would be worthless"
    );
    let ratios = |of: usize, to: usize| -> Vec<f64> {
        let rounds = rates[of].iter().zip(&rates[to]);
        rounds.map(|(of, to)| of / to).collect()
    };
    let answered = ratios(1, 0);
    let mut figure = |bench, value, unit| {
        report.figure(Figure {
            bench,
            engine: "flat",
            family: family.name(),
            sources: name,
            entries: ENTRIES,
            value,
            unit,
        });
    };
    figure("answer-dropped", median(&rates[0]), "Mpps");
    figure("answer-reset", median(&rates[1]), "Mpps");
    figure("answer-bare-dropped", median(&rates[2]), "Mpps");
    figure("answer-bare-returned", median(&rates[3]), "Mpps");
    figure("answer-ratio", median(&answered), "ratio");
    figure(
        "answer-ratio-least",
        answered.iter().copied().fold(f64::INFINITY, f64::min),
        "ratio",
    );
    figure("answer-bare-ratio", median(&ratios(3, 2)), "ratio");
    figure("answer-limit-ratio", median(&ratios(3, 0)), "ratio");
}
