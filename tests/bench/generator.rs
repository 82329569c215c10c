//! A packet generator.
//!
//! `BPF_PROG_TEST_RUN` with live frames runs a small XDP program over and over; it
//! writes the next source address into the frame and redirects it into a veth. The
//! filter under test works at the veth's peer, in another namespace, on the same CPU.

use std::{
    net::IpAddr,
    ptr,
    time::{Duration, Instant},
};

use aya::{
    Ebpf, EbpfLoader, Pod, include_bytes_aligned,
    maps::{Array, Map, MapData},
    programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp},
};

use crate::{
    filters::Filter,
    frame::{self, Packets},
};

/// The benchmarks' XDP programs.
pub(crate) static OBJECT: &[u8] =
    include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netpolicy-bench-xdp"));

/// As `Config` in `netpolicy-ebpf/src/bench.rs`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Config {
    pub(crate) ifindex: u32,
    pub(crate) family: u32,
    pub(crate) sources: u32,
    pub(crate) next: u32,
    pub(crate) made: u64,
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) made_at_end: u64,
    pub(crate) interval: u64,
    pub(crate) burst: u64,
    pub(crate) time: u64,
}

// SAFETY: `repr(C)`, integers without padding, every bit pattern is valid.
unsafe impl Pod for Config {}

/// Whether the source with this index calls for a drop, where sources are mixed: as
/// in `netpolicy-ebpf/src/bench.rs`.
pub(crate) fn is_set_to_drop(index: u32) -> bool {
    let mixed = index.wrapping_mul(0x9e37_79b1);
    (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca6b) >> 31 != 0
}

/// Frames of one system call.
pub(crate) const CALL: u32 = 1 << 17;

/// What a filter took in a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Million packets a second while packets came: from the generator's first frame to
    /// (nearly) its last.
    pub(crate) mpps: f64,
    /// Nanoseconds to a packet of the rest of the system calls: each waits idle for some 16
    /// to 32 ms in the kernel, whatever the filter.
    pub(crate) idle_ns: f64,
}

impl Run {
    /// Nanoseconds that a packet took while packets came.
    pub(crate) fn ns(&self) -> f64 {
        1e3 / self.mpps
    }
}

/// The generator, with its source addresses.
pub(crate) struct Generator {
    ebpf: Ebpf,
    program: &'static str,
    family: u32,
    sources: u32,
    frame: Vec<u8>,
}

impl Generator {
    /// Packets of one kind from each of `sources` in turn.
    pub(crate) fn new(packets: Packets, sources: &[IpAddr]) -> Self {
        Self::with("generate", packets, sources)
    }

    /// The same for filters that write to frames: each is written again, addressed to the tested
    /// end.
    pub(crate) fn renewing(packets: Packets, sources: &[IpAddr]) -> Self {
        let mut generator = Self::with("generate_again", packets, sources);
        frame::address_to(&mut generator.frame, true);
        let mut template = [0u8; 74];
        template[..generator.frame.len()].copy_from_slice(&generator.frame);
        let map = generator.ebpf.map_mut("TEMPLATE").expect("TEMPLATE");
        let mut map = Array::<_, [u8; 74]>::try_from(map).expect("an array");
        map.set(0, template, 0).expect("set the template");
        generator
    }

    fn with(name: &'static str, packets: Packets, sources: &[IpAddr]) -> Self {
        let count = u32::try_from(sources.len()).expect("sources fit in a map");
        let frame = packets.frame(sources[0]);
        let mut ebpf = load(&frame, sources);
        let program: &mut Xdp = ebpf
            .program_mut(name)
            .expect("a program of this name")
            .try_into()
            .expect("an XDP program");
        program.load().expect("load the generator");
        Self {
            ebpf,
            program: name,
            family: if sources[0].is_ipv6() { 6 } else { 4 },
            sources: count,
            frame,
        }
    }

    /// Sends `calls` times [`CALL`] frames, on the last CPU, going on where the run
    /// before ended. As many go before and are not counted: the filter whose turn it was
    /// has taken the caches, and a flood does not take turns.
    pub(crate) fn run(&mut self, filter: &dyn Filter, calls: u32) -> Run {
        for _ in 0..calls {
            self.call(filter);
        }
        let (mut taken, mut busy, mut elapsed) = (0.0, 0.0, 0.0);
        let received = filter.wire().received();
        for _ in 0..calls {
            let call = self.call(filter);
            taken += call.frames;
            busy += call.busy.as_secs_f64();
            elapsed += call.elapsed.as_secs_f64();
        }
        let received = (filter.wire().received() - received) as f64;
        Run {
            mpps: taken / busy / 1e6,
            idle_ns: (elapsed / received - busy / taken) * 1e9,
        }
    }

