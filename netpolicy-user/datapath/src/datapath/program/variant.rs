//! The ways in which the program is loaded: for XDP and for tc ingress, at interfaces with
//! Ethernet headers and at those without, and once more as it is asked.

use crate::datapath::{LinkLayer, pins, sys::link::Kind};

/// One way to load the program.
pub(super) struct Variant {
    /// Its pin.
    pub(super) pin: &'static str,
    /// Its entry point: a name in the object file, and in the kernel as far as names go there.
    pub(super) entry: &'static str,
    pub(super) kind: Kind,
    pub(super) link_layer: LinkLayer,
    pub(super) is_probe: bool,
}

const fn variant(
    pin: &'static str,
    entry: &'static str,
    kind: Kind,
    link_layer: LinkLayer,
    is_probe: bool,
) -> Variant {
    Variant {
        pin,
        entry,
        kind,
        link_layer,
        is_probe,
    }
}

/// What is pinned, those at interfaces last. Those in a row that differ in the kind alone are
/// loaded together.
#[rustfmt::skip] // A table.
pub(super) const VARIANTS: [Variant; 5] = [
    variant(pins::PROBE,      "netpolicy_probe", Kind::Xdp, LinkLayer::Ethernet, true),
    variant(pins::PROGRAM,    "netpolicy",       Kind::Xdp, LinkLayer::Ethernet, false),
    variant(pins::TC,         "netpolicy_tc",    Kind::Tc, LinkLayer::Ethernet, false),
    variant(pins::PROGRAM_IP, "netpolicy_ip",    Kind::Xdp, LinkLayer::None,     false),
    variant(pins::TC_IP,      "netpolicy_tc_ip", Kind::Tc, LinkLayer::None,     false),
];

/// What is only asked, and loaded when it is.
#[rustfmt::skip] // A table.
pub(super) const UNPINNED: [Variant; 3] = [
    variant("", "netpolicy_ip",       Kind::Xdp, LinkLayer::None,     true),
    variant("", "netpolicy_tc_probe", Kind::Tc, LinkLayer::Ethernet, true),
    variant("", "netpolicy_tc_ip",    Kind::Tc, LinkLayer::None,     true),
];

/// Which of the pinned programs are meant.
#[derive(Clone, Copy, Debug)]
pub(in crate::datapath) enum Subset<'a> {
    /// All.
    All,
    /// Those for interfaces that run a program of such a kind and have such a link layer.
    Of(&'a [(Kind, LinkLayer)]),
    /// The others.
    AllBut(&'a [(Kind, LinkLayer)]),
}

impl Subset<'_> {
    pub(super) fn has(self, variant: &Variant) -> bool {
        let is_of = |places: &[(Kind, LinkLayer)]| {
            !variant.is_probe && places.contains(&(variant.kind, variant.link_layer))
        };
        match self {
            Self::All => true,
            Self::Of(places) => is_of(places),
            Self::AllBut(places) => !is_of(places),
        }
    }
}

impl Variant {
    /// What is not the same in programs that are loaded together.
    pub(super) fn globals(&self) -> (LinkLayer, bool) {
        (self.link_layer, self.is_probe)
    }
}
