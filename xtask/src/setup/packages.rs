//! Programs that the distribution brings. Installed by apt; elsewhere only named.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use super::{Missing, Purpose, Step};
use crate::workspace;

/// How a program is found.
#[derive(Clone, Copy, Debug)]
enum Probe {
    /// On `PATH`, or where the administrator's programs are.
    Command(&'static str),
    /// In a directory, then under a directory of any name in it: Debian keeps the
    /// versions of PostgreSQL's server apart, and none on `PATH`.
    Versioned {
        parent: &'static str,
        file: &'static str,
    },
    /// A module that the system's Python imports.
    Module(&'static str),
}

/// A program and the Debian package that has it.
struct RequiredProgram {
    probe: Probe,
    package: &'static str,
    /// The first purpose that needs it.
    purpose: Purpose,
    /// Whether that purpose can be met in part without it.
    optional: bool,
}

const POSTGRES: Probe = Probe::Versioned {
    parent: "/usr/lib/postgresql",
    file: "bin/postgres",
};

const PROGRAMS: &[RequiredProgram] = &[
    // SQLite is compiled from its C source.
    RequiredProgram {
        probe: Probe::Command("cc"),
        package: "build-essential",
        purpose: Purpose::Build,
        optional: false,
    },
    RequiredProgram {
        probe: Probe::Command("ip"),
        package: "iproute2",
        purpose: Purpose::Run,
        optional: false,
    },
    // The client of etcd, which netpolicy-net links, is compiled from protocol files.
    RequiredProgram {
        probe: Probe::Command("protoc"),
        package: "protobuf-compiler",
        purpose: Purpose::Test,
        optional: false,
    },
    RequiredProgram {
        probe: Probe::Command("protoc"),
        package: "protobuf-compiler",
        purpose: Purpose::Lint,
        optional: false,
    },
    RequiredProgram {
        probe: Probe::Command("etcd"),
        package: "etcd-server",
        purpose: Purpose::Test,
        optional: false,
    },
    RequiredProgram {
        probe: Probe::Command("etcdctl"),
        package: "etcd-client",
        purpose: Purpose::Test,
        optional: false,
    },
    RequiredProgram {
        probe: POSTGRES,
        package: "postgresql",
        purpose: Purpose::Test,
        optional: true,
    },
    // Debian's starts one that is configured for no database; the tests leave it alone.
    RequiredProgram {
        probe: Probe::Command("pgbouncer"),
        package: "pgbouncer",
        purpose: Purpose::Test,
        optional: true,
    },
    // Kills programs at each of their system calls, and makes calls fail.
    RequiredProgram {
        probe: Probe::Command("strace"),
        package: "strace",
        purpose: Purpose::Test,
        optional: false,
    },
    RequiredProgram {
        probe: Probe::Command("psql"),
        package: "postgresql-client",
        purpose: Purpose::Test,
        optional: true,
    },
    // What `python3 -m venv` needs; Debian keeps it apart from Python.
    RequiredProgram {
        probe: Probe::Module("ensurepip"),
        package: "python3-venv",
        purpose: Purpose::Test,
        optional: false,
    },
    // Debian 12 has it in `/usr/sbin`.
    RequiredProgram {
        probe: Probe::Command("bpftool"),
        package: "bpftool",
        purpose: Purpose::Test,
        optional: false,
    },
    // Forwards connections to other network namespaces.
    RequiredProgram {
        probe: Probe::Command("nft"),
        package: "nftables",
        purpose: Purpose::Test,
        optional: false,
    },
    // Verifies the unit and tells how exposed it is.
    RequiredProgram {
        probe: Probe::Command("systemd-analyze"),
        package: "systemd",
        purpose: Purpose::Test,
        optional: true,
    },
    // Reads metrics and evaluates alerts; has promtool as well.
    RequiredProgram {
        probe: Probe::Command("promtool"),
        package: "prometheus",
        purpose: Purpose::Test,
        optional: false,
    },
    // Complete command lines in tests.
    RequiredProgram {
        probe: Probe::Command("zsh"),
        package: "zsh",
        purpose: Purpose::Test,
        optional: true,
    },
    RequiredProgram {
        probe: Probe::Command("fish"),
        package: "fish",
        purpose: Purpose::Test,
        optional: true,
    },
    RequiredProgram {
        probe: Probe::Command("ipset"),
        package: "ipset",
        purpose: Purpose::Bench,
        optional: true,
    },
    RequiredProgram {
        probe: Probe::Command("iptables-restore"),
        package: "iptables",
        purpose: Purpose::Bench,
        optional: true,
    },
    RequiredProgram {
        probe: Probe::Command("xdp-filter"),
        package: "xdp-tools",
        purpose: Purpose::Bench,
        optional: true,
    },
    // Brings virtiofsd as well.
    RequiredProgram {
        probe: Probe::Command("qemu-system-x86_64"),
        package: "qemu-system-x86",
        purpose: Purpose::Kernels,
        optional: false,
    },
    RequiredProgram {
        probe: Probe::Command("busybox"),
        package: "busybox-static",
        purpose: Purpose::Kernels,
        optional: false,
    },
    RequiredProgram {
        probe: Probe::Command("depmod"),
        package: "kmod",
        purpose: Purpose::Kernels,
        optional: false,
    },
    // Makes the Debian that the package is installed in, in a test of it.
    RequiredProgram {
        probe: Probe::Command("debootstrap"),
        package: "debootstrap",
        purpose: Purpose::Dist,
        optional: true,
    },
    RequiredProgram {
        probe: Probe::Command("lintian"),
        package: "lintian",
        purpose: Purpose::Dist,
        optional: false,
    },
    RequiredProgram {
        probe: Probe::Command("man"),
        package: "man-db",
        purpose: Purpose::Dist,
        optional: false,
    },
    RequiredProgram {
        probe: Probe::Command("xz"),
        package: "xz-utils",
        purpose: Purpose::Dist,
        optional: false,
    },
    // Devices of the evasion suite that Debian's kernels can make.
    RequiredProgram {
        probe: Probe::Command("wg"),
        package: "wireguard-tools",
        purpose: Purpose::Kernels,
        optional: true,
    },
    RequiredProgram {
        probe: Probe::Command("pppd"),
        package: "ppp",
        purpose: Purpose::Kernels,
        optional: true,
    },
];

/// The programs for a purpose.
pub(super) struct Packages {
    pub(super) purpose: Purpose,
}

impl Packages {
    fn lacking(&self) -> Vec<&'static RequiredProgram> {
        lacking(self.purpose, is_there)
    }
}

impl Step for Packages {
    fn missing(&self, _shell: &Shell) -> Result<Option<Missing>> {
        let lacking = self.lacking();
        Ok((!lacking.is_empty()).then(|| Missing {
            what: lacking
                .iter()
                .map(|p| p.probe.name())
                .collect::<Vec<_>>()
                .join(", "),
            remedy: if has_apt() {
                format!("installed by apt-get: {}", packages(&lacking).join(" "))
            } else {
                format!(
                    "there is no apt-get here; Debian has them in {}",
                    packages(&lacking).join(", ")
                )
            },
        }))
    }

