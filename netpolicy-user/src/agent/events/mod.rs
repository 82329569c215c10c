//! Denied attempts, from the kernel's ring buffer to the listeners.
//!
//! Reads the kernel and what the writer published; asks the writer for nothing.

pub mod denied;
pub mod recent;
pub mod stream;

pub use stream::EventHub;
