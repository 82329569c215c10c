//! The references: programs that only return the action, and floors, which do only what
//! no filter can do without.

use aya::{
    Ebpf, EbpfLoader,
    programs::{LinkOrder, SchedClassifier, TcAttachType, Xdp, XdpMode, tc::TcAttachOptions},
};

use super::Filter;
use crate::{
    generator::OBJECT,
    wire::{TESTED, Wire},
};

/// A program that judges nothing, attached as netpolicy is.
pub(crate) struct Bare {
    wire: Wire,
    name: &'static str,
    program: &'static str,
    ebpf: Ebpf,
}

/// The floor of what judges by a packet's source.
pub(crate) const PARSE: &str = "parse and count";
/// The floor of what judges by the fewest bytes that can hold a list's hosts.
pub(crate) const FEWEST: &str = "and one line of the fewest bytes";
/// The floor of what judges by as many bytes as netpolicy's flat engine.
pub(crate) const NEEDED: &str = "and one line of as many as netpolicy";

impl Bare {
    /// Reads attempts, counts and drops them.
    pub(crate) fn parse_only() -> Self {
        Self::attach("parse_only", PARSE, 1)
    }

    /// Reads attempts, counts and drops them, as a line says that the source chooses of so
    /// many.
    pub(crate) fn one_line(name: &'static str, lines: u32) -> Self {
        Self::attach("one_line", name, lines)
    }

    /// Drops everything.
    pub(crate) fn drop_all() -> Self {
        Self::attach("bare_drop", "bare XDP_DROP", 1)
    }

    /// Drops everything, in the generic hook.
    pub(crate) fn drop_all_generic() -> Self {
        let bare = Self::load("bare_drop", "bare XDP_DROP, generic XDP", 1)
            .attached(|ebpf, program| attach_xdp(ebpf, program, XdpMode::Skb));
        bare.wire.poll_without_xdp();
        bare
    }

    /// Drops everything, at tcx.
    pub(crate) fn drop_all_tcx() -> Self {
        let bare = Self::load("bare_drop_tc", "bare TC_ACT_SHOT, tcx", 1).attached(attach_tcx);
        bare.wire.poll_without_xdp();
        bare
    }

    /// Sends everything back.
    pub(crate) fn return_all() -> Self {
        Self::attach("bare_return", "bare XDP_TX", 1)
    }

    /// Sends everything back, at tcx.
    pub(crate) fn return_all_tcx() -> Self {
        let bare = Self::load("bare_return_tc", "bare redirect, tcx", 1).attached(attach_tcx);
        bare.wire.poll_without_xdp();
        bare
    }

    /// Passes everything.
    pub(crate) fn pass_all() -> Self {
        Self::attach("bare_pass", "bare XDP_PASS", 1)
    }

    /// Does what each frame says.
    pub(crate) fn as_told() -> Self {
        Self::attach("bare_told", "bare, as told", 1)
    }

    fn attach(program: &'static str, name: &'static str, lines: u32) -> Self {
        Self::load(program, name, lines)
            .attached(|ebpf, program| attach_xdp(ebpf, program, XdpMode::Driver))
    }

    fn load(program: &'static str, name: &'static str, lines: u32) -> Self {
        let cpus = aya::util::nr_cpus().expect("count the CPUs");
        let ebpf = EbpfLoader::new()
            .override_global("LINE_COUNT", &lines, true)
            .map_max_entries("LINES", lines)
            .map_max_entries("CPUS", cpus as u32)
            .load(OBJECT)
            .expect("load the bare program");
        Self {
            wire: Wire::new(),
            name,
            program,
            ebpf,
        }
    }

    fn attached(mut self, attach: impl FnOnce(&mut Ebpf, &str) + Send) -> Self {
        let (receiver, ebpf) = (self.wire.receiver(), &mut self.ebpf);
        receiver.run(|| attach(ebpf, self.program));
        self
    }

    /// The program.
    pub(crate) fn program(&self) -> &Xdp {
        let program = self.ebpf.program(self.program).expect("loaded above");
        program.try_into().expect("an XDP program")
    }
}

fn attach_xdp(ebpf: &mut Ebpf, program: &str, mode: XdpMode) {
    let program: &mut Xdp = ebpf
        .program_mut(program)
        .expect("a program of this name")
        .try_into()
        .expect("an XDP program");
    program.load().expect("load the bare program");
    program
        .attach(TESTED, mode)
        .expect("attach the bare program");
}

fn attach_tcx(ebpf: &mut Ebpf, program: &str) {
    let program: &mut SchedClassifier = ebpf
        .program_mut(program)
        .expect("a program of this name")
        .try_into()
        .expect("a tc program");
    program.load().expect("load the bare program");
    let first = TcAttachOptions::TcxOrder(LinkOrder::first());
    program
        .attach_with_options(TESTED, TcAttachType::Ingress, first)
        .expect("attach the bare program");
}

impl Filter for Bare {
    fn name(&self) -> &'static str {
        self.name
    }

    fn wire(&self) -> &Wire {
        &self.wire
    }
}
