//! Care of the store: that one agent has it, that it is there, and that it may be gone on from.
//!
//! Must not decide what the desired state is.

pub mod keeper;
pub mod lock;
pub(in crate::agent) mod unrecorded;
pub mod watch;

pub use keeper::Upkeep;
