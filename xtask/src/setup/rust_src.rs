//! The standard library's source, of which the XDP program's `core` is built.

use std::path::PathBuf;

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use super::{Missing, Step};
use crate::workspace;

/// The component `rust-src` of the pinned toolchain. rustup brings it along when it
/// installs the toolchain for `rust-toolchain.toml`, but not to one already there.
pub(super) struct RustSrc {
    pub(super) toolchain: String,
    pub(super) sysroot: PathBuf,
}

impl Step for RustSrc {
    fn missing(&self, _shell: &Shell) -> Result<Option<Missing>> {
        let source = self
            .sysroot
            .join("lib/rustlib/src/rust/library/core/src/lib.rs");
        Ok((!source.exists()).then(|| Missing {
            what: "rust-src".to_owned(),
            remedy: format!("added to the toolchain {} by rustup", self.toolchain),
        }))
    }

    fn install(&self, shell: &Shell) -> Result<()> {
        if which::which("rustup").is_err() {
            bail!(
                "there is no rustup to add it with: install the standard library's source into {}",
                self.sysroot.join("lib/rustlib/src/rust").display()
            );
        }
        let toolchain = &self.toolchain;
        workspace::run_aside(cmd!(
            shell,
            "rustup component add rust-src --toolchain {toolchain}"
        ))
    }
}
