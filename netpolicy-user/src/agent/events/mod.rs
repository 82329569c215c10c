//! Denied attempts, from the kernel's ring buffer to whoever listens.

pub mod denied;
pub mod stream;

pub use stream::EventHub;
