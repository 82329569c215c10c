//! Judged attempts, from the kernel's ring buffer to the listeners and to the memory of sources.
//!
//! Reads the kernel and what the writer published; asks the writer for nothing.

pub mod denied;
mod meter;
pub mod recent;
pub mod stream;

pub use stream::EventHub;
