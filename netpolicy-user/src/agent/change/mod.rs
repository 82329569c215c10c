//! What a change would do, before it is made: its proposal, whether it may be, whom it denies
//! and what it opens.
//!
//! Changes nothing: what is stored and in force is changed by the writer.

pub mod action;
pub mod clients;
pub mod consent;
pub(in crate::agent) mod lockout;
pub mod options;
pub(in crate::agent) mod preflight;
pub mod proposal;
pub(in crate::agent) mod warnings;

pub use consent::Consent;
pub use options::Options;
pub use proposal::Proposal;
