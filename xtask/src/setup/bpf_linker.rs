//! bpf-linker, built against the pinned toolchain's own LLVM.
//!
//! The linker reads the compiler's bitcode, so both must be of one LLVM version. The
//! toolchain brings its LLVM as a shared library: linked to that, they always are, and
//! no LLVM of the distribution is needed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use super::{Missing, Step};
use crate::{tools, workspace};

/// The version that is installed.
const VERSION: &str = "0.13.0";

/// The linker in its tools directory.
pub(super) struct BpfLinker {
    pub(super) tools_dir: PathBuf,
    pub(super) sysroot: PathBuf,
}

impl Step for BpfLinker {
    fn missing(&self, shell: &Shell) -> Result<Option<Missing>> {
        // It is run, not only looked for: it does not start when its LLVM is gone.
        let linker = tools::bpf_linker(&self.tools_dir);
        let works = linker.exists()
            && cmd!(shell, "{linker} --version")
                .quiet()
                .ignore_stderr()
                .read()
                .is_ok_and(|answer| answer.trim() == format!("bpf-linker {VERSION}"));
        Ok((!works).then(|| Missing {
            what: format!("bpf-linker {VERSION}"),
            remedy: format!(
                "built from crates.io into {}; takes about a minute, once",
                self.tools_dir.display()
            ),
        }))
    }

    fn install(&self, shell: &Shell) -> Result<()> {
        let lib = self.sysroot.join("lib");
        let llvm = find_llvm(&lib)?;
        let feature = format!("llvm-{}", llvm.major);

        let prefix = self.tools_dir.join("llvm");
        let link = prefix.join("lib/libLLVM.so");
        shell.create_dir(prefix.join("lib"))?;
        shell.remove_path(&link)?;
        symlink(&llvm.path, &link).with_context(|| format!("make {}", link.display()))?;

        let root = &self.tools_dir;
        let mut rpath = std::ffi::OsString::from("-Clink-arg=-Wl,-rpath,");
        rpath.push(&lib);
        let install = cmd!(
            shell,
            "cargo install bpf-linker --version {VERSION} --locked --force
             --no-default-features --features {feature} --root {root}"
        );
        workspace::run_aside(
            install
                .env("LLVM_PREFIX", &prefix)
                .env("CARGO_ENCODED_RUSTFLAGS", rpath),
        )
    }
}

/// The toolchain's LLVM.
#[derive(Debug, PartialEq, Eq)]
struct Llvm {
    path: PathBuf,
    /// 22 of 22.1.
    major: u32,
}

fn find_llvm(lib: &Path) -> Result<Llvm> {
    let entries = fs::read_dir(lib).with_context(|| format!("list {}", lib.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("list {}", lib.display()))?
            .path();
        let name = path.file_name().and_then(std::ffi::OsStr::to_str);
        if let Some(major) = name.and_then(llvm_major) {
            return Ok(Llvm { path, major });
        }
    }
    anyhow::bail!(
        "there is no libLLVM.so.* in {}: netpolicy needs the toolchain as rustup installs it \
         (https://rustup.rs)",
        lib.display()
    )
}

/// The major version in a name such as "libLLVM.so.22.1-rust-1.95.0-stable".
fn llvm_major(file_name: &str) -> Option<u32> {
    let version = file_name.strip_prefix("libLLVM.so.")?;
    version.split(['.', '-']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_llvm_version_is_in_the_library_s_name() {
        assert_eq!(llvm_major("libLLVM.so.22.1-rust-1.95.0-stable"), Some(22));
        assert_eq!(llvm_major("libLLVM.so.23-rust-1.99.0"), Some(23));
        // Next to it lies a linker script of the old naming, which names no version.
        assert_eq!(llvm_major("libLLVM-22-rust-1.95.0-stable.so"), None);
        assert_eq!(llvm_major("libLLVM.so"), None);
        assert_eq!(llvm_major("librustc_driver-6108105cd7e839cf.so"), None);
    }

    #[test]
    fn a_toolchain_without_a_shared_llvm_is_refused() {
        let error = find_llvm(Path::new("/usr/share/doc")).unwrap_err();
        assert!(error.to_string().contains("rustup"), "{error}");
    }
}
