//! What a verdict takes, by `BPF_PROG_TEST_RUN` of the program that filters, as if the
//! packet had come in at the filtered interface.

use std::{net::IpAddr, sync::Arc, time::Duration};

use aya::programs::{TestRun, TestRunOptions, Xdp};
use netpolicy_common::Engine;
use netpolicy_user::config::EngineChoice;

use crate::{
    filters::{Bare, Content, Filter, Netpolicy, Sense},
    frame::{self, Packets},
    generator::pin_to_last_cpu,
    lists::{self, Family, Kind},
    random::Random,
    rate::ruleset,
    report::{Figure, Report, quantile},
    sources::{self, Cover, Sources},
    wire::{TESTED, Wire},
};

/// Sources that are asked about, each once.
const ASKED: u32 = 20_000;

/// How often one packet is judged in a row, when everything is in the caches.
const REPEAT: u32 = 1 << 18;

/// Packets whose verdicts are repeated.
const SOME: usize = 16;

/// Verdicts on listed and on unlisted sources by a blocklist of this size.
pub(crate) fn run(report: &mut Report, family: Family, entries: usize) {
    report.progress(&format!("verdict {} {entries}", family.name()));
    let mut random = Random(entries as u64);
    let nets = lists::list(Kind::Mix, family, entries, &mut random);
    let cover = Cover::new(family, &nets);
    let rules = Arc::new(ruleset(Content {
        family,
        sense: Sense::Block,
        nets: &nets,
        packets: Packets::Attempts,
    }));
    let bare = Bare::drop_all();
    let engines = [EngineChoice::Flat, EngineChoice::Lpm]
        .map(|engine| (engine, Netpolicy::new(engine, &rules)));
    for kind in [Sources::Listed, Sources::Unlisted] {
        let asked = sources::pick(kind, &nets, &cover, ASKED, |_| true, &mut random);
        let reference = Verdicts::of(bare.program(), bare.wire(), &asked);
        for (engine, filter) in &engines {
            let verdicts = Verdicts::of(&filter.program(), filter.wire(), &asked);
            let mut figure = |bench, value| {
                report.figure(Figure {
                    bench,
                    engine: Engine::from(*engine).name(),
                    family: family.name(),
                    sources: kind.name(),
                    entries,
                    value,
                    unit: "ns",
                });
            };
            let cold = |share| quantile(&verdicts.each, share) - quantile(&reference.each, 0.5);
            figure("verdict-repeated", verdicts.repeated - reference.repeated);
            figure(
                "verdict-established",
                verdicts.established - reference.established,
            );
            figure("verdict-once-p50", cold(0.5));
            figure("verdict-once-p99", cold(0.99));
        }
    }
}

/// Nanoseconds.
struct Verdicts {
    /// One packet over and over, on average.
    repeated: f64,
    /// The same with a packet of an open connection.
    established: f64,
    /// Each packet once, the reading of the clock included.
    each: Vec<f64>,
}

impl Verdicts {
    fn of(program: &Xdp, wire: &Wire, asked: &[IpAddr]) -> Self {
        let frames = |packets: Packets| {
            let frame = packets.frame(asked[0]);
            let sources = asked.iter();
            sources.map(move |source| frame::with_source(&frame, *source))
        };
        wire.receiver().run(|| {
            pin_to_last_cpu();
            let interface = nix::net::if_::if_nametoindex(TESTED).expect("the tested end");
            let nanoseconds = |frame: Vec<u8>, repeat| {
                judge(program, &frame, interface, repeat).as_nanos() as f64
            };
            // The kernel tells whole nanoseconds of the average: some packets together
            // tell more.
            let repeated = |packets| {
                let some = frames(packets).take(SOME);
                some.map(|frame| nanoseconds(frame, REPEAT)).sum::<f64>() / SOME as f64
            };
            Self {
                repeated: repeated(Packets::Attempts),
                established: repeated(Packets::Established),
                each: frames(Packets::Attempts)
                    .map(|frame| nanoseconds(frame, 1))
                    .collect(),
            }
        })
    }
}

/// What a verdict takes on average.
fn judge(program: &Xdp, frame: &[u8], interface: u32, repeat: u32) -> Duration {
    let context = context(frame.len(), interface);
    let options = TestRunOptions {
        data_in: Some(frame),
        ctx_in: Some(&context),
        repeat,
        ..TestRunOptions::new()
    };
    program.test_run(options).expect("run the program").duration
}

/// `struct xdp_md` of `linux/bpf.h` for a frame that came in at an interface: data,
/// end of data, metadata, interface, queue, outgoing interface.
fn context(len: usize, interface: u32) -> [u8; 24] {
    let mut context = [0; 24];
    context[4..8].copy_from_slice(&(len as u32).to_ne_bytes());
    context[12..16].copy_from_slice(&interface.to_ne_bytes());
    context
}