    fn call(&mut self, filter: &dyn Filter) -> Call {
        let wire = filter.wire();
        frame::address_to(&mut self.frame, filter.wants_own_packets());
        let begin = Config {
            ifindex: wire.ifindex(),
            family: self.family,
            sources: self.sources,
            next: self.config().next,
            ..Config::default()
        };
        let mut map = self.config_map();
        map.set(0, begin, 0).expect("set the configuration");
        let received = wire.received();
        let program: &Xdp = self
            .ebpf
            .program(self.program)
            .expect("loaded above")
            .try_into()
            .expect("an XDP program");
        let frame = &self.frame;
        let elapsed = wire.sender().run(|| {
            pin_to_last_cpu();
            let options = TestRunOptions {
                data_in: Some(frame),
                repeat: CALL,
                attrs: TestRunAttrs::new().xdp_live_frames(64),
                ..TestRunOptions::new()
            };
            let start = Instant::now();
            program.test_run(options).expect("run the generator");
            start.elapsed()
        });
        let received = (wire.received() - received) as f64;
        let end = self.config();
        Call {
            // When frames come faster than they are taken, some are lost on the wire.
            frames: end.made_at_end as f64 * received / end.made as f64,
            busy: Duration::from_nanos(end.end - end.begin),
            elapsed,
        }
    }

    fn config_map(&mut self) -> Array<&mut MapData, Config> {
        Array::try_from(self.ebpf.map_mut("CONFIG").expect("CONFIG")).expect("an array")
    }

    fn config(&mut self) -> Config {
        let map = self.config_map();
        map.get(&0, 0).expect("read the configuration")
    }
}

/// The programs, with these sources for such frames.
pub(crate) fn load(frame: &[u8], sources: &[IpAddr]) -> Ebpf {
    let ebpf = EbpfLoader::new()
        .map_max_entries("SOURCES", elements(sources) as u32)
        .load(OBJECT)
        .expect("load the generator");
    fill(&ebpf, frame, sources);
    ebpf
}

/// One system call.
struct Call {
    /// Frames that the filter took between the two times that the generator noted.
    frames: f64,
    busy: Duration,
    /// From the call to its return.
    elapsed: Duration,
}

/// Bytes of an element of the map of sources.
const ELEMENT: usize = 16;

/// Bytes that a source takes in it.
fn bytes_of(sources: &[IpAddr]) -> usize {
    if sources[0].is_ipv6() {
        ELEMENT
    } else {
        ELEMENT / 2
    }
}

/// Elements for all of them.
fn elements(sources: &[IpAddr]) -> usize {
    (sources.len() * bytes_of(sources)).div_ceil(ELEMENT)
}

/// Writes the sources into their map, as to memory.
fn fill(ebpf: &Ebpf, frame: &[u8], sources: &[IpAddr]) {
    let Some(Map::Array(map)) = ebpf.map("SOURCES") else {
        panic!("SOURCES is an array");
    };
    let bytes = ELEMENT * elements(sources);
    // SAFETY: a new mapping, at an address of the kernel's choice, of an array that
    // has so many bytes.
    let memory = unsafe {
        rustix::mm::mmap(
            ptr::null_mut(),
            bytes,
            rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
            rustix::mm::MapFlags::SHARED,
            map.fd(),
            0,
        )
    }
    .expect("map the sources into memory");
    let each = bytes_of(sources);
    for (index, source) in sources.iter().enumerate() {
        let source = &frame::source_bytes(frame, *source)[..each];
        // SAFETY: within the mapping, which has room for so many bytes of each source;
        // nothing else writes there, and no program reads yet.
        unsafe {
            let to = memory.cast::<u8>().add(index * each);
            to.copy_from_nonoverlapping(source.as_ptr(), each);
        }
    }
    // SAFETY: the mapping made above, to which no reference is left.
    unsafe { rustix::mm::munmap(memory, bytes) }.expect("unmap the sources");
}

/// Keeps the calling thread on the last CPU, where a machine has the fewest other
/// things to do.
pub(crate) fn pin_to_last_cpu() {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut set = nix::sched::CpuSet::new();
    if set.set(cpus - 1).is_ok() {
        let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set);
    }
}
