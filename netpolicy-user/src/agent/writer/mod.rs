//! The single writer, and the queue to its thread.

pub(in crate::agent) mod change;
pub mod core;
pub(in crate::agent) mod reads;
pub(in crate::agent) mod reconcile;
pub mod supervisor;
mod turns;
pub(in crate::agent) mod verify;

pub use self::core::{Settings, Writer};
pub use supervisor::Supervisor;
