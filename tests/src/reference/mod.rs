//! The reference: what netpolicy's rules say of a frame, and what Linux itself makes of it.
//!
//! Written from the description of the rules, on bytes, slow and obvious. It shares no code
//! with the program in the kernel, the compiler or the oracle: only the names of reasons.

pub mod linux;
pub mod packet;
pub mod rules;

pub use packet::{Class, classify};
pub use rules::{Ban, Bypass, Net, Policy, Rules, Service};

use netpolicy_common::{Action, Reason};

/// The reason that a frame must get: that of what it is, or of the stricter of the two things
/// that it may be.
///
/// `ethernet`: the frame begins with an Ethernet header, else with the IP header.
///
/// # Panics
/// Never: every frame is something.
#[must_use]
pub fn expected(rules: &Rules, ethernet: bool, frame: &[u8]) -> Reason {
    let classes = classify(ethernet, frame);
    let reasons = classes.into_iter().map(|class| match class {
        Class::Pass(reason) => reason,
        Class::Attempt { source, port } => rules.judge(source, port),
        Class::Unclassified { source } => rules.judge_strictest(source),
    });
    let reasons: Vec<Reason> = reasons.collect();
    let drops = reasons.iter().find(|r| r.action() == Action::Drop);
    let denies = reasons.iter().find(|r| r.is_denial());
    let strictest = drops.or(denies).or(reasons.first());
    *strictest.expect("every frame is something")
}

/// Whether a frame is one that asks for a reset: an attempt, and nothing else that it may be read
/// as.
#[must_use]
pub fn resets(rules: &Rules, ethernet: bool, frame: &[u8]) -> bool {
    match classify(ethernet, frame).as_slice() {
        [Class::Attempt { source, port }] => rules.resets(*source, *port),
        _ => false,
    }
}
