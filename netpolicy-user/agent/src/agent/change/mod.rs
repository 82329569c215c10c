//! What a change would do, before it is made: its proposal, whether it is allowed, its impact
//! and what it opens.
//!
//! Goes by what the writer hands it, a [`Situation`], and changes nothing: what is stored and in
//! force is the writer's. Knows neither store nor kernel.

mod action;
mod admitted;
mod at_end;
pub(in crate::agent) mod candidate;
pub mod clients;
pub mod consent;
pub(in crate::agent) mod lockout;
pub mod options;
pub(in crate::agent) mod preflight;
pub mod proposal;
mod seen;
pub mod situation;
mod tested;
pub(in crate::agent) mod warnings;

pub use options::{Carry, ChangeOptions, Consent};
pub use proposal::{Proposal, ProposedFleetRevision};
pub use situation::{Candidate, Situation};
