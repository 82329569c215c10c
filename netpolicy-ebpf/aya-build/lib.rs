//! Stands in for the crate of this name when the BPF objects are built.
//!
//! The build scripts of aya-ebpf, aya-ebpf-bindings and aya-ebpf-cty ask aya-build for one
//! thing: for which processor the program is (`cfg(bpf_target_arch)`). netpolicy tells the
//! compiler so itself (`command.rs`), so there is nothing left to do. aya-build would bring
//! cargo_metadata, serde with its derive macros, serde_json and which: an eighth of the
//! processor time of a build from a clean clone, for nothing.
#![expect(
    clippy::print_stdout,
    reason = "what a build script prints is for cargo"
)]

use std::env;
use std::fmt;

/// As aya-build's: what a build script returns.
pub type Result<T> = std::result::Result<T, Error>;

/// The processor is not known.
pub struct Error(&'static str);

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Declares `cfg(bpf_target_arch)`.
///
/// # Errors
/// When the compiler was not told its value.
pub fn emit_bpf_target_arch_cfg() -> Result<()> {
    /// What cargo makes of `--cfg bpf_target_arch="…"`.
    const TOLD: &str = "CARGO_CFG_BPF_TARGET_ARCH";
    println!("cargo::rerun-if-env-changed={TOLD}");
    println!("cargo::rustc-check-cfg=cfg(bpf_target_arch)");
    println!(
        "cargo::rustc-check-cfg=cfg(bpf_target_arch, values(\"aarch64\", \"arm\", \"loongarch64\", \
         \"mips\", \"powerpc64\", \"riscv64\", \"s390x\", \"x86_64\"))"
    );
    let is_for_bpf = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "bpf");
    if is_for_bpf && env::var_os(TOLD).is_none() {
        return Err(Error(
            "bpf_target_arch is not set: build the programs through the build scripts of the \
             crates that load them (netpolicy-ebpf/command.rs)",
        ));
    }
    Ok(())
}
