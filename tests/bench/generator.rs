//! A packet generator, and a wire to the program under test.
//!
//! `BPF_PROG_TEST_RUN` with live frames runs a small XDP program over and over; it
//! writes the next source address into the frame and redirects it into a veth. The
//! program under test runs at the veth's peer, in another namespace, on the same CPU.

use std::{
    net::IpAddr,
    process::Command,
    time::{Duration, Instant},
};

use aya::{
    Ebpf, EbpfLoader, Pod, include_bytes_aligned,
    maps::Array,
    programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp, XdpMode},
};
use netpolicy_tests::netns::{End, NetNs, join};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netpolicy-bench-xdp"));

/// Frames of one system call.
const CALL: u32 = 1 << 17;

/// As `Config` in `netpolicy-ebpf/src/bench.rs`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Config {
    ifindex: u32,
    family: u32,
    sources: u32,
    next: u32,
}

// SAFETY: `repr(C)`, four equal integers, every bit pattern is valid.
unsafe impl Pod for Config {}

/// A veth pair: the generator's end, and the end where a program is tested.
pub(crate) struct Wire {
    sender: NetNs,
    receiver: NetNs,
    ifindex: u32,
}

/// The tested end's name in its namespace.
pub(crate) const TESTED: &str = "tested";

impl Wire {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = (NetNs::new(), NetNs::new());
        join(
            End {
                ns: &sender,
                interface: "sending",
                mac: "02:00:00:00:00:01",
            },
            End {
                ns: &receiver,
                interface: TESTED,
                mac: "02:00:00:00:00:02",
            },
        );
        let ifindex = sender
            .run(|| nix::net::if_::if_nametoindex("sending"))
            .expect("the wire's end");
        Self {
            sender,
            receiver,
            ifindex,
        }
    }

    /// The namespace with the tested end.
    pub(crate) fn receiver(&self) -> &NetNs {
        &self.receiver
    }

    /// Packets that came to the tested end.
    fn received(&self) -> u64 {
        let out = Command::new("ip")
            .args([
                "-n",
                self.receiver.name(),
                "-json",
                "-stats",
                "link",
                "show",
                "dev",
                TESTED,
            ])
            .output()
            .expect("run ip");
        let links: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON from ip");
        links[0]["stats64"]["rx"]["packets"]
            .as_u64()
            .expect("a packet count")
    }
}

/// Attaches the bare program to the wire's tested end for as long as the answer lives.
pub(crate) fn attach_bare_drop(wire: &Wire) -> Ebpf {
    let mut ebpf = EbpfLoader::new()
        .load(OBJECT)
        .expect("load the bare program");
    wire.receiver.run(|| {
        let program: &mut Xdp = ebpf
            .program_mut("bare_drop")
            .expect("bare_drop")
            .try_into()
            .expect("an XDP program");
        program.load().expect("load the bare program");
        program
            .attach(TESTED, XdpMode::Driver)
            .expect("attach the bare program");
    });
    ebpf
}

/// The generator, with its source addresses.
pub(crate) struct Generator {
    ebpf: Ebpf,
    family: u32,
    sources: u32,
    frame: Vec<u8>,
}

impl Generator {
    /// `frame` is the packet to send; its source address is written over, with each of
    /// `sources` in turn.
    pub(crate) fn new(frame: Vec<u8>, sources: &[IpAddr]) -> Self {
        let count = u32::try_from(sources.len()).expect("sources fit in a map");
        let mut loader = EbpfLoader::new();
        let mut ebpf = loader
            .map_max_entries("SOURCES", count)
            .load(OBJECT)
            .expect("load the generator");
        let mut table: Array<_, [u8; 16]> =
            Array::try_from(ebpf.map_mut("SOURCES").expect("SOURCES")).expect("an array");
        for (index, source) in (0..).zip(sources) {
            let mut bytes = [0; 16];
            match source {
                IpAddr::V4(a) => bytes[..4].copy_from_slice(&a.octets()),
                IpAddr::V6(a) => bytes = a.octets(),
            }
            table.set(index, bytes, 0).expect("set a source");
        }
        let program: &mut Xdp = ebpf
            .program_mut("generate")
            .expect("generate")
            .try_into()
            .expect("an XDP program");
        program.load().expect("load the generator");
        let family = if sources.first().is_some_and(IpAddr::is_ipv6) {
            6
        } else {
            4
        };
        Self {
            ebpf,
            family,
            sources: count,
            frame,
        }
    }

    /// Sends for about `time`, on CPU 1 if there is one. Returns million packets that
    /// the tested end took in a second.
    pub(crate) fn run(&mut self, wire: &Wire, time: Duration) -> f64 {
        let config = Config {
            ifindex: wire.ifindex,
            family: self.family,
            sources: self.sources,
            next: 0,
        };
        let mut map: Array<_, Config> =
            Array::try_from(self.ebpf.map_mut("CONFIG").expect("CONFIG")).expect("an array");
        map.set(0, config, 0).expect("set the configuration");
        let program: &Xdp = self
            .ebpf
            .program("generate")
            .expect("generate")
            .try_into()
            .expect("an XDP program");
        let frame = &self.frame;
        wire.sender.run(|| {
            pin_to_last_cpu();
            let send = || {
                let options = TestRunOptions {
                    data_in: Some(frame),
                    repeat: CALL,
                    attrs: TestRunAttrs::new().xdp_live_frames(64),
                    ..TestRunOptions::new()
                };
                program.test_run(options).expect("run the generator");
            };
            send();
            let before = wire.received();
            let start = Instant::now();
            while start.elapsed() < time {
                send();
            }
            let elapsed = start.elapsed();
            (wire.received() - before) as f64 / elapsed.as_secs_f64() / 1e6
        })
    }
}

fn pin_to_last_cpu() {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut set = nix::sched::CpuSet::new();
    if set.set(cpus - 1).is_ok() {
        let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set);
    }
}
