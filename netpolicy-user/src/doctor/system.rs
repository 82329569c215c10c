//! The kernel, and what a process may do with it.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{ExaminedHost, Lines};
use crate::datapath::{self, jitted};

/// Bytes that the longest lists may take in the kernel.
const LISTS_MAX: u64 = 1 << 30;

/// Capabilities by number (`linux/capability.h`): without these the agent does not start.
const NEEDED: [(u32, &str); 4] = [
    (12, "CAP_NET_ADMIN"),
    (21, "CAP_SYS_ADMIN"),
    (38, "CAP_PERFMON"),
    (39, "CAP_BPF"),
];

/// Without these it does less.
const USED: [(u32, &str); 2] = [(2, "CAP_DAC_READ_SEARCH"), (19, "CAP_SYS_PTRACE")];

/// A clock that is so much behind a file's time was set back.
const BEHIND: Duration = Duration::from_secs(60);

pub(super) fn check(host: &ExaminedHost<'_>, lines: &mut Lines) {
    kernel(lines);
    jit(host, lines);
    match Path::new("/sys/kernel/btf/vmlinux").exists() {
        true => lines.ok("BTF", "the kernel's type information is in /sys/kernel/btf"),
        false => lines.ok(
            "BTF",
            "the kernel has no type information; netpolicy does not need it, bpftool shows less",
        ),
    }
    memory(host, lines);
    capabilities(host, lines);
    clock(host, lines);
}

fn kernel(lines: &mut Lines) {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let machine = uname.machine().to_string_lossy().into_owned();
    match datapath::check_kernel() {
        Ok(()) => lines.ok("kernel", format!("Linux {release} on {machine}")),
        Err(error) => lines.fail("kernel", error.to_string(), "boot a newer kernel"),
    }
}

fn jit(host: &ExaminedHost<'_>, lines: &mut Lines) {
    let advice = "sysctl -w net.core.bpf_jit_enable=1, then restart the agent";
    let slow = "programs are interpreted: each packet takes several times as long";
    // The loaded program says so itself; the setting is missing in other network namespaces.
    match jitted(&host.config.bpffs_dir) {
        Some(true) => return lines.ok("JIT", "the loaded program is compiled"),
        Some(false) => return lines.warn("JIT", slow, advice),
        None => {}
    }
    match fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").as_deref() {
        Ok("0\n") => lines.warn("JIT", slow, advice),
        Ok(_) => lines.ok("JIT", "programs are compiled when they are loaded"),
        Err(_) => lines.ok(
            "JIT",
            "not shown in this network namespace, and no program is loaded yet",
        ),
    }
}

/// Since Linux 5.11 `RLIMIT_MEMLOCK` does not bound BPF; the control group does.
fn memory(host: &ExaminedHost<'_>, lines: &mut Lines) {
    let process = host
        .agent()
        .map_or("self".to_owned(), |pid| pid.to_string());
    let whose = match host.agent() {
        Some(_) => "the agent's control group",
        None => "this shell's control group (no agent was asked)",
    };
    match memory_limit(&process) {
        Some(limit) if limit < LISTS_MAX => lines.warn(
            "memory limit",
            format!(
                "{whose} is limited to {} MiB, in which the kernel's lists count (RLIMIT_MEMLOCK \
                 does not matter since Linux 5.11): a change that needs more is refused",
                limit >> 20
            ),
            "raise MemoryMax= of the unit, or keep lists short (a million entries take about \
             100 MiB)",
        ),
        Some(limit) => lines.ok(
            "memory limit",
            format!("{whose} is limited to {} MiB, which is enough", limit >> 20),
        ),
        None => lines.ok(
            "memory limit",
            format!("{whose} is not limited; RLIMIT_MEMLOCK does not matter since Linux 5.11"),
        ),
    }
}

/// The lowest limit of a process's control group and those above it; `None`: there is none.
fn memory_limit(process: &str) -> Option<u64> {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
    let limits = groups.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let (base, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        lowest(Path::new(base), path.trim_start_matches('/'), file)
    });
    limits.min()
}

fn lowest(base: &Path, group: &str, file: &str) -> Option<u64> {
    let group = base.join(group);
    let groups = group.ancestors().take_while(|at| at.starts_with(base));
    let limits = groups.filter_map(|at| {
        let text = fs::read_to_string(at.join(file)).ok()?;
        // cgroup v1 has a number near the largest for none.
        text.trim().parse().ok().filter(|limit| *limit < 1 << 60)
    });
    limits.min()
}

fn capabilities(host: &ExaminedHost<'_>, lines: &mut Lines) {
    let (process, whose) = match host.agent() {
        Some(pid) => (pid.to_string(), "the agent"),
        None => ("self".to_owned(), "this command"),
    };
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(held) = held.and_then(|held| u64::from_str_radix(held.trim(), 16).ok()) else {
        let found = format!("those of {whose} cannot be read");
        return lines.warn("capabilities", found, "repeat it as root");
    };
    let missing = |wanted: &[(u32, &'static str)]| {
        let missing = wanted.iter().filter(|(bit, _)| held >> bit & 1 == 0);
        missing.map(|(_, name)| *name).collect::<Vec<_>>()
    };
    let (needed, used) = (missing(&NEEDED), missing(&USED));
    if !needed.is_empty() {
        let found = format!("{whose} lacks {}", needed.join(", "));
        match host.agent() {
            Some(_) => lines.fail(
                "capabilities",
                found,
                "add them to CapabilityBoundingSet= of the unit: without them the next start fails",
            ),
            None => lines.warn(
                "capabilities",
                format!("{found}: some lines say less than they could"),
                "repeat it as root",
            ),
        }
    } else if !used.is_empty() {
        lines.warn(
            "capabilities",
            format!(
                "{whose} lacks {}: it does not see the SSH connection of other users' shells, so \
                 it protects them less from a lockout, and `--existing cut` ends fewer sessions",
                used.join(", ")
            ),
            "add them to CapabilityBoundingSet= of the unit",
        );
    } else {
        lines.ok("capabilities", format!("{whose} has all that are used"));
    }
}

/// Deadlines run by the boot clock, and those on disk have the wall clock's time too.
fn clock(host: &ExaminedHost<'_>, lines: &mut Lines) {
    let state = host.config.state_dir.join("state.db");
    let newest = fs::metadata(state).and_then(|about| about.modified()).ok();
    let behind = newest.and_then(|newest| newest.duration_since(SystemTime::now()).ok());
    match behind.filter(|behind| *behind > BEHIND) {
        Some(behind) => lines.warn(
            "clock",
            format!(
                "the wall clock is {} behind the state database's last change: it was set back",
                humantime::format_duration(Duration::from_secs(behind.as_secs()))
            ),
            "set the clock (timedatectl, chronyc). Deadlines run by the boot clock and are right \
             until the next reboot; times in the history and the audit log are not",
        ),
        None => lines.ok(
            "clock",
            "not behind the last change; deadlines run by the boot clock, which is not set",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowest_limit_of_the_groups_above_counts() {
        let base = tempfile::tempdir().unwrap();
        let inner = base.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("memory.max"), "max\n").unwrap();
        assert_eq!(lowest(base.path(), "a/b", "memory.max"), None);
        fs::write(base.path().join("a/memory.max"), "4096\n").unwrap();
        fs::write(inner.join("memory.max"), "8192\n").unwrap();
        assert_eq!(lowest(base.path(), "a/b", "memory.max"), Some(4096));
        let none = (u64::MAX >> 1).to_string();
        fs::write(inner.join("v1"), none).unwrap();
        assert_eq!(lowest(base.path(), "a/b", "v1"), None);
    }
}
