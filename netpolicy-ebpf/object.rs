//! Builds the objects of this crate, for the build scripts of the crates that load
//! them, into `$OUT_DIR`.
//!
//! The pinned toolchain builds them, stable as it is: `RUSTC_BOOTSTRAP` allows the
//! `-Z build-std=core` that a target without a ready-made `core` needs. What links
//! them is the bpf-linker that `cargo xtask setup` built against this toolchain's own
//! LLVM; one from elsewhere might not read its bitcode.
//!
//! What is built in does not depend on where it is built: paths of the machine are mapped away,
//! and DWARF is left out. The types of maps and the source lines of the verifier's messages are
//! in BTF, which stays.
//!
//! Not by `aya-build`, which says for which processor (`CARGO_ENCODED_RUSTFLAGS` is its
//! own): LLVM's "v3" has registers and jumps of 32 bits (Linux 5.1), which spare masks
//! and shifts on the way of every packet.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

#[path = "../xtask/src/tools.rs"]
#[expect(dead_code, reason = "a build needs no Python")]
mod tools;

/// The BPF target of the host's byte order.
const TARGETS: [(&str, &str); 2] = [
    ("little", "bpfel-unknown-none"),
    ("big", "bpfeb-unknown-none"),
];

/// A build script's whole work: builds these binaries of `netpolicy-ebpf`.
pub(crate) fn build_or_say_why(binaries: &[&str]) {
    if let Err(error) = build(binaries) {
        // One line, where a returned error would print with its backtrace.
        println!("cargo::error={error:#}");
    }
}

fn build(binaries: &[&str]) -> Result<()> {
    let manifest_dir = env::var("CARGO_MANIFEST_DIR").context("read CARGO_MANIFEST_DIR")?;
    let workspace = Path::new(&manifest_dir)
        .parent()
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
    let linker_dir = linker.parent().context("find the linker's directory")?;
    let sysroot = sysroot(&toolchain)?;
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(
        [linker_dir.to_owned()]
            .into_iter()
            .chain(env::split_paths(&path)),
    )
    .context("put the linker on PATH")?;
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").context("read OUT_DIR")?);
    // A directory of its own: cargo holds a lock on the one that it builds in now.
    let target_dir = out_dir.join("ebpf");
    let endian = env::var("CARGO_CFG_TARGET_ENDIAN").context("read CARGO_CFG_TARGET_ENDIAN")?;
    let target = TARGETS.iter().find(|(order, _)| *order == endian);
    let (_, target) = target.with_context(|| format!("an unknown byte order: {endian}"))?;

    let mut cargo = Command::new("rustup");
    cargo
        .args(["run", &toolchain, "cargo", "build", "--quiet", "--release"])
        .args(["--package", "netpolicy-ebpf"])
        .args(binaries.iter().flat_map(|name| ["--bin", name]))
        .args(["--target", target, "-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(&target_dir)
        .current_dir(workspace.join("netpolicy-ebpf"))
        .env("PATH", path)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags(workspace, &sysroot)?)
        // Of the toolchain that builds this script.
        .env_remove("RUSTC")
        .env_remove("RUSTC_WORKSPACE_WRAPPER");
    // A feature of the crate whose build script this is.
    if env::var_os("CARGO_FEATURE_PROGRAM_LOG").is_some() {
        cargo.args(["--features", "log"]);
    }
    let output = cargo.output().context("start rustup")?;
    let is_built = output.status.success();
    let kind = if is_built { "warning" } else { "error" };
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        println!("cargo::{kind}={line}");
    }
    anyhow::ensure!(is_built, "the XDP program does not build");
    for name in binaries {
        let built = target_dir.join(target).join("release").join(name);
        strip(&sysroot, &built, &out_dir.join(name))?;
    }
    println!(
        "cargo::rerun-if-changed={}",
        workspace.join("netpolicy-ebpf").display()
    );
    Ok(())
}

/// Where the toolchain is.
fn sysroot(toolchain: &str) -> Result<PathBuf> {
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

/// As cargo takes them from the environment: separated by 0x1f.
fn rust_flags(workspace: &Path, sysroot: &Path) -> Result<OsString> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").context("read CARGO_CFG_TARGET_ARCH")?;
    let mut flags = vec![
        // What aya-ebpf asks for: whose registers probes would see.
        format!("--cfg=bpf_target_arch=\"{arch}\"").into(),
        "-Ctarget-cpu=v3".into(),
        // For the verifier's messages, and for maps' types.
        "-Cdebuginfo=2".into(),
        "-Clink-arg=--btf".into(),
        // The linker copies source lines into BTF. It finds none under the paths below, but those
        // of the crate itself in its debug information: only in the fifth version of DWARF.
        "-Zembed-source=yes".into(),
        "-Cdwarf-version=5".into(),
    ];
    let cargo_home = tools::cargo_home()?;
    // The last that fits counts.
    for (from, to) in [
        (sysroot, "/rust"),
        (&cargo_home, "/cargo"),
        (workspace, "/netpolicy"),
    ] {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(from);
        flag.push("=");
        flag.push(to);
        flags.push(flag);
    }
    Ok(flags.join(OsStr::new("\u{1f}")))
}
