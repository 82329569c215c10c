//! Programs of others on a filtered interface.

use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType, Xdp, XdpMode};
use aya::{Ebpf, include_bytes_aligned};

use crate::NetNs;
use crate::flood::program;

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netpolicy-flood"));

/// A program that is not netpolicy's; it goes when dropped.
pub struct Foreign(#[expect(dead_code, reason = "holds the link")] Ebpf);

impl Foreign {
    /// At the front of an interface's tcx chain, where it accepts every packet: those behind it
    /// see none.
    ///
    /// # Panics
    /// When it cannot be attached.
    #[must_use]
    pub fn accepting_first(ns: &NetNs, interface: &str) -> Self {
        let mut ebpf = Ebpf::load(OBJECT).expect("load the object");
        let classifier: &mut SchedClassifier = program(&mut ebpf, "record");
        classifier.load().expect("load the program");
        let first = TcAttachOptions::TcxOrder(LinkOrder::first());
        let attach = || classifier.attach_with_options(interface, TcAttachType::Ingress, first);
        ns.run(attach).expect("attach before all others");
        Self(ebpf)
    }

    /// At native XDP, where it passes every packet.
    ///
    /// # Panics
    /// When it cannot be attached.
    #[must_use]
    pub fn at_xdp(ns: &NetNs, interface: &str) -> Self {
        let mut ebpf = Ebpf::load(OBJECT).expect("load the object");
        let xdp: &mut Xdp = program(&mut ebpf, "locate");
        xdp.load().expect("load the program");
        ns.run(|| xdp.attach(interface, XdpMode::Driver))
            .expect("attach to XDP");
        Self(ebpf)
    }
}
