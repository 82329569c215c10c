//! What users say: policies, address lists, services, bindings.
//!
//! Pure: no I/O, no clock, no kernel. Text becomes model here, with every error
//! and its place, and [`evaluate`] says what the model means: slow and obviously
//! right, the oracle that the compiler and the kernel are tested against.

pub mod bypass;
pub mod change;
pub mod error;
pub mod evaluate;
pub mod file;
pub mod list;
pub mod name;
pub mod ports;
pub mod rule;
pub mod state;

pub use bypass::Bypass;
pub use error::{ModelError, Place};
pub use evaluate::{Explanation, ListKind, RuleRef, Verdict, evaluate, explain};
pub use list::RuleList;
pub use name::Name;
pub use ports::{PortRange, PortSet};
pub use rule::Rule;
pub use state::{AllowPart, Binding, Combine, Host, Limits, Mode, Policy, Service, State};
