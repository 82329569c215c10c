//! Changes that are rolled back unless they are confirmed in time.

pub mod guard;
pub mod pending;

pub use guard::Guard;
pub use pending::Confirmation;
