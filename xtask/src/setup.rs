//! `cargo xtask setup`: finds what is missing, says what it will do, does it.
//!
//! Quick and silent when nothing is missing, for every task begins with it.

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use xshell::Shell;

use crate::{tools, workspace};

mod bpf_linker;
mod cargo_tool;
mod packages;
mod python;
mod rust_src;
mod sysroot;
mod typescript;

/// What set-up is to suffice for; each of the first four includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Purpose {
    /// To build
    Build,
    /// To run the demonstration
    Run,
    /// To run the tests
    Test,
    /// To run all benchmarks, with other filters than netpolicy
    Bench,
    /// To run the tests under other kernels
    Kernels,
    /// To check formatting, lints and licences
    Lint,
    /// To make the packages
    Dist,
}

impl Purpose {
    /// Whether what `other` needs is needed for this, too.
    fn includes(self, other: Self) -> bool {
        match self {
            Self::Kernels => other <= Self::Test || other == Self::Kernels,
            Self::Lint => other == Self::Build || other == self,
            Self::Dist => matches!(other, Self::Build | Self::Lint | Self::Dist),
            _ => other <= self,
        }
    }
}

/// One thing that must be there.
trait Step {
    /// What is missing, and what `install` does about it; `None`: nothing is.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn missing(&self, shell: &Shell) -> Result<Option<Missing>>;

    /// Brings it.
    ///
    /// # Errors
    /// When a command fails, or it cannot be brought here: with what to do by hand.
    fn install(&self, shell: &Shell) -> Result<()>;
}

/// What a step lacks.
#[derive(Debug, PartialEq, Eq)]
struct Missing {
    /// "bpf-linker 0.13.0".
    what: String,
    /// What is done about it: "built from source; about a minute".
    remedy: String,
}

/// Brings what is missing for a purpose.
///
/// # Errors
/// When something cannot be brought.
pub(crate) fn setup(purpose: Purpose) -> Result<()> {
    let shell = workspace::shell()?;
    let toolchain = tools::pinned_toolchain(workspace::root())?;
    let tools_dir = tools::tools_dir(&toolchain)?;
    let sysroot = sysroot::pinned(&shell, &toolchain)?;

    // The packages come first: the C compiler among them links bpf-linker.
    let mut steps: Vec<Box<dyn Step>> = vec![
        Box::new(packages::Packages { purpose }),
        Box::new(rust_src::RustSrc {
            toolchain,
            sysroot: sysroot.clone(),
        }),
        Box::new(bpf_linker::BpfLinker {
            tools_dir: tools_dir.clone(),
            sysroot,
        }),
    ];
    steps.push(Box::new(cargo_tool::CargoTools {
        tools_dir: tools_dir.clone(),
        purpose,
    }));
    // A package is made without it, although that includes lint.
    if purpose == Purpose::Lint {
        let tools_dir = tools_dir.clone();
        steps.push(Box::new(typescript::TypeScript { tools_dir }));
    }
    if purpose.includes(Purpose::Test) {
        steps.push(Box::new(python::Python { tools_dir }));
    }
    let mut to_do = Vec::new();
    for step in steps {
        if let Some(missing) = step.missing(&shell)? {
            to_do.push((step, missing));
        }
    }
    if to_do.is_empty() {
        return Ok(());
    }
    // Standard output is for what the task itself was asked for.
    eprintln!("Set-up: this is missing.");
    for (_, missing) in &to_do {
        eprintln!("  {}: {}", missing.what, missing.remedy);
    }
    for (step, missing) in to_do {
        step.install(&shell)
            .with_context(|| format!("set up {}", missing.what))?;
    }
    eprintln!("Set-up: done.");
    Ok(())
}

/// Brings one program, such as a cross compiler or an emulator, of Debian's package that has it.
///
/// # Errors
/// When it cannot be brought.
pub(crate) fn program(shell: &Shell, program: &str, package: &str) -> Result<()> {
    packages::require(shell, program, package)
}
