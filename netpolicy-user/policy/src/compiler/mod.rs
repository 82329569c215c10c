//! Active policies to what the kernel holds: merged, aggregated, deny-first.
//!
//! Pure. `compile(state).lookup(scope, address)` equals
//! [`crate::model::evaluate()`] for every scope and address.

mod compile;
pub mod effect;
mod index;
mod reduced;
pub mod rehearsal;
pub mod ruleset;
mod scope;
#[cfg(test)]
mod tests;
mod union;

pub use compile::{Compilation, compile};
pub use effect::{Doors, Effects, Exempt, effects, openings};
pub use netpolicy_prefixes::{
    Address, Extent, Prefix, Prefix4, Prefix6, PrefixSet, Prefixes, PrefixesBuilder,
    intervals::aggregate,
};
pub use rehearsal::{Rehearsed, rehearse, scope_of};
pub use ruleset::{Ruleset, ScopeRules};
