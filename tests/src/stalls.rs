//! A program that stands still in its middle.
//!
//! Between reading which generation is in force and looking into its lists, a packet's
//! program takes some nanoseconds; that policies change just then is rare. An
//! interrupt, or a hypervisor that takes the CPU away, can make it milliseconds. This
//! does so on purpose: a hardware breakpoint on the generation's word runs a program
//! that waits, whereupon the one under test goes on with the generation that it read.

use std::path::Path;
use std::time::{Duration, Instant};

use aya::programs::perf_event::{
    BreakpointConfig, PerfBreakpointLength, PerfBreakpointType, PerfEventConfig, PerfEventScope,
    SamplePolicy, SoftwareEvent,
};
use aya::programs::{PerfEvent, ProgramError, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};

use crate::flood::{OBJECT, array, nanoseconds, program, sending_cpu};

/// Stalls the program under test on the flood's CPU, as long as it lives.
pub struct Stalls {
    ebpf: Ebpf,
}

/// How long to wait for a stall: where nothing is sent just now, there is none.
const PATIENCE: Duration = Duration::from_millis(20);

impl Stalls {
    /// Lets one packet in so many take so long, by the program pinned in this directory.
    ///
    /// Where there are no hardware breakpoints, it happens to whatever the CPU does at
    /// the time, every other while.
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
        if let Err(error) = attach(program, breakpoint, one_in) {
            eprintln!("no hardware breakpoints ({error}), so a timer is used");
            let clock = PerfEventConfig::Software(SoftwareEvent::CpuClock);
            attach(program, clock, 2 * length).expect("attach the staller to a timer");
        }
        Self { ebpf }
    }

    /// Waits until a stall begins, for a while.
    ///
    /// # Panics
    /// When the count of stalls cannot be read.
    pub fn wait(&mut self) {
        let count = array::<u64>(&mut self.ebpf, "STALLS");
        let stalls = || count.get(&0, 0).expect("read the count");
        let (before, start) = (stalls(), Instant::now());
        let is_in_another = |stalls: u64| stalls != before && stalls % 2 == 1;
        while !is_in_another(stalls()) && start.elapsed() < PATIENCE {}
    }
}

fn attach(program: &mut PerfEvent, what: PerfEventConfig, period: u64) -> Result<(), ProgramError> {
    let cpu = u32::try_from(sending_cpu()).expect("a CPU's number");
    let scope = PerfEventScope::AllProcessesOneCpu { cpu };
    program.attach(what, scope, SamplePolicy::Period(period), false)?;
    Ok(())
}
