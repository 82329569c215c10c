//! Frames sent as fast as the machine can, each of which tells whether it got through.
//!
//! A program numbers the frames and sends them into a veth in bursts; the program
//! under test runs at the veth's other end; behind it another program notes which
//! numbers come by (`netpolicy-ebpf/src/flood.rs`). Nothing here knows what should
//! get through.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use aya::maps::{Array, MapData};
use aya::programs::{
    SchedClassifier, TcAttachType, TestRun, TestRunAttrs, TestRunOptions, Xdp, tc,
};
use aya::{Ebpf, EbpfLoader, Pod, include_bytes_aligned};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::history::Window;
use crate::shifting::Probe;
use crate::{NetNs, Packet};

pub(crate) static OBJECT: &[u8] =
    include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netpolicy-flood"));

/// As in `netpolicy-ebpf/src/flood.rs`.
const WORDS: usize = 11;
const PAGES: u32 = 128;
const PAGE: u32 = 1024;
const BLOCK: u32 = 512;
const BLOCKS: u32 = PAGES * PAGE / BLOCK;

type RecordPage = [u32; PAGE as usize];

/// Blocks after which all frames of a block have been judged: fewer than `BLOCK` are
/// between the sender and the program under test, in batches and the veth's queue.
const JUDGED: u32 = 2;

/// Frames that the kernel hands over at once: fewer than a veth's queue holds (256).
const BATCH: u32 = 64;

/// How long to send in a burst. The system call takes some 20 ms more.
const BURST: Duration = Duration::from_millis(60);

/// How long a burst's frames may take to be judged, on a loud machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// As `Config` in `netpolicy-ebpf/src/flood.rs`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Config {
    until: u64,
    ifindex: u32,
    frames: u32,
    next: u32,
    is_over: u32,
}

// SAFETY: `repr(C)`, integers without padding, every bit pattern is valid.
unsafe impl Pod for Config {}

/// An interface in a namespace.
#[derive(Clone, Copy, Debug)]
pub struct Port<'a> {
    /// The namespace.
    pub ns: &'a NetNs,
    /// The interface's name.
    pub interface: &'a str,
}

/// A sender at one end of a veth and a recorder at the other.
pub struct Flood<'a> {
    from: Port<'a>,
    sender: Sender,
}

/// What sends, on the thread that it has to be used on; see [`Flood::run`].
pub struct Sender {
    ebpf: Ebpf,
    config: Config,
    /// The receiving namespace's interface statistics.
    statistics: File,
    interface: String,
}

/// What became of some laps of frames.
#[derive(Clone, Debug)]
pub struct Burst {
    /// The frames, in the order in which they were sent; when some were lost, only as far
    /// as the last one that got through: what became of all before it is known.
    pub blocks: Vec<Block>,
    /// Frames that were sent, including those of no probe.
    pub sent: u64,
    /// Of these, those that got through.
    pub through: u64,
    /// Frames that were lost before or behind the program under test.
    pub lost: u64,
    /// Frames after the last one that got through: they may still be on their way.
    pub open: u64,
}

/// Frames that were sent about the same time.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// What the clock said before the first of them was sent.
    pub before: Option<Window>,
    /// What the clock said after the last of them was judged.
    pub after: Option<Window>,
    /// Which probes they were, and whether they got through.
    pub frames: Vec<(usize, bool)>,
}

impl Burst {
    /// Whether none was lost. If not, one that did not get through may have been.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lost == 0
    }
}

/// What the sender takes the time from: the steps that may be in force.
pub struct Clock(Array<MapData, u64>);

impl Clock {
    /// Tells it the present moment.
    ///
    /// # Panics
    /// When it cannot be told.
    pub fn set(&mut self, now: Window) {
        let [earliest, latest] = [now.earliest, now.latest].map(|step| step as u64);
        self.0
            .set(0, earliest << 32 | latest, 0)
            .expect("set the clock");
    }
}

/// What a moment that was set says.
fn window(moment: u64) -> Window {
    let half = |bits: u64| usize::try_from(bits & 0xffff_ffff).expect("32 bits");
    Window {
        earliest: half(moment >> 32),
        latest: half(moment),
    }
}

