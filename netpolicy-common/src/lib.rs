//! The ABI between the XDP program and userspace, and nothing else.
//!
//! Everything here is `no_std`, without allocation, and laid out the same on
//! both sides: `repr(C)` without padding, addresses as byte arrays in network
//! order, all other integers in the host's order. A change to any layout or
//! meaning in this crate raises [`ABI_VERSION`].
//!
//! Below this directory stand the crates on which userspace and program build as well:
//! `netpolicy-flat`, the flat engine, and `netpolicy-prefixes`, sets of addresses.
#![no_std]

pub mod answer;
pub mod control;
pub mod event;
pub mod key;
pub mod reason;
pub mod scope;

pub use answer::{Answering, ResetStats};
pub use control::{
    BanHead, Build, Control, CpuHead, Engine, Head, HostPorts, Overrides, SlotHead, SlotInfo,
    ban_slot_of, list_slot_of, slot_of,
};
pub use event::{CpuState, Event, EventStats};
pub use key::{KeyV4, KeyV6, SCOPE_BITS};
pub use reason::{Action, Reason};
pub use scope::{
    BanScopes, EngineWords, FAILSAFE_SCOPE, Governance, HOST_SCOPE, Listing, MAX_SCOPES,
    ScopeConfig, ScopeFlags, ScopeId, ScopeSet,
};

/// The version of everything in this crate, and of what the engines keep in the kernel: the
/// layout in `netpolicy-flat`. Pins made by another version are replaced, never read: a list
/// read with the wrong meaning opens or closes a host.
pub const ABI_VERSION: u32 = 15;

/// Generations of which the kernel keeps ports and scopes: so many that the one to be
/// written was given up long ago, and need not be waited for.
pub const SLOTS: u32 = 8;

/// Generations of which the kernel keeps the LPM engine's lists: the one in force and
/// the one being built.
pub const LIST_SLOTS: u32 = 2;

const _: () = assert!(SLOTS.is_multiple_of(LIST_SLOTS));

/// Sets of bans of which the kernel keeps where they are: so many, as for [`SLOTS`], that the
/// one to be written was given up long ago.
pub const BAN_SLOTS: u32 = 8;
