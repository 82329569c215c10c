//! Builds the objects of this crate, for the build scripts of the crates that load
//! them: `$OUT_DIR/netpolicy-xdp` and `$OUT_DIR/netpolicy-bench-xdp`.
//!
//! The pinned toolchain builds them, stable as it is: `RUSTC_BOOTSTRAP` allows the
//! `-Z build-std=core` that a target without a ready-made `core` needs. What links
//! them is the bpf-linker that `cargo xtask setup` built against this toolchain's own
//! LLVM; one from elsewhere might not read its bitcode.

use std::env;
use std::path::Path;

use anyhow::{Context as _, Result};
use aya_build::{Package, Toolchain};

#[path = "../xtask/src/tools.rs"]
mod tools;

/// A build script's whole work.
pub(crate) fn build_or_say_why() {
    if let Err(error) = build() {
        // One line, where a returned error would print with its backtrace.
        println!("cargo::error={error:#}");
    }
}

fn build() -> Result<()> {
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
        "netpolicy-common",
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
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(
        [linker_dir.to_owned()]
            .into_iter()
            .chain(env::split_paths(&path)),
    )
    .context("put the linker on PATH")?;

    // SAFETY: a build script's `main` has started no thread that could read the
    // environment meanwhile.
    unsafe {
        env::set_var("PATH", path);
        env::set_var("RUSTC_BOOTSTRAP", "1");
        // aya-build turns each line of progress into a warning, which cargo repeats
        // on every later build. The compiler's own warnings still get through.
        env::set_var("CARGO_TERM_QUIET", "true");
    }

    let root_dir = workspace.join("netpolicy-ebpf");
    let root_dir = root_dir
        .to_str()
        .context("the workspace's path is not UTF-8")?;
    // A feature of the crate whose build script this is.
    let logs = env::var_os("CARGO_FEATURE_PROGRAM_LOG").is_some();
    let package = Package {
        name: "netpolicy-ebpf",
        root_dir,
        features: if logs { &["log"] } else { &[] },
        ..Package::default()
    };
    aya_build::build_ebpf([package], Toolchain::Custom(&toolchain)).context("build the XDP program")
}
