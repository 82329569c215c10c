//! The agent: the long-running process that owns the desired state.
//!
//! Rooms, from the ground up. Each is entered by its door, `mod.rs`, which says what the room
//! is for and what others may use of it; a room imports only rooms above it in this table.
//!
//! | Room | What it is for |
//! |---|---|
//! | `error` | why the agent does not do what it was asked |
//! | [`access`] | who asks: callers, their rights and grants, the audit log |
//! | [`kernel`] | the seams before the datapath, attachments, drift and its repair |
//! | `snapshot` | what the writer publishes for all who only read |
//! | [`change`] | what a change would do, before it is made |
//! | [`confirm`] | changes that are rolled back unless they are confirmed |
//! | [`bypasses`] | bypasses, the same in store and kernel |
//! | [`upkeep`] | care of the store: locks, loss, backups, an older copy |
//! | [`events`] | denied attempts: ring buffer -> names -> listeners |
//! | [`writer`] | the single writer, and the queue to its thread |
//! | [`sql`] | scripts of SQL, made by the writer |
//! | [`http`] | the API on the unix socket; the only importer of axum |
//! | [`start`], [`guard`], [`run()`] | from a configuration to a running agent |
//!
//! Enforcement does not need it: it may crash, stop or be replaced at any time,
//! and nothing that is in force changes. It must never take enforcement down by
//! itself; only `detach` does.

pub mod access;
pub mod bypasses;
pub mod change;
pub mod confirm;
pub mod error;
pub mod events;
pub mod faults;
pub mod guard;
pub mod held;
pub mod http;
pub mod in_force;
pub mod kernel;
pub mod memory;
pub mod progress;
mod run;
pub mod service_manager;
pub mod snapshot;
pub mod sql;
pub mod start;
#[cfg(test)]
pub mod testing;
pub mod upkeep;
pub mod writer;

pub use run::run;