impl<'a> Flood<'a> {
    /// Frames that are sent in turn, from one end of a veth to the other, where the
    /// program under test is or will be attached: the SYNs of probes.
    ///
    /// # Panics
    /// When the kernel refuses something.
    #[must_use]
    pub fn new(from: Port<'a>, to: Port<'_>, probes: &[Probe]) -> Self {
        // Every lap ends with a frame that no policy denies: when it is there, then so
        // are all that were sent before it.
        let end = Packet::udp("10.0.0.1", 9).build();
        let syn = |probe: &Probe| Packet::syn(&probe.source.to_string(), probe.port).build();
        let frames: Vec<_> = probes
            .iter()
            .map(syn)
            .chain([end])
            .map(|frame| words(&frame))
            .collect();
        let count = u32::try_from(frames.len()).expect("a small number");
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("FRAMES", count)
            .load(OBJECT)
            .expect("load the flood's programs");
        let mut table = array::<[u64; WORDS]>(&mut ebpf, "FRAMES");
        for (index, frame) in (0..).zip(&frames) {
            table.set(index, frame, 0).expect("set a frame");
        }
        let program: &mut Xdp = program(&mut ebpf, "send");
        program.load().expect("load the sender");
        let statistics = to.ns.run(|| {
            record(&mut ebpf, to.interface);
            File::open("/proc/thread-self/net/dev").expect("open the interface statistics")
        });
        let ifindex = from
            .ns
            .run(|| nix::net::if_::if_nametoindex(from.interface))
            .expect("the sending interface exists");
        let config = Config {
            until: 0,
            ifindex,
            frames: count,
            // The recorder's memory is full of zeros: no frame has that number.
            next: count,
            is_over: 0,
        };
        let interface = to.interface.to_owned();
        let sender = Sender {
            ebpf,
            config,
            statistics,
            interface,
        };
        Self { from, sender }
    }

    /// The clock, once.
    ///
    /// # Panics
    /// When it was taken before.
    #[must_use]
    pub fn take_clock(&mut self) -> Clock {
        let map = self.sender.ebpf.take_map("MOMENT").expect("taken once");
        Clock(Array::try_from(map).expect("an array"))
    }

    /// Packets that the program under test has seen since the interface was made, and
    /// those lost around it.
    ///
    /// # Panics
    /// When the statistics cannot be read.
    #[must_use]
    pub fn received(&self) -> (u64, u64) {
        self.sender.received()
    }

    /// Runs `work` on a thread that may send: in the sender's namespace, on one CPU.
    pub fn run<T: Send>(&mut self, work: impl FnOnce(&mut Sender) -> T + Send) -> T {
        let sender = &mut self.sender;
        self.from.ns.run(move || {
            let mut cpus = CpuSet::new();
            cpus.set(sending_cpu()).expect("a CPU's number");
            // Order is kept by the veth's queue anyway, wherever frames are sent from.
            let _ = sched_setaffinity(Pid::from_raw(0), &cpus);
            work(sender)
        })
    }
}

impl Sender {
    /// Sends every frame in turn for `BURST`, but at least once, or as often as the
    /// recorder can remember.
    ///
    /// # Panics
    /// When the kernel refuses to send.
    pub fn burst(&mut self) -> Burst {
        let first = self.config.next;
        let before = self.received();
        // Where the CPU does something else meanwhile, time can be over before it begins.
        while self.config.next == first {
            self.send();
        }
        let last = self.config.next - 1;
        let lost = self.settle(last, self.config.next - first, before);
        self.recorded(first, last, lost)
    }

    fn send(&mut self) {
        let most = PAGES * PAGE - PAGES * PAGE % self.config.frames;
        self.config.until = nanoseconds(now() + BURST);
        let mut config = array(&mut self.ebpf, "CONFIG");
        config.set(0, self.config, 0).expect("configure the sender");
        let program: &mut Xdp = program(&mut self.ebpf, "send");
        let frame = [0; WORDS * 8];
        let options = TestRunOptions {
            data_in: Some(&frame),
            repeat: most,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::new()
        };
        program.test_run(options).expect("send");
        let config: Config = array(&mut self.ebpf, "CONFIG")
            .get(&0, 0)
            .expect("ask the sender");
        self.config.next = config.next;
    }

