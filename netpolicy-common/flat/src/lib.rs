//! The flat engine: how lists lie in pages of memory, and all that is done with them.
//!
//! | Module | |
//! |---|---|
//! | [`layout`] | what the pages hold: part of the ABI between program and userspace |
//! | [`lookup`] | whether an address is listed: what the program runs, and tests on the host |
//! | `memory` | lists to pages, changed without a write to what is in force, and read back; with the feature `user` |
//!
//! Pure. The program's side, maps and helpers, is `netpolicy-ebpf/src/flat.rs`; userspace's
//! side, which copies pages into the kernel, is `netpolicy-user/datapath/src/datapath/flat.rs`. Nothing
//! else knows this crate.
#![cfg_attr(not(feature = "user"), no_std)]

pub mod layout;
pub mod lookup;
#[cfg(feature = "user")]
pub mod memory;
