//! What can go wrong between userspace and the kernel.

use std::{io, path::PathBuf};

use aya::{EbpfError, maps::MapError, pin::PinError, programs::ProgramError};

use super::Hook;

/// A failure of the datapath. Whatever was in force before stays in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatapathError {
    /// Loading BPF needs privileges that the process does not have.
    #[error("not permitted to load BPF programs")]
    NotPermitted,
    /// The kernel lacks what the program needs.
    #[error("kernel {found} is too old: netpolicy needs Linux {needed} or later")]
    KernelTooOld {
        /// The running kernel's release.
        found: String,
        /// The oldest one supported.
        needed: &'static str,
    },
    /// The pin directory is not on a BPF file system and none could be mounted.
    #[error("no BPF file system at {}", path.display())]
    NoBpffs {
        /// Where pins were to go.
        path: PathBuf,
        /// Why mounting failed.
        source: io::Error,
    },
    /// Pins would not outlive the agent's mount namespace.
    #[error("filtering would end with this mount namespace: {why}")]
    PrivateBpffs {
        /// How that is known.
        why: String,
    },
    /// The flat engine's memory has an end: each half of it, since one half is built while the
    /// other is in force.
    #[error("the lists do not fit into 896 MiB of kernel memory: make them shorter")]
    TooLarge,
    /// The same for bans.
    #[error("the bans do not fit into 128 MiB of kernel memory: end some, or ban networks")]
    TooManyBans,
    /// A file operation under the pin directory failed.
    #[error("cannot {action} {}", path.display())]
    Pins {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The maps in force hold what no ruleset is written as.
    #[error("the {what} in force cannot be read back: the maps are damaged")]
    Unreadable {
        /// "lists", "ports and scopes".
        what: &'static str,
    },
    /// Nothing is pinned there.
    #[error("nothing is pinned under {}", path.display())]
    NothingPinned {
        /// Where pins were looked for.
        path: PathBuf,
    },
    /// The pins were made by another version.
    #[error("the pins under {} are of ABI {found}, this netpolicy's is {ours}", path.display())]
    OtherAbi {
        /// Where the pins are.
        path: PathBuf,
        /// Their ABI version.
        found: u32,
        /// This program's.
        ours: u32,
    },
    /// A pin does not hold what its name says.
    #[error("the pin {} is not what it should be: {what}", path.display())]
    ForeignPin {
        /// The pin.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The object file that was built in lacks a part.
    #[error("the built-in program has no {0}")]
    IncompleteObject(&'static str),
    /// The program did not load.
    #[error("the kernel refuses the program")]
    Load(#[source] EbpfError),
    /// The verifier or another part of the kernel refused the program.
    #[error("the kernel refuses the program")]
    Verify(#[source] ProgramError),
    /// The kernel's verifier refused the program; its whole log is in ours.
    #[error("the verifier of this kernel ({kernel}) refuses the program: {why}")]
    Verifier {
        /// The running kernel's release.
        kernel: String,
        /// The last of what the verifier says.
        why: String,
        /// The system call's error.
        source: io::Error,
    },
    /// A map operation failed.
    #[error("cannot {action} the BPF map {map}")]
    Map {
        /// What was tried.
        action: &'static str,
        /// On which map.
        map: &'static str,
        /// Why it failed.
        source: MapError,
    },
    /// Pinning failed.
    #[error("cannot pin {}", path.display())]
    Pin {
        /// The pin.
        path: PathBuf,
        /// Why it failed.
        source: PinError,
    },
    /// There is no such interface.
    #[error("interface {name} does not exist")]
    NoInterface {
        /// As configured.
        name: String,
    },
    /// The program cannot read the interface's frames.
    #[error(
        "interface {name} cannot be filtered: its frames begin neither with an Ethernet header \
         nor with an IP header (hardware type {hardware_type})"
    )]
    UnknownLinkLayer {
        /// The interface.
        name: String,
        /// An `ARPHRD_*` of `linux/if_arp.h`.
        hardware_type: u16,
    },
    /// Loopback is never filtered.
    #[error("interface {name} is the loopback interface, which netpolicy never filters")]
    Loopback {
        /// As configured.
        name: String,
    },
    /// Another program is attached.
    #[error("interface {name} already has a program at {hook}")]
    InterfaceBusy {
        /// The interface.
        name: String,
        /// The hook, in words.
        hook: &'static str,
    },
    /// The pinned links filter interfaces of another network namespace.
    #[error(
        "the pins under {} filter an interface of another network namespace",
        path.display()
    )]
    OtherNamespace {
        /// Where the pins are.
        path: PathBuf,
    },
    /// A filter can be removed in its own network namespace only.
    #[error(
        "a pin under {} is of a clsact filter in another network namespace, which is removed there \
         only: repeat the command there (`nsenter --net=/run/netns/NAME`)",
        path.display()
    )]
    FilterElsewhere {
        /// Where the pins are.
        path: PathBuf,
    },
    /// Attaching failed.
    #[error("cannot attach to {name} by {hook}")]
    Attach {
        /// The interface.
        name: String,
        /// The hook, in words.
        hook: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The running program could not be exchanged.
    #[error("cannot replace the program on interface index {index}")]
    Replace {
        /// The interface's index.
        index: u32,
        /// Why it failed.
        source: io::Error,
    },
    /// `BPF_PROG_TEST_RUN` failed or answered with what no reason stands for.
    #[error("cannot ask the loaded program: {0}")]
    Probe(String),
    /// Too many bypasses for the kernel's map.
    #[error("{count} bypasses are too many: the kernel's map takes {max} of a family")]
    TooManyBypasses {
        /// How many were asked for.
        count: usize,
        /// How many fit.
        max: usize,
    },
    /// A system call failed.
    #[error("{call} failed")]
    System {
        /// Which.
        call: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl DatapathError {
    /// What the user can do about it, where one sentence helps.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotPermitted => {
                "run as root (CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN are needed)".into()
            }
            Self::KernelTooOld { .. } => "boot a newer kernel".into(),
            Self::Verifier { .. } => {
                "this is a fault in netpolicy: report it, with the log of an agent \
                 started with NETPOLICY_LOG=debug"
                    .into()
            }
            Self::NoBpffs { path, .. } => format!(
                "mount one: mount -t bpf bpf {}, or set NETPOLICY_BPFFS_DIR to a directory on one",
                path.display()
            ),
            Self::PrivateBpffs { .. } => {
                "start the agent in the host's mount namespace (`nsenter --net=/run/netns/NAME`, \
                 not `ip netns exec`), or mount the host's /sys/fs/bpf into the container and set \
                 bpffs = \"host\"; with --ephemeral it starts anyway"
                    .into()
            }
            Self::InterfaceBusy { name, hook } if *hook == Hook::Clsact.in_words() => format!(
                "`tc filter show dev {name} ingress` shows it: netpolicy needs priority 1 for a \
                 filter of kind bpf and all protocols; give the other another priority"
            ),
            Self::InterfaceBusy { name, .. } => format!(
                "another filter or another netpolicy agent owns it; see `bpftool net show dev {name}`, \
                 stop it there, or `ip link set dev {name} xdp off` for one without an owner"
            ),
            Self::OtherNamespace { .. } => {
                "start the agent in that namespace, give this one a directory of its own \
                 (NETPOLICY_BPFFS_DIR), or let go of what is filtered there: `netpolicy detach`"
                    .into()
            }
            Self::NoInterface { .. } => "see `ip link`".into(),
            Self::UnknownLinkLayer { .. } => {
                "filter what arrives there by other means, and take the interface out of the \
                 configuration"
                    .into()
            }
            Self::Attach {
                hook: "native XDP", ..
            } => "its driver may lack native XDP: try hook = \"auto\" or \"tcx\"".into(),
            Self::Attach { hook: "tcx", .. } => {
                "tcx came with Linux 6.6: try hook = \"auto\"".into()
            }
            Self::OtherAbi { .. } => {
                "start the agent of this version: it replaces them without a gap".into()
            }
            Self::NothingPinned { .. } => {
                "start `netpolicy agent`, or set NETPOLICY_BPFFS_DIR".into()
            }
            _ if self.is_out_of_memory() => {
                "the kernel is short of memory: free some, or use shorter lists".into()
            }
            _ => return None,
        })
    }

    /// Whether the kernel lacked memory.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Map { source, .. } if is_out_of_memory(source))
    }

    /// What loading a program failed with. The verifier's log has thousands of lines:
    /// people are told the one that says why.
    pub(super) fn load(error: ProgramError) -> Self {
        match error {
            ProgramError::LoadError {
                io_error,
                verifier_log,
            } => {
                let log = verifier_log.to_string();
                tracing::debug!("the verifier's log:\n{log}");
                Self::Verifier {
                    kernel: rustix::system::uname()
                        .release()
                        .to_string_lossy()
                        .into_owned(),
                    why: verdict(&log).unwrap_or("it does not say why").to_owned(),
                    source: io_error,
                }
            }
            other => Self::Verify(other),
        }
    }

    pub(super) fn map(action: &'static str, map: &'static str) -> impl FnOnce(MapError) -> Self {
        move |source| Self::Map {
            action,
            map,
            source,
        }
    }
}

