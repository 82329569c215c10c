//! The memory of sources: who came, what became of it, and which rules decided.
//!
//! Fed by what the kernel reports ([`crate::agent::events`]) and counts, attributed by the rules
//! that were in force, held in memory, and written down every few seconds by a thread of its own.
//! Nothing waits for it: a memory that cannot be kept is a fault in the status and no more.

mod deciders;
mod keeper;
mod ledger;
mod memory;
mod models;
mod names;
mod pending;
mod period;
mod policy_attempts;
mod query;
mod rates;
mod records;
mod rows;
mod seen;
mod settle;
mod shared;
mod source_record;
mod sources;
mod tallies;
#[cfg(test)]
mod tests;
mod trials;

pub use self::keeper::{Keeper, start};
pub use self::shared::Observations;
pub use self::tallies::CountedByPolicy;
