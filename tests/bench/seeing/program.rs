//! What it costs packets that attempts are reported: the program next to the one of the last commit
//! before attempts that pass were, over the same maps, by turns under `BPF_PROG_TEST_RUN`.
//!
//! `cargo xtask bench` builds that one from this repository's history. Meanwhile the allowances are
//! granted as the agent grants them in a flood, and what is reported is read.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use aya::{
    Ebpf, EbpfLoader, include_bytes_aligned,
    maps::{Array, Map, MapData},
    programs::{SchedClassifier, TestRun as _, TestRunOptions, Xdp},
    util::nr_cpus,
};
use netpolicy_common::{Engine, Head};
use netpolicy_tests::rules::Loaded;
use netpolicy_user::{config::EngineChoice, datapath::EventReader};
use nix::time::{ClockId, clock_gettime};

use super::Plan;
use crate::{
    filters::{Content, Sense},
    frame::{self, Packets},
    generator::pin_to_last_cpu,
    lists::{self, Family, Kind},
    random::Random,
    rate::ruleset,
    report::{Measured, Report},
    sources::{self, Cover, Sources},
};

/// Names the object of the program before attempts that pass were reported.
const BEFORE_VARIABLE: &str = "NETPOLICY_BENCH_BEFORE";

/// The program that is installed.
static NOW: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netpolicy-xdp"));

/// On the list.
const ENTRIES: usize = 100_000;

/// Packets of which each is judged over and over in a turn.
const SOME: u32 = 16;

/// How often: some milliseconds. The kernel tells whole nanoseconds of a run, so the time is taken
/// here, and has to be much longer than a system call; and what else the machine does meanwhile
/// should meet all programs alike.
const REPEAT: u32 = 1 << 16;

/// Events that a CPU may write in a tenth of a second of a flood, as the agent grants them: of
/// denied attempts, and of those that pass. Before, the second did not exist.
const GRANTED: (u64, u64) = (100, 100);
const GRANT_EVERY: Duration = Duration::from_millis(100);

/// What is compared.
const COLUMNS: [&str; 4] = [
    "netpolicy",
    "netpolicy, again",
    "netpolicy before",
    "netpolicy before, again",
];

/// An attempt or another packet, and what is to be reached.
struct Scenario {
    name: &'static str,
    sense: Sense,
    sources: Sources,
    packets: Packets,
    target: Option<f64>,
}

const SCENARIOS: [Scenario; 5] = [
    Scenario {
        name: "listed attempts, denied",
        sense: Sense::Block,
        sources: Sources::Listed,
        packets: Packets::Attempts,
        target: Some(0.99),
    },
    Scenario {
        name: "established packets",
        sense: Sense::Block,
        sources: Sources::Listed,
        packets: Packets::Established,
        target: Some(0.995),
    },
    Scenario {
        name: "attempts on no block list, allowed",
        sense: Sense::Block,
        sources: Sources::Unlisted,
        packets: Packets::Attempts,
        target: Some(0.97),
    },
    Scenario {
        name: "attempts on an allow list, allowed",
        sense: Sense::Allow,
        sources: Sources::Listed,
        packets: Packets::Attempts,
        target: Some(0.97),
    },
    Scenario {
        name: "attempts on no allow list, denied",
        sense: Sense::Allow,
        sources: Sources::Unlisted,
        packets: Packets::Attempts,
        target: None,
    },
];

/// The programs of a hook.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hook {
    Xdp,
    Tc,
}

impl Hook {
    /// In the object.
    fn function(self) -> &'static str {
        match self {
            Self::Xdp => "netpolicy",
            Self::Tc => "netpolicy_tc",
        }
    }
}

