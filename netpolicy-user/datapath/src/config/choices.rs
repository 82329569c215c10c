//! Values of the configuration that are one of a few words.

use netpolicy_common::Engine;
use serde::{Deserialize, Serialize};

/// The hook of an interface that runs the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum HookChoice {
    /// By the driver: native XDP where it keeps the driver's receive offloads, else tcx.
    #[default]
    Auto,
    /// XDP in the driver, or nowhere.
    Native,
    /// XDP in the kernel's generic hook: slower, works on every interface.
    Generic,
    /// The tcx chain, behind the driver (Linux 6.6).
    Tcx,
    /// A filter of the qdisc `clsact`, which does the same on every kernel.
    Clsact,
}

/// Whose the bpffs with the pins is. Filtering ends with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BpffsChoice {
    /// That is found out; the agent does not start if it is not the host's.
    #[default]
    Auto,
    /// The host's, which cannot be found out from another PID namespace.
    Host,
    /// It may end with the agent's mount namespace, and filtering with it.
    Ephemeral,
}

/// How the kernel is to hold lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// Tables and tries made for speed.
    #[default]
    Flat,
    /// The kernel's own LPM tries: the reference.
    Lpm,
}

impl From<EngineChoice> for Engine {
    fn from(choice: EngineChoice) -> Self {
        match choice {
            EngineChoice::Flat => Self::Flat,
            EngineChoice::Lpm => Self::Lpm,
        }
    }
}
