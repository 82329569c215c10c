//! Care of the store: one agent owns it, its files exist, and its history continues.
//!
//! Must not decide what the desired state is.

pub mod keeper;
pub mod lock;
pub(in crate::agent) mod unrecorded;
pub mod watch;

pub use keeper::Upkeep;
