//! The kernel, as the agent needs it: seams that tests stand in for, the real datapath behind
//! them, what is in force there, and what is attached.
//!
//! Knows no proposal and no store: it is told what is to be in force.

pub mod attach;
pub mod datapath;
pub mod enforcement;
pub mod enforcer;
pub mod interfaces;

pub use datapath::{Inspection, Kernel};
pub use enforcement::{KernelWriter, Prepared};
pub use enforcer::{Allowance, Enforcer, EventSource, Inspector, KillSwitch, LinkSet};
