//! Builds the objects of this crate, for the build scripts of the crates that load
//! them, into `$OUT_DIR`.
//!
//! DWARF is left out. The types of maps and the source lines of the verifier's messages are in
//! BTF, which stays.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

#[path = "command.rs"]
mod command;
#[path = "../xtask/src/tools.rs"]
#[expect(dead_code, reason = "a build needs no Python")]
mod tools;

use command::Objects;

/// How far the target directory is above `OUT_DIR`: `<profile>/build/<package>/out`.
const ABOVE_OUT_DIR: usize = 4;

/// Builds these binaries of `netpolicy-ebpf`; whether they are there.
pub(crate) fn build_or_say_why(binaries: &[&str]) -> bool {
    let built = build(binaries);
    if let Err(error) = &built {
        // One line, where a returned error would print with its backtrace.
        println!("cargo::error={error:#}");
    }
    built.is_ok()
}

fn build(binaries: &[&str]) -> Result<()> {
    let manifest_dir = env::var("CARGO_MANIFEST_DIR").context("read CARGO_MANIFEST_DIR")?;
    let workspace = Path::new(&manifest_dir)
        .ancestors()
        .find(|directory| directory.join("rust-toolchain.toml").exists())
        .context("find the workspace")?;
    let toolchain = tools::pinned_toolchain(workspace)?;
    let tools_dir = tools::tools_dir(&toolchain)?;
    let linker = tools::bpf_linker(&tools_dir);

    for input in [
        "Cargo.lock",
        "Cargo.toml",
        "rust-toolchain.toml",
        "netpolicy-common/Cargo.toml",
        "netpolicy-common/src",
        "netpolicy-common/flat",
    ] {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(input).display()
        );
    }
    println!("cargo::rerun-if-changed={}", linker.display());
    for variable in [tools::TOOLS_DIR_VARIABLE, "CARGO_HOME"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }

    anyhow::ensure!(
        linker.exists(),
        "bpf-linker is missing: run `cargo xtask setup` (looked for {})",
        linker.display()
    );
    let sysroot = command::sysroot(&toolchain)?;
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").context("read OUT_DIR")?);
    let endian = env::var("CARGO_CFG_TARGET_ENDIAN").context("read CARGO_CFG_TARGET_ENDIAN")?;
    let objects = Objects {
        workspace,
        toolchain: &toolchain,
        sysroot: &sysroot,
        cargo_home: &tools::cargo_home()?,
        linker: &linker,
        arch: &env::var("CARGO_CFG_TARGET_ARCH").context("read CARGO_CFG_TARGET_ARCH")?,
        target: command::target(&endian)
            .with_context(|| format!("an unknown byte order: {endian}"))?,
        // A feature of the crate whose build script this is.
        with_log: env::var_os("CARGO_FEATURE_PROGRAM_LOG").is_some(),
        target_dir: out_dir
            .ancestors()
            .nth(ABOVE_OUT_DIR)
            .with_context(|| format!("find the target directory of {}", out_dir.display()))?,
    };
    let output = objects
        .command(binaries)?
        .output()
        .context("start rustup")?;
    let is_built = output.status.success();
    let kind = if is_built { "warning" } else { "error" };
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        println!("cargo::{kind}={line}");
    }
    anyhow::ensure!(is_built, "the XDP program does not build");
    for name in binaries {
        strip(&sysroot, &objects.built(name), &out_dir.join(name))?;
    }
    println!(
        "cargo::rerun-if-changed={}",
        workspace.join("netpolicy-ebpf").display()
    );
    Ok(())
}

/// Copies an object without what only debuggers read: five sixths of it.
fn strip(sysroot: &Path, from: &Path, to: &Path) -> Result<()> {
    let host = env::var("HOST").context("read HOST")?;
    // The one of binutils knows no BPF.
    let objcopy = sysroot
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-objcopy");
    let output = Command::new(&objcopy)
        .arg("--strip-debug")
        // Loaders go by the offsets that are in place.
        .arg("--remove-section=.rel.BTF.ext")
        .args([from, to])
        .env("LD_LIBRARY_PATH", sysroot.join("lib"))
        .output()
        .with_context(|| {
            format!(
                "start {}: netpolicy needs the toolchain as rustup installs it (https://rustup.rs)",
                objcopy.display()
            )
        })?;
    anyhow::ensure!(
        output.status.success(),
        "strip {}: {}",
        from.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
