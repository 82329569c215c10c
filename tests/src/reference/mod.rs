//! The reference: what netpolicy's rules say of a frame, and what Linux itself makes of it.
//!
//! Written from the description of the rules, on bytes, slow and obvious. It shares no code
//! with the program in the kernel, the compiler or the oracle: only the names of reasons.

pub mod linux;
pub mod packet;
pub mod rules;

pub use packet::{Class, classify};
pub use rules::{Bypass, Net, Policy, Rules, Service};

use netpolicy_common::Reason;

/// The reason that a frame must get.
///
/// `ethernet`: the frame begins with an Ethernet header, else with the IP header.
#[must_use]
pub fn expected(rules: &Rules, ethernet: bool, frame: &[u8]) -> Reason {
    match classify(ethernet, frame) {
        Class::Pass(reason) => reason,
        Class::Attempt { source, port } => rules.judge(source, port),
        Class::Unclassified { source } => rules.judge_strictest(source),
    }
}
