//! The processor and its caches, as the kernel tells.

use std::fs;

use serde::Serialize;

/// What tells generations of processors apart that call themselves by one name, as virtual
/// ones do.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Processor {
    /// "AuthenticAMD".
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor: Option<String>,
    /// "AMD EPYC".
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    // Numbers of the vendor's; other architectures than x86 have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stepping: Option<u32>,
}

impl Processor {
    /// The first one of `/proc/cpuinfo`.
    pub(super) fn read(cpuinfo: &str) -> Self {
        let text = |name| values(cpuinfo, name).next().map(str::to_owned);
        let number = |name| values(cpuinfo, name).next()?.parse().ok();
        Self {
            vendor: text("vendor_id"),
            name: text("model name"),
            family: number("cpu family"),
            model: number("model"),
            stepping: number("stepping"),
        }
    }

    /// "AuthenticAMD, family 26, model 2, stepping 1": without its name.
    pub(super) fn describe(&self) -> String {
        let numbers = [
            ("family", self.family),
            ("model", self.model),
            ("stepping", self.stepping),
        ];
        let numbers = numbers
            .into_iter()
            .filter_map(|(name, number)| Some(format!("{name} {}", number?)));
        let known: Vec<String> = self.vendor.iter().cloned().chain(numbers).collect();
        known.join(", ")
    }
}

/// What `/proc/cpuinfo` says under a name, for one processor after another.
pub(super) fn values<'a>(cpuinfo: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    cpuinfo.lines().filter_map(move |line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim())
    })
}

/// A cache.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cache {
    level: u32,
    /// "Data", "Instruction", "Unified".
    #[serde(rename = "type")]
    kind: String,
    kib: usize,
    /// The CPUs that use it: "0-1".
    shared_cpu_list: String,
    /// Whether these are all one core.
    #[serde(skip)]
    is_a_core_s: bool,
}

impl Cache {
    /// "L2 1 MiB", "L1 data 48 KiB".
    fn describe(&self) -> String {
        let kind = match self.kind.as_str() {
            "Unified" => String::new(),
            kind => format!(" {}", kind.to_lowercase()),
        };
        let size = if self.kib.is_multiple_of(1024) {
            format!("{} MiB", self.kib / 1024)
        } else {
            format!("{} KiB", self.kib)
        };
        format!("L{}{kind} {size}", self.level)
    }
}

/// Far more than any processor has.
const MOST_CACHES: u32 = 16;

/// The caches of the first CPU, where the kernel tells of them.
pub(super) fn caches() -> Vec<Cache> {
    let cpu = "/sys/devices/system/cpu/cpu0";
    let read = |name: &str| {
        let text = fs::read_to_string(format!("{cpu}/{name}")).ok()?;
        Some(text.trim().to_owned())
    };
    let core = read("topology/core_cpus_list").or_else(|| read("topology/thread_siblings_list"));
    let cache = |index: u32| {
        let read = |name: &str| read(&format!("cache/index{index}/{name}"));
        let shared_cpu_list = read("shared_cpu_list")?;
        Some(Cache {
            level: read("level")?.parse().ok()?,
            kind: read("type")?,
            kib: read("size")?.strip_suffix('K')?.parse().ok()?,
            is_a_core_s: core.as_ref() == Some(&shared_cpu_list),
            shared_cpu_list,
        })
    };
    (0..MOST_CACHES).filter_map(cache).collect()
}

/// "L1 data 48 KiB, L2 1 MiB of each core; L3 32 MiB of CPUs 0-1".
pub(super) fn describe_caches(caches: &[Cache]) -> String {
    let (own, shared): (Vec<_>, Vec<_>) = caches.iter().partition(|cache| cache.is_a_core_s);
    let own: Vec<String> = own.into_iter().map(Cache::describe).collect();
    let own = (!own.is_empty()).then(|| format!("{} of each core", own.join(", ")));
    let shared = shared
        .into_iter()
        .map(|cache| format!("{} of CPUs {}", cache.describe(), cache.shared_cpu_list));
    let all: Vec<String> = own.into_iter().chain(shared).collect();
    all.join("; ")
}

/// Bytes of a core's second-level cache, as the kernel tells; where it does not, 1 MiB.
pub(crate) fn second_level_cache() -> usize {
    let caches = caches();
    let second = caches
        .iter()
        .find(|cache| cache.level == 2 && cache.kind != "Instruction");
    second.map_or(1 << 20, |cache| cache.kib << 10)
}
