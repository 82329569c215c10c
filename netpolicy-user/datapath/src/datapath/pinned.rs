//! Which program is pinned, without opening its maps: also one of another version.

use std::path::Path;

use netpolicy_common::ABI_VERSION;

use super::{
    LinkLayer, maps,
    pins::Pins,
    program::{self, Programs},
    sys::link::Kind,
};

/// Whose the pins are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinnedBuild {
    /// Nothing is pinned, or nothing that tells.
    None,
    /// This build's.
    Own,
    /// Of this ABI; the program is another build's.
    OtherProgram,
    /// Of this other ABI.
    OtherAbi(u32),
}

/// Whose the pins under a bpffs directory are.
#[must_use]
pub fn pinned_build(bpffs_dir: &Path) -> PinnedBuild {
    match maps::read_build(&Pins::new(bpffs_dir).live()) {
        None => PinnedBuild::None,
        Some(build) if build.abi != ABI_VERSION => PinnedBuild::OtherAbi(build.abi),
        Some(build) if build.program != program::digest() => PinnedBuild::OtherProgram,
        Some(_) => PinnedBuild::Own,
    }
}

/// Whether the pinned program is compiled for the machine; `None`: none is pinned, or the kernel
/// does not say.
#[must_use]
pub fn jitted(bpffs_dir: &Path) -> Option<bool> {
    let programs = Programs::open(&Pins::new(bpffs_dir).live()).ok()?;
    let info = programs
        .at(Kind::Tc, LinkLayer::Ethernet)
        .ok()?
        .info()
        .ok()?;
    Some(info.size_jitted() > 0)
}