/// Whether a map operation failed for want of memory.
pub(super) fn is_out_of_memory(error: &MapError) -> bool {
    let io_error = match error {
        MapError::SyscallError(error) => &error.io_error,
        MapError::CreateError { io_error, .. } => io_error,
        _ => return false,
    };
    io_error.raw_os_error() == Some(libc::ENOMEM)
}

/// The line of a verifier's log that says why it refused: the last before its
/// statistics.
fn verdict(log: &str) -> Option<&str> {
    const STATISTICS: [&str; 4] = [
        "verification time",
        "stack depth",
        "processed",
        "mark_precise",
    ];
    log.lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty() && !STATISTICS.iter().any(|start| line.starts_with(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifier_error_shows_the_reason_without_the_whole_log() {
        let log = "0: R1=ctx(off=0,imm=0) R10=fp0\n2065: (79) r6 = *(u64 *)(r10 -224)\n\
                   invalid read from stack R10 off=-224 size=8\nverification time 112988 usec\n\
                   stack depth 224+0+0\nprocessed 4539 insns (limit 1000000)\n\n";
        let error = DatapathError::load(ProgramError::LoadError {
            io_error: io::Error::from_raw_os_error(libc::EACCES),
            verifier_log: aya_obj::VerifierLog::new(log.into()),
        });
        let text = error.to_string();
        assert!(
            text.ends_with("refuses the program: invalid read from stack R10 off=-224 size=8"),
            "{text}"
        );
        assert!(text.lines().count() == 1 && error.hint().is_some());
        assert_eq!(verdict("\n"), None);
    }
}