    /// Waits until so many frames, of which this is the last, were judged or lost; says how
    /// many were lost.
    fn settle(&mut self, last: u32, sent: u32, before: (u64, u64)) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.received();
            let (received, lost) = (now.0 - before.0, now.1 - before.1);
            // Others may send too, so the last one must be there, unless it may be lost.
            if received + lost >= u64::from(sent) && (lost > 0 || self.got(last)) {
                return lost;
            }
            assert!(
                Instant::now() < deadline,
                "of {sent} frames {received} were judged and {lost} lost"
            );
            std::thread::yield_now();
        }
    }

    /// What was recorded of the frames of these numbers.
    fn recorded(&mut self, first: u32, last: u32, lost: u64) -> Burst {
        let moments: [u64; BLOCKS as usize] = array(&mut self.ebpf, "MOMENTS")
            .get(&0, 0)
            .expect("read the moments");
        let moment = |block: u32| {
            let start = block * BLOCK;
            let moment = moments[(block % BLOCKS) as usize];
            (first..=last).contains(&start).then(|| window(moment))
        };
        let is_through = self.through(first, last);
        let arrived = is_through.iter().rposition(|is_through| *is_through);
        let known = match lost {
            0 => is_through.len(),
            _ => arrived.map_or(0, |at| at + 1),
        };
        let mut blocks: Vec<Block> = Vec::new();
        for (number, &is_through) in (first..).zip(&is_through[..known]) {
            let block = number / BLOCK;
            if number == first || number.is_multiple_of(BLOCK) {
                blocks.push(Block {
                    before: moment(block),
                    after: moment(block + JUDGED),
                    frames: Vec::with_capacity(BLOCK as usize),
                });
            }
            // The last frame of a lap belongs to no probe.
            let probe = number % self.config.frames;
            if probe + 1 < self.config.frames
                && let Some(block) = blocks.last_mut()
            {
                block.frames.push((probe as usize, is_through));
            }
        }
        let through = is_through.iter().filter(|is_through| **is_through);
        Burst {
            blocks,
            sent: is_through.len() as u64,
            through: through.count() as u64,
            lost,
            open: (is_through.len() - known) as u64,
        }
    }

    /// Whether the frames of these numbers got through.
    fn through(&mut self, first: u32, last: u32) -> Vec<bool> {
        let mut page = [0; PAGE as usize];
        let got = |number: u32| {
            if number == first || number.is_multiple_of(PAGE) {
                page = self.page(number);
            }
            page[(number % PAGE) as usize] == number
        };
        (first..=last).map(got).collect()
    }

    fn got(&mut self, number: u32) -> bool {
        self.page(number)[(number % PAGE) as usize] == number
    }

    /// The page of the record that holds a number.
    fn page(&mut self, number: u32) -> RecordPage {
        let page = array(&mut self.ebpf, "THROUGH").get(&(number / PAGE % PAGES), 0);
        page.expect("read the record")
    }

    fn received(&self) -> (u64, u64) {
        let mut text = vec![0; 4096];
        let read = self.statistics.read_at(&mut text, 0);
        let text = String::from_utf8_lossy(&text[..read.expect("read the statistics")]);
        // Receive: bytes, packets, errs, drop, …; see `net/core/net-procfs.c`.
        let line = text.lines().find_map(|line| {
            let (name, fields) = line.split_once(':')?;
            (name.trim() == self.interface).then_some(fields)
        });
        let mut fields = line.expect("the receiving interface").split_whitespace();
        let mut number = |skip| -> u64 {
            fields
                .nth(skip)
                .expect("a field")
                .parse()
                .expect("a number")
        };
        (number(1), number(1))
    }
}

/// Attaches the recorder, behind what is or will be attached to XDP.
fn record(ebpf: &mut Ebpf, interface: &str) {
    // Only kernels before 6.6 need it.
    let _ = tc::qdisc_add_clsact(interface);
    let program: &mut SchedClassifier = program(ebpf, "record");
    program.load().expect("load the recorder");
    program
        .attach(interface, TcAttachType::Ingress)
        .expect("attach the recorder");
}

fn words(frame: &[u8]) -> [u64; WORDS] {
    assert!(frame.len() <= (WORDS - 1) * 8, "no room for the stamp");
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(frame.chunks(8)) {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_ne_bytes(whole);
    }
    words
}

pub(crate) fn program<'e, P>(ebpf: &'e mut Ebpf, name: &str) -> &'e mut P
where
    &'e mut P: TryFrom<&'e mut aya::programs::Program, Error: std::fmt::Debug>,
{
    let program = ebpf.program_mut(name).expect("a program of the object");
    program.try_into().expect("a program of this type")
}

pub(crate) fn array<'e, V: Pod>(ebpf: &'e mut Ebpf, name: &str) -> Array<&'e mut MapData, V> {
    let map = ebpf.map_mut(name).expect("a map of the object");
    Array::try_from(map).expect("an array")
}

/// The kernel's monotonic clock.
fn now() -> Duration {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC);
    now.expect("the clock is there").into()
}

pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("less than 500 years")
}

/// Lets the calling thread use any CPU but the one that frames are sent from, where
/// there is another.
pub(crate) fn leave_sending_cpu() {
    // An empty set is refused.
    let _ = sched_setaffinity(Pid::from_raw(0), &other_cpus());
}

/// The CPUs that this process may use, but the one that frames are sent from.
pub(crate) fn other_cpus() -> CpuSet {
    let mut cpus = own_cpus();
    let _ = cpus.unset(sending_cpu());
    cpus
}

/// The last CPU that this process may use.
pub(crate) fn sending_cpu() -> usize {
    let own = own_cpus();
    let is_ours = |cpu: &usize| own.is_set(*cpu).unwrap_or(false);
    (0..CpuSet::count()).rev().find(is_ours).expect("a CPU")
}

/// The CPUs of the process's first thread, which is not restricted here.
fn own_cpus() -> CpuSet {
    sched_getaffinity(Pid::this()).expect("ask for the CPUs")
}
