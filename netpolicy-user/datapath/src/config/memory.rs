//! The section `[memory]`.

use serde::{Deserialize, Serialize};
use toml::Spanned;

/// The section of the memory of sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryConfig {
    /// Whether sources are remembered.
    pub enabled: bool,
    /// Attempts a second, denied ones and others, up to which each is remembered with its source.
    pub attempts_per_second: u32,
    /// Sources that are remembered: half of them denied, half allowed.
    pub sources: usize,
    /// Days after which a source that did not come again is removed.
    pub days: u32,
    /// Mebibytes on disk.
    pub most_mib: u32,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            attempts_per_second: 30_000,
            sources: 200_000,
            days: 90,
            most_mib: 64,
        }
    }
}

impl MemoryConfig {
    /// Sources of each verdict.
    #[must_use]
    pub fn each(&self) -> usize {
        self.sources / 2
    }

    /// Bytes on disk.
    #[must_use]
    pub fn most_bytes(&self) -> u64 {
        u64::from(self.most_mib) << 20
    }

    /// Attempts a second that the kernel is to report; 0: none.
    #[must_use]
    pub fn reported_per_second(&self) -> u32 {
        match self.enabled {
            true => self.attempts_per_second,
            false => 0,
        }
    }
}

/// The same as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileMemory {
    enabled: Option<bool>,
    attempts_per_second: Option<Spanned<u32>>,
    sources: Option<Spanned<usize>>,
    days: Option<Spanned<u32>>,
    most_mib: Option<Spanned<u32>>,
}

impl FileMemory {
    /// What is written; with each value that is too small or too large its place and what is
    /// wrong.
    pub(super) fn read(self) -> (MemoryConfig, Vec<(usize, String)>) {
        let mut memory = MemoryConfig::default();
        let mut problems = Vec::new();
        if let Some(enabled) = self.enabled {
            memory.enabled = enabled;
        }
        let mut take = |value: Option<Spanned<u32>>, field: &mut u32, least: u32, most: u32| {
            let Some(value) = value else { return };
            let number = *value.get_ref();
            match (least..=most).contains(&number) {
                true => *field = number,
                false => problems.push((value.span().start, range(number as usize, least, most))),
            }
        };
        take(
            self.attempts_per_second,
            &mut memory.attempts_per_second,
            1_000,
            100_000,
        );
        take(self.days, &mut memory.days, 1, 3_650);
        take(self.most_mib, &mut memory.most_mib, 4, 4_096);
        if let Some(sources) = self.sources {
            let number = *sources.get_ref();
            match (1_000..=10_000_000).contains(&number) {
                true => memory.sources = number,
                false => {
                    problems.push((sources.span().start, range(number, 1_000, 10_000_000)));
                }
            }
        }
        (memory, problems)
    }
}

fn range(number: usize, least: u32, most: u32) -> String {
    format!("{number} is out of range: expected {least} to {most}")
}
