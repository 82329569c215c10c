//! A program that stands still in its middle.
//!
//! Between reading which generation is in force and looking into its lists, a packet's
//! program takes some nanoseconds; that policies change just then is rare. An
//! interrupt, or a hypervisor that takes the CPU away, can make it milliseconds. This
//! does so on purpose: a hardware breakpoint on the generation's word runs a program
//! that waits, whereupon the one under test goes on with the generation that it read.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use aya::programs::perf_event::{
    BreakpointConfig, PerfBreakpointLength, PerfBreakpointType, PerfEventConfig, PerfEventScope,
    SamplePolicy, SoftwareEvent,
};
use aya::programs::{PerfEvent, ProgramError, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use nix::sched::CpuSet;

use crate::flood::{OBJECT, array, nanoseconds, other_cpus, program, sending_cpu};

/// Stalls the program under test on the flood's CPU, as long as it lives.
pub struct Stalls {
    ebpf: Ebpf,
    /// Whether it is the program under test that stalls, and not whatever the CPU does, and
    /// policies can change meanwhile.
    is_certain: bool,
}

/// One of the stalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall(u64);

/// In how many changes a packet was held up in its program's middle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    held_up: usize,
    changes: usize,
    is_certain: bool,
}

/// How long to wait for a stall: longer than the flood pauses between two bursts.
const PATIENCE: Duration = Duration::from_millis(300);

/// How often to look meanwhile: many times in a stall.
const PAUSE: Duration = Duration::from_micros(100);

impl Stalls {
    /// Lets one packet in so many take so long, by the program pinned in this directory.
    ///
    /// Where there are no hardware breakpoints, it happens to whatever the CPU does at
    /// the time, every other while; that is said on standard error.
    ///
    /// # Panics
    /// When nothing is pinned there, or the kernel refuses.
    #[must_use]
    pub fn start(bpffs_dir: &Path, one_in: u64, length: Duration) -> Self {
        let mut ebpf = EbpfLoader::new()
            .map_pin_path("CONTROL", bpffs_dir.join("live/CONTROL"))
            .load(OBJECT)
            .expect("load the staller");
        let length = nanoseconds(length);
        let mut map = array(&mut ebpf, "STALL");
        map.set(0, length, 0).expect("set the length");

        let locate: &mut Xdp = program(&mut ebpf, "locate");
        locate.load().expect("load the locator");
        let options = TestRunOptions {
            data_in: Some(&[0; 64]),
            ..TestRunOptions::new()
        };
        locate.test_run(options).expect("locate the generation");
        let address = array(&mut ebpf, "LOCATED").get(&0, 0).expect("the address");

        let program: &mut PerfEvent = program(&mut ebpf, "stall");
        program.load().expect("load the staller");
        let breakpoint = PerfEventConfig::Breakpoint(BreakpointConfig::Data {
            r#type: PerfBreakpointType::ReadWrite,
            address,
            length: PerfBreakpointLength::Len8,
        });
        let breakpoint = attach(program, breakpoint, one_in);
        let why_not = match &breakpoint {
            Err(error) => Some(format!(
                "no hardware breakpoints ({error}), so a timer is used"
            )),
            Ok(()) if other_cpus() == CpuSet::new() => Some("there is only one CPU".to_owned()),
            Ok(()) => None,
        };
        if let Some(why_not) = &why_not {
            // Not by a macro: what those print is not shown of a test that succeeds.
            let _ = writeln!(
                std::io::stderr(),
                "not asserted that packets are held up while policies change: {why_not}"
            );
        }
        if breakpoint.is_err() {
            let clock = PerfEventConfig::Software(SoftwareEvent::CpuClock);
            attach(program, clock, 2 * length).expect("attach the staller to a timer");
        }
        let is_certain = why_not.is_none();
        Self { ebpf, is_certain }
    }

    /// Waits until a stall begins, for a while.
    ///
    /// # Panics
    /// When the count of stalls cannot be read.
    pub fn wait(&mut self) -> Option<Stall> {
        let (before, start) = (self.count(), Instant::now());
        while start.elapsed() < PATIENCE {
            let count = self.count();
            if count != before && count % 2 == 1 {
                return Some(Stall(count));
            }
            // Who has slept goes first when it wakes up, also where others keep the CPU busy.
            std::thread::sleep(PAUSE);
        }
        None
    }

    /// Whether a stall that began goes on.
    ///
    /// # Panics
    /// When the count of stalls cannot be read.
    pub fn goes_on(&mut self, stall: Stall) -> bool {
        self.count() == stall.0
    }

    /// How many have begun.
    ///
    /// # Panics
    /// When the count of stalls cannot be read.
    pub fn begun(&mut self) -> u64 {
        self.count().div_ceil(2)
    }

    /// How many have begun and how many have ended, together.
    fn count(&mut self) -> u64 {
        let count = array::<u64>(&mut self.ebpf, "STALLS");
        count.get(&0, 0).expect("read the count")
    }
}

impl Tally {
    /// Counts a change, in which a packet was or was not held up.
    pub fn count(&mut self, stalls: &Stalls, is_held_up: bool) {
        self.is_certain = stalls.is_certain;
        self.changes += 1;
        self.held_up += usize::from(is_held_up);
    }

    /// Fails if it was fewer than one in so many changes, where that can be told.
    ///
    /// # Panics
    /// When it was fewer.
    pub fn assert_one_in(&self, so_many: usize) {
        let is_enough = self.held_up * so_many >= self.changes || !self.is_certain;
        assert!(self.changes > 0 && is_enough, "{self:?}");
    }
}

fn attach(program: &mut PerfEvent, what: PerfEventConfig, period: u64) -> Result<(), ProgramError> {
    let cpu = u32::try_from(sending_cpu()).expect("a CPU's number");
    let scope = PerfEventScope::AllProcessesOneCpu { cpu };
    program.attach(what, scope, SamplePolicy::Period(period), false)?;
    Ok(())
}
