//! Policies: what users say, what it means, and what the kernel holds of it.
//!
//! Pure: no I/O, no clock, no threads but rayon's, no kernel. `netpolicy-user` shows these modules
//! as its own; its `lib.rs` has the map.
//!
//! | Module | What it is | Imports of this crate |
//! |---|---|---|
//! | [`model`] | text to state, with every error and its place; changes, and what a state means | nothing |
//! | [`sql`] | SQL in three dialects: text to statements and back | [`model`] |
//! | [`compiler`] | state to ruleset: merged, aggregated, deny-first | [`model`] |
//! | [`database`] | policies of database users to what a database enforces | [`model`], [`compiler`] |

pub mod compiler;
pub mod database;
pub mod model;
pub mod sql;
