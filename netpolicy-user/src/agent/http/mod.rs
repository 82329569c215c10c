//! The API: HTTP on the unix socket, and how much of it a caller gets.
//!
//! The only importer of axum and hyper. Decides nothing: it asks the writer's queue, the
//! published snapshot and the kernel's read side.

pub mod quota;
pub mod routes;
pub mod serve;
pub mod server;
pub mod standing;
pub mod throttle;
pub mod views;
