//! The agent: the long-running process that owns the desired state.
//!
//! Its rooms, from the ground up: each imports only rooms above it in this table, and others
//! enter it by its door, `mod.rs`. `tests/tests/architecture.rs` checks the table.
//!
//! | Room | What it is for | Imports of the agent |
//! |---|---|---|
//! | `held` | why a store is not gone on from | nothing |
//! | `databases` | what databases are to enforce for their users, and what their helpers say of it | nothing |
//! | `error` | why the agent does not do what it was asked | `databases`, `held` |
//! | `faults` | what is wrong, until it is repaired | nothing |
//! | `in_force` | what is, or should be, in force | nothing |
//! | `progress` | what the writer is doing | nothing |
//! | `memory` | the agent's own memory, and what it uses of the machine | nothing |
//! | `tally` | what the agent counts of its own work | nothing |
//! | `notices` | what hooks are run for | nothing |
//! | `banned` | what is banned now, for readers and the writer | `error` |
//! | `feeds` | what is known of feeds: read, refused, stale | nothing |
//! | `fleet` | the fleet that the host is in: whose signatures count, what of it is in force | nothing |
//! | `snapshot` | what the writer publishes for all who only read | `banned`, `feeds`, `fleet`, `held`, `tally` |
//! | `connected` | who is connected, and since when | `snapshot` |
//! | `access` | callers, their rights and grants, the audit log | `error`, `in_force` |
//! | `rehearsal` | what policies make of sources that came | `error` |
//! | `upkeep` | care of the store: locks, loss, one that is held | `error`, `faults`, `held` |
//! | `kernel` | the seams before the datapath, attachments, drift | `access`, `error`, `faults`, `in_force`, `progress`, `snapshot` |
//! | `change` | what a change would do, before it is made | `access`, `banned`, `error`, `in_force`, `progress`, `rehearsal`, `snapshot` |
//! | `rates` | what was dropped in the last minute | `kernel` |
//! | `confirm` | changes that are rolled back unless they are confirmed | `access`, `error`, `in_force` |
//! | `bypasses` | bypasses, the same in store and kernel | `access`, `banned`, `change`, `error`, `in_force`, `kernel`, `upkeep` |
//! | `bans` | bans, the same in store and kernel; requests done together | `access`, `banned`, `error`, `in_force`, `kernel`, `memory`, `upkeep` |
//! | `events` | judged attempts: ring buffer, names, listeners | `banned`, `error`, `kernel`, `snapshot` |
//! | `observed` | the memory of sources: who came, what decided, how often | `error`, `events`, `memory`, `rehearsal`, `snapshot` |
//! | `writer` | the single writer, and the queue to its thread | `access`, `bans`, `bypasses`, `change`, `confirm`, `databases`, `error`, `faults`, `feeds`, `fleet`, `held`, `in_force`, `kernel`, `memory`, `notices`, `progress`, `rehearsal`, `snapshot`, `tally`, `upkeep` |
//! | `reload` | what of the configuration is in force, and its reload | `access`, `error`, `kernel`, `writer` |
//! | `service_manager` | what systemd is told | `reload`, `snapshot` |
//! | `next_boot` | the snapshot for the next boot, kept behind what is in force | `banned`, `memory`, `snapshot` |
//! | `sql` | scripts of SQL, made by the writer | `access`, `change`, `error`, `in_force`, `writer` |
//! | `http` | the API; the only importer of axum and hyper | `access`, `banned`, `bans`, `bypasses`, `change`, `confirm`, `connected`, `databases`, `error`, `events`, `feeds`, `fleet`, `in_force`, `kernel`, `memory`, `notices`, `observed`, `rates`, `rehearsal`, `reload`, `snapshot`, `sql`, `writer` |
//! | `start` | from a configuration to a writer | `bans`, `confirm`, `error`, `held`, `http`, `kernel`, `upkeep`, `writer` |
//! | `guard` | the process that rolls back when no agent runs | `start`, `upkeep` |
//! | `run` | the agent's run, from its locks to its last word | `banned`, `connected`, `events`, `http`, `kernel`, `memory`, `next_boot`, `notices`, `observed`, `rates`, `reload`, `service_manager`, `snapshot`, `start`, `upkeep`, `writer` |
//!
//! Enforcement does not need it: it may crash, stop or be replaced at any time,
//! and nothing that is in force changes. It must never take enforcement down by
//! itself; only `detach` does.

pub mod access;
pub mod banned;
pub mod bans;
pub mod bypasses;
pub mod change;
pub mod confirm;
pub mod connected;
pub mod databases;
pub mod error;
pub mod events;
pub mod faults;
pub mod feeds;
pub mod fleet;
pub mod guard;
pub mod held;
pub mod http;
pub mod in_force;
pub mod kernel;
pub mod memory;
mod next_boot;
pub mod notices;
pub mod observed;
pub mod progress;
pub mod rates;
pub mod rehearsal;
pub mod reload;
mod run;
pub mod service_manager;
pub mod snapshot;
pub mod sql;
pub mod start;
pub mod tally;
#[cfg(test)]
pub mod testing;
pub mod upkeep;
pub mod writer;

pub use run::run;
