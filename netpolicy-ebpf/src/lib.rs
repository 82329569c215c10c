//! What the XDP program decides, apart from the kernel: reading packets and
//! judging sources.
//!
//! Pure and `no_std`; it builds for the host as well, where its unit tests run.
//! The program itself, with its maps and helper calls, is in `main.rs`.
#![cfg_attr(not(test), no_std)]

pub mod judge;
pub mod packet;

pub use judge::{SourceLists, banned, enforced, is_stricter, judge, unclassified};
pub use packet::{
    Addresses, Bytes, Chain, Family, Layer, Load, Plain, Ports, Segment, Subject, other_reading,
    parse, parse_plain, plain_port_v4, plain_port_v6, plain_source_v4, plain_source_v6,
};
