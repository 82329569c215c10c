//! The agent's own memory: how much it is, and giving it back.

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

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_has_memory() {
        super::give_back();
        assert!(super::resident() > 100_000);
    }
}