pub(super) fn run(report: &mut Report, plan: Plan) {
    let before = std::env::var_os(BEFORE_VARIABLE).map(PathBuf::from);
    let Some(before) = before.and_then(|path| fs::read(path).ok()) else {
        report.progress(
            "left out for want of this repository's history: verdicts next to the program before \
             attempts that pass were reported",
        );
        return;
    };
    for (hook, family) in [
        (Hook::Xdp, Family::V4),
        (Hook::Xdp, Family::V6),
        (Hook::Tc, Family::V4),
        (Hook::Tc, Family::V6),
    ] {
        for sense in [Sense::Block, Sense::Allow] {
            measure(report, plan, &before, hook, family, sense);
        }
    }
}

fn measure(
    report: &mut Report,
    plan: Plan,
    before: &[u8],
    hook: Hook,
    family: Family,
    sense: Sense,
) {
    let mut random = Random(ENTRIES as u64);
    let nets = lists::list(Kind::Mix, family, ENTRIES, &mut random);
    let cover = Cover::new(family, &nets);
    let rules = Arc::new(ruleset(Content {
        family,
        sense,
        nets: &nets,
        packets: Packets::Attempts,
    }));
    let mut loaded = Loaded::with_engine(EngineChoice::Flat, &rules);
    let dir = loaded.bpffs_dir().join("live");
    let events = loaded.datapath().take_events().expect("open the events");
    let granting = Granting::begin(events);
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.sense == sense) {
        let figure = figure(hook, family, scenario.name);
        report.progress(&format!("seeing: {figure}"));
        let picked = sources::pick(scenario.sources, &nets, &cover, SOME, |_| true, &mut random);
        let first = scenario.packets.frame(picked[0]);
        let frames: Vec<_> = picked
            .iter()
            .map(|source| frame::with_source(&first, *source))
            .collect();
        let mut times = COLUMNS.map(|_| Vec::new());
        for _ in 0..plan.loads {
            let programs = [NOW, NOW, before, before].map(|object| load(object, &dir, hook));
            turns(&programs, hook, &frames, plan.turns, &granting, &mut times);
        }
        tell(report, figure, scenario.target, &times);
    }
}

/// "listed attempts, denied: XDP, IPv4".
fn figure(hook: Hook, family: Family, name: &str) -> &'static str {
    let hook = match hook {
        Hook::Xdp => "XDP",
        Hook::Tc => "tc ingress",
    };
    let family = match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    // A report keeps names as long as the process lives.
    format!("{name}: {hook}, {family}").leak()
}

/// Each program in each round, each round beginning with the next one and with another packet.
fn turns(
    programs: &[Ebpf; COLUMNS.len()],
    hook: Hook,
    frames: &[Vec<u8>],
    turns: usize,
    granting: &Granting,
    times: &mut [Vec<f64>; COLUMNS.len()],
) {
    thread::scope(|scope| {
        // Of its own, so that this one is kept on no processor.
        scope.spawn(|| {
            pin_to_last_cpu();
            for round in 0..turns {
                let frame = &frames[round % frames.len()];
                for at in 0..programs.len() {
                    let at = (round + at) % programs.len();
                    granting.only_denied(at >= 2);
                    // The one before has taken the caches.
                    judge(&programs[at], hook, frame, REPEAT / 16);
                    times[at].push(judge(&programs[at], hook, frame, REPEAT));
                }
            }
        });
    });
}

/// Nanoseconds of a run.
fn judge(ebpf: &Ebpf, hook: Hook, frame: &[u8], repeat: u32) -> f64 {
    let program = ebpf.program(hook.function()).expect("loaded");
    let options = TestRunOptions {
        data_in: Some(frame),
        repeat,
        ..TestRunOptions::new()
    };
    let begin = processor_time();
    match hook {
        Hook::Xdp => {
            let program: &Xdp = program.try_into().expect("an XDP program");
            program.test_run(options).expect("run the program");
        }
        Hook::Tc => {
            let program: &SchedClassifier = program.try_into().expect("a classifier");
            program.test_run(options).expect("run the program");
        }
    }
    (processor_time() - begin).as_nanos() as f64 / f64::from(repeat)
}

