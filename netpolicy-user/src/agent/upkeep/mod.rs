//! Care of the store: that one agent has it, that it is there, and that it is the right one.

pub mod keeper;
pub mod lock;
pub(in crate::agent) mod unrecorded;
pub mod watch;

pub use keeper::Upkeep;
