//! Lists to pages of memory: built, changed and read back. For the layout see
//! [`layout`](crate::layout).
//!
//! Memory here is a vector of pages; userspace copies those that changed into the kernel.
//!
//! ```text
//! scopes (Memory) -> family (one scope and family) -> difference, change -> build -> nodes
//!                                                  -> hosts -> buckets -> key
//!                                                  -> presence
//!                                                  -> arena (pages, and what is free)
//! read: pages against lists; content: pages to lists
//! ```

mod arena;
mod bits;
mod buckets;
mod build;
mod change;
mod content;
mod difference;
mod family;
mod hosts;
mod key;
mod lists;
mod nodes;
mod prefix;
mod presence;
mod read;
mod scopes;
mod table;

pub use arena::{Arena, PageSource, Retired};
pub use content::lists_in;
pub use lists::ScopeLists;
pub use read::differences;
pub use scopes::Memory;

#[cfg(test)]
mod tests;
