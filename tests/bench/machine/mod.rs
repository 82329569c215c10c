//! What the figures were measured on, and with.

mod processor;

use std::{collections::BTreeMap, fs, process::Command};

use netpolicy_tests::binary::workspace;
use serde::Serialize;

pub(crate) use processor::second_level_cache;
use processor::{Cache, Processor};

use crate::choice::Choice;

/// Cache lines of 64 bytes in a MiB.
pub(crate) const LINES_PER_MIB: usize = (1 << 20) / 64;

/// What a comparison with figures of other machines needs to know.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// "machine".
    bench: &'static str,
    /// One line: kernel, CPU, cores, memory.
    pub(crate) machine: String,
    /// Of the begin, UTC: "2026-11-27".
    date: String,
    /// Processes that ran or waited to, on average over the minute before the begin.
    load: f64,
    /// Of this checkout: "d00dfaa46a54, with changes".
    commit: String,
    processor: Processor,
    /// Those that the first CPU uses, by level.
    caches: Vec<Cache>,
    /// What the programs of other filters say of their versions, by filter; of those that
    /// are measured alone.
    peers: BTreeMap<&'static str, String>,
}

impl Machine {
    /// Finds out about this one, on which these filters are measured.
    pub(crate) fn look(choices: &[Choice]) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self {
            bench: "machine",
            machine: line(&cpuinfo),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            load: load(),
            commit: commit(),
            processor: Processor::read(&cpuinfo),
            caches: processor::caches(),
            peers: choices.iter().flat_map(|c| c.versions()).collect(),
        }
    }

    /// All of it as rows: a name and what is known of it. What is not known is left out.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let peers: Vec<&str> = self.peers.values().map(String::as_str).collect();
        let rows = [
            ("Machine", self.machine.clone()),
            ("Processor", self.processor.describe()),
            ("Caches", processor::describe_caches(&self.caches)),
            ("Other filters", peers.join("; ")),
            ("Date", self.date.clone()),
            ("Load before", format!("{:.2}", self.load)),
            ("Commit", self.commit.clone()),
        ];
        let known = rows.into_iter().filter(|(_, text)| !text.is_empty());
        known.collect()
    }
}

/// Kernel, CPU, cores, memory.
fn line(cpuinfo: &str) -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let models: Vec<&str> = processor::values(cpuinfo, "model name").collect();
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

/// The load average of one minute.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// The commit that is measured, and whether it is that alone.
fn commit() -> String {
    let git = |args: &[&str]| {
        let out = Command::new("git")
            .args(["-c", "safe.directory=*"])
            .args(args)
            .current_dir(workspace())
            .output()
            .ok()?;
        let text = String::from_utf8(out.stdout).ok()?;
        out.status.success().then(|| text.trim().to_owned())
    };
    let Some(head) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => head,
        _ => format!("{head}, with changes"),
    }
}
