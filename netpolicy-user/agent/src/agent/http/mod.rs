//! The API: HTTP on the unix socket, and how much of it a caller gets.
//!
//! The only importer of axum and hyper. Decides nothing: it asks the writer's queue, the
//! published snapshot and the kernel's read side.

pub mod admission;
mod ahead;
pub mod app;
pub mod error;
pub mod extract;
pub mod found;
pub mod linted;
pub mod quota;
pub mod routes;
pub mod scopes;
pub mod serve;
pub mod socket;
pub mod standing;
pub mod starting;
pub mod throttle;
pub mod views;
