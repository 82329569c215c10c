//! What the figures were measured on.

use std::fs;

/// Cache lines of 64 bytes in a MiB.
pub(crate) const LINES_PER_MIB: usize = (1 << 20) / 64;

/// Bytes of a core's second-level cache, as the kernel tells; where it does not, 1 MiB.
pub(crate) fn second_level_cache() -> usize {
    let read = |name: &str| {
        let file = format!("/sys/devices/system/cpu/cpu0/cache/index2/{name}");
        fs::read_to_string(file).unwrap_or_default()
    };
    let size = read("size");
    let kib = size
        .trim()
        .strip_suffix('K')
        .and_then(|kib| kib.parse().ok());
    kib.filter(|_| read("level").trim() == "2")
        .map_or(1 << 20, |kib: usize| kib << 10)
}

/// One line: kernel, CPU, cores, memory.
pub(crate) fn describe() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> = cpuinfo
        .lines()
        .filter_map(|line| {
            line.strip_prefix("model name")?
                .split_once(':')
                .map(|(_, name)| name.trim())
        })
        .collect();
    let hypervisor = if cpuinfo.contains(" hypervisor") {
        ", virtual"
    } else {
        ""
    };
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    format!(
        "Linux {}, {} × {}{hypervisor}, {} GiB",
        kernel.trim(),
        models.len(),
        models.first().unwrap_or(&"unknown CPU"),
        kib / (1 << 20)
    )
}
