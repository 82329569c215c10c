//! The command that builds the objects of this crate.
//!
//! The pinned toolchain builds them, stable as it is: `RUSTC_BOOTSTRAP` allows the
//! `-Z build-std=core` that a target without a ready-made `core` needs. What links
//! them is the bpf-linker that `cargo xtask setup` built against this toolchain's own
//! LLVM; one from elsewhere might not read its bitcode.
//!
//! Not by `aya-build`, which says for which processor (`CARGO_ENCODED_RUSTFLAGS` is its
//! own): LLVM's "v3" has registers and jumps of 32 bits (Linux 5.1), which spare masks
//! and shifts on the way of every packet.
//!
//! What is built does not depend on where it is built: paths of the machine are mapped away.
//!
//! Shared by the build scripts, which need the objects, and `cargo xtask`, which has them
//! built while the dependencies of netpolicy are compiled: cargo itself would begin with
//! them last. Only `std` and `anyhow` here.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// What the objects are built for, and where.
pub(crate) struct Objects<'a> {
    /// The workspace's directory.
    pub(crate) workspace: &'a Path,
    /// The toolchain that the workspace pins: "1.95.0".
    pub(crate) toolchain: &'a str,
    /// Where that is ([`sysroot`]).
    pub(crate) sysroot: &'a Path,
    /// Where cargo keeps the sources of crates.
    pub(crate) cargo_home: &'a Path,
    /// `bpf-linker`.
    pub(crate) linker: &'a Path,
    /// The host's architecture, as `CARGO_CFG_TARGET_ARCH` names it: whose registers probes
    /// would see.
    pub(crate) arch: &'a str,
    /// The target's name for the host's byte order.
    pub(crate) target: &'static str,
    /// Whether the programs log.
    pub(crate) with_log: bool,
    /// Cargo's target directory of the build whose part this is.
    pub(crate) target_dir: &'a Path,
}

/// The BPF target of a byte order, as `CARGO_CFG_TARGET_ENDIAN` names it.
pub(crate) fn target(endian: &str) -> Option<&'static str> {
    match endian {
        "little" => Some("bpfel-unknown-none"),
        "big" => Some("bpfeb-unknown-none"),
        _ => None,
    }
}

impl Objects<'_> {
    /// The directory that all builds share, and with it `core`: cargo holds a lock on the one
    /// that it builds in meanwhile.
    fn directory(&self) -> PathBuf {
        // The same name holds another object.
        let name = if self.with_log { "bpf-log" } else { "bpf" };
        self.target_dir.join(name)
    }

    /// Where the object of a binary is, once it is built.
    pub(crate) fn built(&self, binary: &str) -> PathBuf {
        let release = self.directory().join(self.target).join("release");
        release.join(binary)
    }

    /// Builds these binaries of the crate.
    ///
    /// # Errors
    /// When `PATH` cannot hold the linker's directory.
    pub(crate) fn command(&self, binaries: &[&str]) -> Result<Command> {
        let linker_dir = self
            .linker
            .parent()
            .context("find the linker's directory")?;
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(
            [linker_dir.to_owned()]
                .into_iter()
                .chain(env::split_paths(&path)),
        )
        .context("put the linker on PATH")?;
        let mut cargo = Command::new("rustup");
        cargo
            .args([
                "run",
                self.toolchain,
                "cargo",
                "build",
                "--quiet",
                "--release",
            ])
            .args(["--package", "netpolicy-ebpf"])
            .args(binaries.iter().flat_map(|name| ["--bin", name]))
            .args(["--target", self.target, "-Z", "build-std=core"])
            .arg("--target-dir")
            .arg(self.directory())
            .current_dir(self.workspace.join("netpolicy-ebpf"))
            .env("PATH", path)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_ENCODED_RUSTFLAGS", self.rust_flags())
            // Of the toolchain that builds what this is a part of.
            .env_remove("RUSTC")
            .env_remove("RUSTC_WORKSPACE_WRAPPER");
        if self.with_log {
            cargo.args(["--features", "log"]);
        }
        Ok(cargo)
    }

    /// As cargo takes them from the environment: separated by 0x1f.
    fn rust_flags(&self) -> OsString {
        let mut flags: Vec<OsString> = vec![
            format!("--cfg=bpf_target_arch=\"{}\"", self.arch).into(),
            "-Ctarget-cpu=v3".into(),
            // For the verifier's messages, and for maps' types.
            "-Cdebuginfo=2".into(),
            "-Clink-arg=--btf".into(),
            // The linker copies source lines into BTF. It finds none under the paths below, but
            // those of the crate itself in its debug information: only in the fifth version of
            // DWARF.
            "-Zembed-source=yes".into(),
            "-Cdwarf-version=5".into(),
        ];
        // The last that fits counts.
        for (from, to) in [
            (self.sysroot, "/rust"),
            (self.cargo_home, "/cargo"),
            (self.workspace, "/netpolicy"),
        ] {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.push(from);
            flag.push("=");
            flag.push(to);
            flags.push(flag);
        }
        flags.join(OsStr::new("\u{1f}"))
    }
}

/// Where a toolchain is.
///
/// # Errors
/// When rustup or rustc do not tell.
pub(crate) fn sysroot(toolchain: &str) -> Result<PathBuf> {
    let output = Command::new("rustup")
        .args(["run", toolchain, "rustc", "--print", "sysroot"])
        .output()
        .context("start rustup")?;
    anyhow::ensure!(
        output.status.success(),
        "rustc does not tell its sysroot: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let path = String::from_utf8(output.stdout).context("read the sysroot's path")?;
    Ok(PathBuf::from(path.trim_end()))
}
