//! Rulesets as the flat engine's memory: see `netpolicy_common::flat` for the layout.
//!
//! Pure: memory here is a vector of pages; the datapath copies those that changed
//! into the kernel.

mod arena;
mod buckets;
mod build;
mod change;
mod content;
mod difference;
mod family;
mod hosts;
mod key;
mod lists;
mod read;
mod table;
mod trie;

pub use arena::{Arena, Page, Retired};
pub use content::lists as lists_in;
pub use read::{Pages, differences};
pub use trie::{Flat, Roots};

#[cfg(test)]
mod tests;