    fn install(&self, shell: &Shell) -> Result<()> {
        let lacking = self.lacking();
        if !has_apt() {
            return without_apt(&lacking);
        }
        if packages(&lacking).contains(&"postgresql") {
            eprintln!(
                "note: Debian's postgresql starts a server of its own, on this machine's \
                 localhost:5432. The tests leave it alone and need it not to run: \
                 `systemctl disable --now postgresql` stops it."
            );
        }
        if packages(&lacking).contains(&"prometheus") {
            eprintln!(
                "note: Debian's prometheus starts a server of its own, on port 9090 of this machine. \
                 The tests need it not to run: `systemctl disable --now prometheus` stops it."
            );
        }
        // The lists may be older than the packages that the mirror still has. When
        // they cannot be had, what is in the cache may do.
        if let Err(error) = apt_get(shell, &["update"]) {
            eprintln!("warning: {error:#}; going on with the package lists that are there");
        }
        let mut install = vec!["install", "--yes", "--no-install-recommends"];
        install.extend(packages(&lacking));
        apt_get(shell, &install)
    }
}

/// Installs one package, if its program is missing, after saying so.
pub(super) fn require(shell: &Shell, program: &str, package: &str) -> Result<()> {
    if which::which_in(program, Some(search_path()), "/").is_ok() {
        return Ok(());
    }
    if !has_apt() {
        bail!("install {program} with this distribution's package manager (Debian's: {package})");
    }
    eprintln!("Set-up: {program} is missing: installed by apt-get: {package}");
    apt_get(
        shell,
        &["install", "--yes", "--no-install-recommends", package],
    )
}

/// Runs apt-get as root, asking nothing.
fn apt_get(shell: &Shell, args: &[&str]) -> Result<()> {
    if workspace::is_root() {
        workspace::run_aside(cmd!(
            shell,
            "env DEBIAN_FRONTEND=noninteractive apt-get {args...}"
        ))
    } else if workspace::has_sudo() {
        workspace::run_aside(cmd!(
            shell,
            "sudo env DEBIAN_FRONTEND=noninteractive apt-get {args...}"
        ))
    } else {
        bail!(
            "apt-get needs root, and there is no sudo: as root, run apt-get {}",
            args.join(" ")
        );
    }
}

fn without_apt(lacking: &[&RequiredProgram]) -> Result<()> {
    let (optional, needed): (Vec<&RequiredProgram>, Vec<&RequiredProgram>) =
        lacking.iter().partition(|program| program.optional);
    if !needed.is_empty() {
        let names: Vec<_> = needed.iter().map(|program| program.probe.name()).collect();
        bail!(
            "install {} with this distribution's package manager (Debian's packages: {})",
            names.join(", "),
            packages(&needed).join(", ")
        );
    }
    for program in optional {
        eprintln!(
            "warning: going on without {}: what needs it fails, or is left out",
            program.probe.name()
        );
    }
    Ok(())
}

/// The programs that a purpose needs and `is_there` does not find.
fn lacking(purpose: Purpose, is_there: impl Fn(Probe) -> bool) -> Vec<&'static RequiredProgram> {
    let needed = PROGRAMS.iter();
    let needed = needed.filter(|program| purpose.includes(program.purpose));
    needed.filter(|program| !is_there(program.probe)).collect()
}

