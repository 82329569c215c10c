//! Active policies to what the kernel holds: merged, aggregated, deny-first.
//!
//! Pure. `compile(state).lookup(scope, address)` equals
//! [`crate::model::evaluate()`] for every scope and address.

mod compile;
pub mod effect;
mod extent;
pub mod flat;
mod index;
mod intervals;
pub mod prefixes;
pub mod ruleset;
mod scope;
#[cfg(test)]
mod tests;
mod union;

pub use compile::{Compilation, compile};
pub use effect::{Doors, Effects, Exempt, effects, openings};
pub use extent::{Extent, Part, SAMPLE};
pub use intervals::{Address, aggregate};
pub use prefixes::{Chunk, Prefix, Prefix4, Prefix6, PrefixSet, Prefixes, PrefixesBuilder};
pub use ruleset::{Ruleset, ScopeRules};
