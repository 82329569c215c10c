//! Whose the BPF file system is: the host's, or this mount namespace's alone.
//!
//! Pins keep links, and live as long as their file system. One that was mounted in a
//! private mount namespace (a container, `ip netns exec`, `unshare --mount`) ends with the
//! last process in there, and filtering with it.
//!
//! Asked of `/proc/1/mountinfo`, which every process may read; `/proc/1/root` and
//! `/proc/1/ns` want `CAP_SYS_PTRACE`, which an agent with few capabilities lacks.

use std::{fs, io, path::Path};

use rustix::fs::{StatVfsMountFlags, major, minor, stat, statvfs};

use super::{DatapathError, pins::is_on_bpffs};
use crate::config::BpffsChoice;

/// `PROC_PID_INIT_INO` of the kernel's `include/linux/proc_ns.h`: the inode of the first PID
/// namespace. Elsewhere PID 1 is not the host's.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Why filtering ends with this mount namespace; `None`: it does not, for the file system
/// of `path` is mounted in PID 1's mount namespace too, or will be.
#[must_use]
pub fn private_bpffs(path: &Path, choice: BpffsChoice) -> Option<String> {
    if choice == BpffsChoice::Host {
        return None;
    }
    match fs::read_link("/proc/self/ns/pid") {
        Ok(namespace) if namespace.as_os_str() == INITIAL_PID_NAMESPACE => {}
        Ok(_) => {
            return Some(
                "the agent is in a PID namespace of its own, and cannot see the host's mounts"
                    .to_owned(),
            );
        }
        Err(error) => return Some(format!("/proc/self/ns/pid cannot be read: {error}")),
    }
    let (init, own) = match (mounts("1"), mounts("self")) {
        (Ok(init), Ok(own)) => (init, own),
        (Err(error), _) | (_, Err(error)) => {
            return Some(format!("/proc/1/mountinfo cannot be read: {error}"));
        }
    };
    if !is_on_bpffs(path) {
        // It will be mounted: in the namespace that this one is.
        let is_same = init.first().map(|m| m.id) == own.first().map(|m| m.id);
        return (!is_same).then(|| {
            format!(
                "there is no BPF file system at {}, and this mount namespace is not PID 1's",
                path.display()
            )
        });
    }
    let device = path.ancestors().find_map(|path| stat(path).ok())?.st_dev;
    let device = format!("{}:{}", major(device), minor(device));
    let is_shared = init.iter().any(|m| m.is_bpf && m.device == device);
    (!is_shared).then(|| {
        format!(
            "the BPF file system at {} is not mounted in PID 1's mount namespace",
            path.display()
        )
    })
}

/// What a directory is worth for pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinsPlace {
    /// It is on no BPF file system.
    Missing,
    /// Its BPF file system cannot be written to.
    ReadOnly,
    /// Things can be pinned there.
    Usable,
}

/// What a directory, or the nearest that exists above it, is worth for pins.
#[must_use]
pub fn pins_place(path: &Path) -> PinsPlace {
    if !is_on_bpffs(path) {
        return PinsPlace::Missing;
    }
    let about = path.ancestors().find_map(|path| statvfs(path).ok());
    let is_read_only = about.is_some_and(|at| at.f_flag.contains(StatVfsMountFlags::RDONLY));
    match is_read_only {
        true => PinsPlace::ReadOnly,
        false => PinsPlace::Usable,
    }
}

/// Refuses a file system that ends with this mount namespace, unless that was asked for.
///
/// # Errors
/// [`DatapathError::PrivateBpffs`].
pub(super) fn check(path: &Path, choice: BpffsChoice) -> Result<(), DatapathError> {
    match private_bpffs(path, choice) {
        Some(why) if choice != BpffsChoice::Ephemeral => Err(DatapathError::PrivateBpffs { why }),
        _ => Ok(()),
    }
}

/// A line of `proc_pid_mountinfo(5)`.
struct Mount {
    /// Unique among all mount namespaces.
    id: u64,
    /// "major:minor"
    device: String,
    is_bpf: bool,
}

fn mounts(process: &str) -> io::Result<Vec<Mount>> {
    let text = fs::read_to_string(format!("/proc/{process}/mountinfo"))?;
    Ok(text.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Mount> {
    let (mount, source) = line.split_once(" - ")?;
    let mut fields = mount.split(' ');
    Some(Mount {
        id: fields.next()?.parse().ok()?,
        device: fields.nth(1)?.to_owned(),
        is_bpf: source.split(' ').next() == Some("bpf"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_read() {
        let line = "44 23 0:40 / /sys/fs/bpf rw,relatime shared:5 master:1 - bpf bpf rw,mode=700";
        let mount = parse(line).unwrap();
        assert_eq!(
            (mount.id, mount.device.as_str(), mount.is_bpf),
            (44, "0:40", true)
        );
        let other = parse("22 27 0:21 / /proc rw - proc bpf rw").unwrap();
        assert!(!other.is_bpf);
        assert!(parse("").is_none());
    }

    #[test]
    fn what_the_configuration_says_is_the_hosts_is_not_asked_for() {
        assert_eq!(
            private_bpffs(Path::new("/nonexistent"), BpffsChoice::Host),
            None
        );
    }
}
