//! Architectures that packages are made for and tests run on, and what cross-building for another
//! one takes.

use std::env;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use xshell::{Shell, cmd};

use crate::{setup, workspace};

/// An architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// Intel and AMD
    #[value(name = "x86_64-unknown-linux-gnu")]
    X86_64,
    /// Graviton, Ampere and others
    #[value(name = "aarch64-unknown-linux-gnu")]
    Aarch64,
}

impl Target {
    /// This machine's.
    ///
    /// # Errors
    /// When there are no packages for it.
    pub(crate) fn host() -> Result<Self> {
        match env::consts::ARCH {
            "x86_64" => Ok(Self::X86_64),
            "aarch64" => Ok(Self::Aarch64),
            other => anyhow::bail!("there are no packages for {other}: x86_64 or aarch64 expected"),
        }
    }

    /// As rustc names it.
    pub(crate) const fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// As Debian's packages name it.
    pub(crate) const fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// As the others do.
    pub(crate) const fn machine(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Whether it is not this machine's.
    pub(crate) fn is_foreign(self) -> bool {
        Self::host().is_ok_and(|host| host != self)
    }

    /// A program of GNU's binutils or compilers for it.
    pub(crate) fn tool(self, name: &str) -> String {
        match self.is_foreign() {
            true => format!("{}-linux-gnu-{name}", self.machine()),
            false => name.to_owned(),
        }
    }

    /// Brings the cross compiler and Rust's standard library.
    ///
    /// # Errors
    /// When they cannot be had.
    pub(crate) fn prepare(self, shell: &Shell) -> Result<()> {
        if !self.is_foreign() {
            return Ok(());
        }
        setup::program(shell, &self.tool("gcc"), self.debian_compiler())?;
        let triple = self.triple();
        let installed = cmd!(shell, "rustup target list --installed")
            .quiet()
            .read()
            .context("ask rustup for its targets")?;
        if installed.lines().any(|line| line == triple) {
            return Ok(());
        }
        workspace::run_aside(cmd!(shell, "rustup target add {triple}"))
    }

    /// Debian's package with the compiler and binutils for it.
    const fn debian_compiler(self) -> &'static str {
        match self {
            Self::X86_64 => "gcc-x86-64-linux-gnu",
            Self::Aarch64 => "gcc-aarch64-linux-gnu",
        }
    }

    /// Cargo's options for it.
    pub(crate) fn cargo_options(self) -> Vec<&'static str> {
        match self.is_foreign() {
            true => vec!["--target", self.triple()],
            false => Vec::new(),
        }
    }

    /// Debian's package of QEMU for it.
    pub(crate) const fn debian_qemu(self) -> &'static str {
        match self {
            Self::X86_64 => "qemu-system-x86",
            Self::Aarch64 => "qemu-system-arm",
        }
    }

    /// Cargo's variable for the linker, and its value.
    pub(crate) fn linker(self) -> Option<(String, String)> {
        let name = self.triple().to_uppercase().replace('-', "_");
        let variable = format!("CARGO_TARGET_{name}_LINKER");
        self.is_foreign().then(|| (variable, self.tool("gcc")))
    }
}

/// Refuses a binary for another architecture than the packages'.
pub(crate) fn require(target: Target, header: &str) -> Result<()> {
    let expected = match target {
        Target::X86_64 => "X86-64",
        Target::Aarch64 => "AArch64",
    };
    let machine = header
        .lines()
        .find_map(|line| line.trim().strip_prefix("Machine:"))
        .context("the binary names no machine")?
        .trim();
    ensure!(
        machine.contains(expected),
        "the binary is for {machine}, and the packages are for {}",
        target.triple()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_of_another_architecture_have_its_name() {
        let host = Target::host().unwrap();
        let other = [Target::X86_64, Target::Aarch64]
            .into_iter()
            .find(|target| *target != host)
            .unwrap();
        assert_eq!(host.tool("objcopy"), "objcopy");
        assert_eq!(host.linker(), None);
        assert!(other.is_foreign());
        assert_eq!(
            other.tool("gcc"),
            format!("{}-linux-gnu-gcc", other.machine())
        );
        let (variable, _) = other.linker().unwrap();
        assert!(variable.starts_with("CARGO_TARGET_"), "{variable}");
        assert!(!variable.contains('-'), "{variable}");
    }

    #[test]
    fn binary_of_another_architecture_is_refused() {
        let x86 = "ELF Header:\n  Machine:     Advanced Micro Devices X86-64\n";
        assert!(require(Target::X86_64, x86).is_ok());
        let error = require(Target::Aarch64, x86).unwrap_err().to_string();
        assert!(error.contains("aarch64-unknown-linux-gnu"), "{error}");
        assert!(require(Target::Aarch64, "  Machine:    AArch64\n").is_ok());
    }
}
