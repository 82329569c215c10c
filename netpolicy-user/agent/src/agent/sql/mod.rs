//! Scripts of SQL, statement by statement: what a statement means is `crate::sql`'s, and it is
//! made by the writer as any other change.

mod failure;
mod rehearsal;
mod roles;
pub mod script;

pub use failure::ScriptFailure;
pub use script::{ScriptOutcome, carry_ahead, run};
