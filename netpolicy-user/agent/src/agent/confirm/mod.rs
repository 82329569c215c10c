//! Changes that are rolled back unless they are confirmed in time.
//!
//! Knows which change waits, in the store too, and leaves the process that rolls it back when
//! the agent is gone; to roll it back is the writer's.

pub mod guard;
pub mod pending;

pub use guard::Guard;
pub use pending::Confirmation;
