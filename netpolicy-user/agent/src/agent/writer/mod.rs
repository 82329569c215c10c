//! The single writer, and the queue to its thread.
//!
//! Owns what it changes: the rooms below it work on the group of state that they are handed.
//! Knows no HTTP.

mod ahead;
mod banning;
mod burst;
mod change;
pub mod core;
mod counted;
mod databases;
mod ending;
mod feeds;
mod fleet;
mod gather;
mod in_fleet;
mod leftovers;
mod reads;
mod reconcile;
mod requests;
mod rule_ends;
mod storekeeping;
pub mod supervisor;
mod turns;
mod verify;

pub use self::core::{Settings, Writer};
pub(in crate::agent) use fleet::MOST_OBJECTS;
#[cfg(test)]
pub(in crate::agent) use reads::revision_view;
pub(in crate::agent) use reads::{aside, judge_aside, on_all_processors};
pub use supervisor::Supervisor;
