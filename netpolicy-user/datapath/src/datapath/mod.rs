//! The kernel's side, seen from userspace: the only importer of `aya`.
//!
//! Owns what is pinned under the bpffs directory: the program, its maps and its
//! links. A compiled [`Ruleset`](crate::compiler::Ruleset) comes in; it is written
//! next to the one in force and put in force by one store. Knows nothing of
//! policies, the store or the agent.
//!
//! ```text
//! <bpffs dir>/live/PROGRAM, PROGRAM_IP, TC, TC_IP, PROBE, PROBE_IP, <map name>…   in force
//!             next/…                      being built, when live cannot be reused
//!             links/<netns>-<ifindex>-<hook>  one bpf_link for each interface;
//!                                 where that name is taken, with the link's id behind it
//! ```

pub mod packet;

mod attach;
mod bans;
mod bpffs;
mod bypass;
mod counters;
mod device;
mod early;
mod engine;
mod error;
mod events;
mod flat;
mod governance;
mod hook;
mod image;
mod install;
mod links;
#[cfg(feature = "program-log")]
mod log;
mod lpm;
mod maps;
mod pinned;
mod pins;
mod program;
mod read_back;
mod reader;
mod requirements;
mod retry;
mod slots;
mod sys;
mod tie;
mod trie_key;
mod verify;

pub use attach::{AttachedInterface, interface_name, running};
pub use bans::{BanLists, PreparedBans};
pub use bpffs::{PinsPlace, pins_place, private_bpffs};
pub use bypass::BypassEntry;
pub use counters::CounterSnapshot;
pub use device::LinkLayer;
pub use early::attach_pinned;
pub use error::DatapathError;
pub use events::EventReader;
pub use hook::Hook;
pub use image::{ImageError, ImageHead, ImageOrigin, ImageReader, enforce_image, write_image};
pub use install::{Datapath, Opened, Options, prepare_dir};
pub use links::{Kept, Links};
pub use pinned::{PinnedBuild, jitted, pinned_build};
pub use program::program_name;
pub use read_back::EnforcedRules;
pub use reader::{
    Enforced, Reader, counters_at, detach_pins, enforced_at, event_stats_at, probe_at,
};
pub use requirements::{check_kernel, check_system};
pub use slots::PreparedSlot;