/// The packages that have these programs, each once.
fn packages(programs: &[&RequiredProgram]) -> Vec<&'static str> {
    let mut packages: Vec<_> = programs.iter().map(|program| program.package).collect();
    packages.dedup();
    packages
}

fn has_apt() -> bool {
    which::which("apt-get").is_ok()
}

impl Probe {
    fn name(self) -> &'static str {
        match self {
            Self::Command(name) => name,
            Self::Versioned { file, .. } => file.rsplit('/').next().unwrap_or(file),
            Self::Module("ensurepip") => "python3 -m venv",
            Self::Module(name) => name,
        }
    }
}

fn is_there(probe: Probe) -> bool {
    match probe {
        Probe::Command(name) => which::which_in(name, Some(search_path()), "/").is_ok(),
        Probe::Versioned { parent, file } => {
            fs::read_dir(parent)
                .is_ok_and(|versions| versions.flatten().any(|dir| dir.path().join(file).exists()))
                || is_there(Probe::Command(probe.name()))
        }
        Probe::Module(name) => Command::new("python3")
            .args(["-c", &format!("import {name}")])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success()),
    }
}

/// `PATH`, and where Debian keeps what it does not put on a plain user's `PATH`.
fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(|dir| Path::new(dir).to_owned());
    // A directory on PATH holds no colon, and so the parts join again.
    env::join_paths(env::split_paths(&path).chain(system)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(purpose: Purpose) -> Vec<&'static str> {
        lacking(purpose, |_| false)
            .iter()
            .map(|program| program.probe.name())
            .collect()
    }

    #[test]
    fn each_purpose_needs_what_the_one_before_it_needs() {
        assert_eq!(names(Purpose::Build), ["cc"]);
        assert_eq!(names(Purpose::Run), ["cc", "ip"]);
        assert!(names(Purpose::Test).starts_with(&["cc", "ip"]));
        assert!(names(Purpose::Test).contains(&"postgres"));
        assert!(!names(Purpose::Test).contains(&"ipset"));
        assert!(names(Purpose::Bench).starts_with(&names(Purpose::Test)));
        assert!(names(Purpose::Bench).contains(&"ipset"));
        assert!(names(Purpose::Kernels).starts_with(&names(Purpose::Test)));
        assert!(names(Purpose::Kernels).contains(&"depmod"));
        assert!(!names(Purpose::Kernels).contains(&"ipset"));
        assert!(names(Purpose::Dist).contains(&"lintian"));
        assert!(!names(Purpose::Test).contains(&"lintian"));
    }

    #[test]
    fn what_is_there_is_not_lacking() {
        assert!(lacking(Purpose::Test, |_| true).is_empty());
        let lacking = lacking(Purpose::Run, |probe| probe.name() != "ip");
        assert_eq!(packages(&lacking), ["iproute2"]);
    }

    #[test]
    fn without_apt_only_what_is_needed_stops_it() {
        let needed = lacking(Purpose::Run, |probe| probe.name() != "ip");
        let error = without_apt(&needed).unwrap_err().to_string();
        assert!(
            error.contains("ip") && error.contains("iproute2"),
            "{error}"
        );
        let optional = lacking(Purpose::Test, |probe| probe.name() != "psql");
        assert!(!optional.is_empty());
        without_apt(&optional).unwrap();
    }

    #[test]
    fn programs_are_found_on_the_path_and_by_version() {
        assert!(is_there(Probe::Command("sh")));
        assert!(!is_there(Probe::Command("netpolicy-no-such-program")));
        assert!(is_there(Probe::Module("json")));
        assert!(!is_there(Probe::Module("netpolicy_no_such_module")));
        let missing = Probe::Versioned {
            parent: "/nonexistent",
            file: "bin/no-such-program",
        };
        assert!(!is_there(missing));
    }
}