/// What this thread has used of a processor: in that time no other process runs, however many wait.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("read this thread's clock");
    Duration::from(time)
}

fn tell(
    report: &mut Report,
    figure: &'static str,
    target: Option<f64>,
    times: &[Vec<f64>; COLUMNS.len()],
) {
    for (name, times) in COLUMNS.iter().zip(times) {
        report.seen(Measured::of(figure, name, ENTRIES, "ns", times));
    }
    // Rates, as times of the same round.
    let mut ratio = |of: usize, to: usize, target| {
        let ratios: Vec<f64> = times[to]
            .iter()
            .zip(&times[of])
            .map(|(a, b)| a / b)
            .collect();
        report.seen(Measured {
            against: Some(COLUMNS[to]),
            target,
            ..Measured::of(figure, COLUMNS[of], ENTRIES, "times the rate", &ratios)
        });
    };
    ratio(0, 2, target);
    ratio(1, 3, None);
    // The measurement's noise.
    ratio(3, 2, None);
}

/// Loads a program of an object over maps that are pinned, as the agent does.
fn load(object: &[u8], dir: &Path, hook: Hook) -> Ebpf {
    let head = head(dir);
    let (engine, zero) = (Engine::Flat as u32, 0u32);
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    loader.override_global("ENGINE", &engine, true);
    loader.override_global("PROBE", &zero, true);
    loader.override_global("BARE_IP", &zero, true);
    // A loader writes what it finds in the object: here what is in force.
    loader.override_global("CONTROL", head.as_slice(), true);
    loader.map_max_entries("CPUS", nr_cpus().expect("count the processors") as u32);
    let pins: Vec<(String, PathBuf)> = fs::read_dir(dir)
        .expect("list the pins")
        .flatten()
        .filter(|entry| MapData::from_pin(entry.path()).is_ok())
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
            )
        })
        .collect();
    for (name, path) in &pins {
        let section = match name.as_str() {
            "CONTROL" => ".bss.CONTROL",
            name => name,
        };
        loader.map_pin_path(section, path);
    }
    let mut ebpf = loader.load(object).expect("load the object");
    let program = ebpf.program_mut(hook.function());
    let program = program.expect("a program of this name");
    match hook {
        Hook::Xdp => {
            let program: &mut Xdp = program.try_into().expect("an XDP program");
            program.load().expect("load the program");
        }
        Hook::Tc => {
            let program: &mut SchedClassifier = program.try_into().expect("a classifier");
            program.load().expect("load the program");
        }
    }
    ebpf
}

/// What is in force, as bytes.
fn head(dir: &Path) -> Box<[u8; size_of::<Head>()]> {
    let map = MapData::from_pin(dir.join("CONTROL")).expect("open what is in force");
    let map: Array<_, [u8; size_of::<Head>()]> =
        Array::try_from(Map::Array(map)).expect("an array");
    Box::new(map.get(&0, 0).expect("read what is in force"))
}

/// Grants what CPUs may report and reads what they do, as the agent does, until it is dropped.
struct Granting {
    is_over: Arc<AtomicBool>,
    passed: Arc<AtomicU64>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Granting {
    fn begin(mut events: EventReader) -> Self {
        let (is_over, passed) = (Arc::default(), Arc::new(AtomicU64::new(GRANTED.1)));
        let (over, of_passed): (Arc<AtomicBool>, _) = (Arc::clone(&is_over), Arc::clone(&passed));
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                events.grant(GRANTED.0, of_passed.load(Ordering::Relaxed));
                while events.next_event().is_some() {}
                thread::sleep(GRANT_EVERY);
            }
        });
        Self {
            is_over,
            passed,
            thread: Some(thread),
        }
    }

    /// Whether attempts that pass are reported from the next grant on.
    fn only_denied(&self, only: bool) {
        let passed = if only { 0 } else { GRANTED.1 };
        self.passed.store(passed, Ordering::Relaxed);
    }
}

impl Drop for Granting {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
