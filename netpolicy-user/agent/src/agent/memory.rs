//! The agent's own memory: how much it is, and giving it back.

/// Allocations from this size on go back to the system as soon as they are freed, bytes.
#[cfg(target_env = "gnu")]
const RETURNED: libc::c_int = 1 << 20;

/// What an arena keeps at its end for later, bytes.
#[cfg(target_env = "gnu")]
const SPARE: libc::c_int = 2 << 20;

/// Keeps the allocator from holding what is freed.
///
/// Without this glibc takes the size of the first large block that is freed as the size up to which
/// it holds blocks from then on, up to 32 MiB, and twice as much at the end of each arena: of what
/// answers take for an instant, each thread that gave one would hold some.
pub fn hold_little() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) may be called at any time from any thread; it takes plain numbers.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, RETURNED);
        libc::mallopt(libc::M_TRIM_THRESHOLD, SPARE);
    }
}

/// Returns what the allocator holds but does not use to the system. A large change
/// leaves hundreds of megabytes of freed small blocks behind, which the allocator
/// would keep for good.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Resident memory, bytes; 0 where /proc does not say.
#[must_use]
pub fn resident() -> u64 {
    // "VmRSS:     1234 kB", proc_pid_status(5).
    let kib = std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        });
    kib.unwrap_or(0) * 1024
}

/// What the agent uses of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU time in user mode, seconds.
    pub user_seconds: f64,
    /// CPU time in system mode, seconds.
    pub system_seconds: f64,
    /// Open descriptors.
    pub descriptors: usize,
    /// Memory of the BPF maps among them, bytes, as the kernel accounts for it.
    pub maps: u64,
}

/// What the agent uses now; `None`: /proc does not say.
#[must_use]
pub fn usage() -> Option<Usage> {
    let stat = procfs::process::Process::myself().ok()?.stat().ok()?;
    let seconds = |ticks: u64| {
        #[expect(
            clippy::cast_precision_loss,
            reason = "2^53 ticks are three million years"
        )]
        let seconds = ticks as f64 / procfs::ticks_per_second() as f64;
        seconds
    };
    let mut usage = Usage {
        user_seconds: seconds(stat.utime),
        system_seconds: seconds(stat.stime),
        ..Usage::default()
    };
    let mut maps = std::collections::BTreeMap::new();
    for file in std::fs::read_dir("/proc/self/fdinfo").ok()?.flatten() {
        usage.descriptors += 1;
        // One that was closed meanwhile is none any more.
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        maps.extend(map_memory(&text));
    }
    usage.maps = maps.values().sum();
    Some(usage)
}

/// The id and memory of the BPF map that a file of /proc/PID/fdinfo describes
/// (`bpf_map_show_fdinfo` of the kernel's kernel/bpf/syscall.c).
fn map_memory(fdinfo: &str) -> Option<(u64, u64)> {
    let value = |key: &str| {
        let line = fdinfo.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().parse().ok()
    };
    Some((value("map_id:")?, value("memlock:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_uses_cpu_and_descriptors() {
        give_back();
        assert!(resident() > 100_000);
        let usage = usage().unwrap();
        assert!(usage.user_seconds + usage.system_seconds < 100_000.0);
        assert!(usage.descriptors >= 3, "{usage:?}");
    }

    #[test]
    fn map_is_told_from_other_descriptors() {
        let map = "pos:\t0\nflags:\t02000002\nmap_type:\t2\nkey_size:\t4\nmemlock:\t8388608\nmap_id:\t97\nfrozen:\t0\n";
        assert_eq!(map_memory(map), Some((97, 8_388_608)));
        assert_eq!(map_memory("pos:\t0\nlink_type:\txdp\nprog_id:\t9\n"), None);
    }
}
