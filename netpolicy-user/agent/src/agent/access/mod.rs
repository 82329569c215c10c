//! Access control: callers, their privileges, and the audit log.
//!
//! Knows what is in force, to name it; neither the kernel nor HTTP.

pub mod audit;
pub mod caller;
pub mod grants;
pub(in crate::agent) mod notes;
pub mod operator;
pub mod requester;
pub mod rights;

pub use caller::{Caller, Person};
pub use grants::Grants;
pub use requester::{OperatorOrigin, Requester};
