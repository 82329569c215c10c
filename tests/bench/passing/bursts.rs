//! Attempts of listed sources at a steady rate, in bursts as a NIC hands packets over: many
//! for each interrupt. An XDP program redirects them into the clients' end of a veth pair.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    maps::Array,
    programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp},
};
use netpolicy_tests::{NetNs, Packet, host::NIC};

use super::cpu::{self, Cpu};
use crate::generator::{self, Config};

/// Frames of a burst: as many as one poll of a NIC's queue brings, or fewer.
const BURST: u64 = 32;

/// Runs of the program that ask it how long a run without a frame takes.
const ASKED: u32 = 1 << 20;

/// What a system call takes at its end, with nothing to do.
const IDLE: Duration = Duration::from_millis(20);

/// The attempts' port.
const PORT: u16 = 5432;

/// A generator of bursts.
pub(crate) struct Bursts {
    ebpf: Ebpf,
    frame: Vec<u8>,
    sources: u32,
    next: u32,
    /// Runs of the program in a second, of which few send a frame.
    runs: f64,
}

impl Bursts {
    pub(crate) fn new(sources: &[IpAddr]) -> Self {
        let frame = Packet::syn(&sources[0].to_string(), PORT).build();
        let mut ebpf = generator::load(&frame, sources);
        program(&mut ebpf).load().expect("load the generator");
        let mut bursts = Self {
            ebpf,
            frame,
            sources: sources.len() as u32,
            next: 0,
            runs: 0.0,
        };
        let begin = Instant::now();
        // Its time was over long ago.
        let over = Config {
            made: 1,
            ..Config::default()
        };
        bursts.call(over, ASKED);
        let time = begin.elapsed().saturating_sub(IDLE);
        bursts.runs = f64::from(ASKED) / time.as_secs_f64().max(1e-3);
        bursts
    }

    /// Sends so many frames a second from the clients' namespace for some time, on the first
    /// processor; `None`: as many as it can.
    pub(crate) fn send(&mut self, clients: &NetNs, rate: Option<f64>, time: Duration) {
        let index = || nix::net::if_::if_nametoindex(NIC).expect("the clients' interface");
        clients.run(|| {
            cpu::pin(Cpu::First);
            let interval = rate.map_or(0.0, |rate| BURST as f64 / rate);
            // What is left when the time is over costs a little more of it.
            let runs = (self.runs * time.as_secs_f64()).min(f64::from(u32::MAX)) as u32;
            let config = Config {
                ifindex: index(),
                interval: (interval * 1e9) as u64,
                burst: BURST,
                time: time.as_nanos() as u64,
                ..Config::default()
            };
            self.call(config, runs);
        });
    }

    fn call(&mut self, config: Config, runs: u32) {
        let config = Config {
            family: 4,
            sources: self.sources,
            next: self.next,
            ..config
        };
        let map = self.ebpf.map_mut("CONFIG").expect("CONFIG");
        let mut map: Array<_, Config> = Array::try_from(map).expect("an array");
        map.set(0, config, 0).expect("configure the generator");
        let options = TestRunOptions {
            data_in: Some(&self.frame),
            repeat: runs.max(1),
            attrs: TestRunAttrs::new().xdp_live_frames(64),
            ..TestRunOptions::new()
        };
        program(&mut self.ebpf)
            .test_run(options)
            .expect("run the generator");
        let map = self.ebpf.map_mut("CONFIG").expect("CONFIG");
        let map: Array<_, Config> = Array::try_from(map).expect("an array");
        self.next = map.get(&0, 0).expect("ask the generator").next;
    }
}

fn program(ebpf: &mut Ebpf) -> &mut Xdp {
    let program = ebpf.program_mut("generate_bursts");
    let program = program.expect("a program of this name");
    program.try_into().expect("an XDP program")
}
