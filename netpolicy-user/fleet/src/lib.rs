//! What the hosts of a fleet agree on: pure, so that agent, fleet process and tests share it.
//!
//! A fleet is a set of database hosts with one desired state for each group of them. Its records
//! are in etcd, which is not trusted: an operator's key signs all that decides which revision a
//! host takes, and each host checks the signatures and that no counter goes back.
//!
//! | Module | What it is |
//! |---|---|
//! | `name` | names of fleets, groups and hosts |
//! | `layout` | the keys in etcd |
//! | `record` | revision, head, group, roll-out, host: what is signed |
//! | `signed` | a record as text with its signature, and back |
//! | `keyring` | the keys that a host trusts |
//! | `counters` | the newest records that a host has seen, so that none goes back |
//! | `select` | which revision a host takes |
//! | `evidence` | all that proves which revision a host takes, checked |
//! | `object` | objects of states: as values in etcd, as bytes for the agent, in packs |
//! | `status` | what hosts report |
//! | `api` | what fleet process and agent tell each other |
//!
//! No input or output, no clock, no etcd, no TLS.

pub mod api;
mod counters;
mod evidence;
mod keyring;
mod layout;
mod name;
mod object;
mod record;
mod select;
mod signed;
mod status;
#[cfg(test)]
mod testing;

pub use counters::{Counters, Seen};
pub use evidence::{Evidence, Judged, Refusal};
pub use keyring::{KeyError, Keyring};
pub use layout::{FleetKey, Layout};
pub use name::{FleetName, GroupName, HostId, NameError};
pub use netpolicy_store::store::{ObjectId, ObjectKind, Objects, references};
pub use object::{
    BodyEncoding, LARGEST_BODY, LARGEST_VALUE, ObjectError, PACK_BYTES, PACK_OPERATIONS, checked,
    frame, packs, unframe, value, value_parts,
};
pub use record::{
    Group, Head, HostSpec, Labels, Pin, Revision, Rollout, RolloutState, most_specific,
};
pub use select::{ALL, Selection, bucket, decides, reached, select};
pub use signed::{Opened, Record, SignedError, open, seal, unsigned};
pub use status::{Alive, HostStatus, Phase};
