//! The families of metrics: name, kind, labels and meaning.
//!
//! Names follow Prometheus' conventions: base units, `_total` for counters, `_info` for what is
//! constant, `_timestamp_seconds` for instants. A name, once released, keeps its meaning.

/// What a family's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only rises, and starts at zero again with the agent, or with the maps that it counts in.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Always 1: what it says is in its labels.
    Info,
}

impl MetricKind {
    /// What a family's name ends with in a sample.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Gauge => "",
            Self::Info => "_info",
        }
    }
}

/// A family of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricFamily {
    /// Its name, without the suffix of its kind.
    pub name: &'static str,
    /// What its samples are.
    pub kind: MetricKind,
    /// Names of the labels that each sample has.
    pub labels: &'static [&'static str],
    /// What it means, in a sentence.
    pub help: &'static str,
}

impl MetricFamily {
    /// The name of its samples.
    #[must_use]
    pub fn sample_name(&self) -> String {
        format!("{}{}", self.name, self.kind.suffix())
    }

    /// The unit, where the name ends with one.
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        let (_, unit) = self.name.rsplit_once('_')?;
        ["seconds", "bytes"]
            .into_iter()
            .find(|known| *known == unit)
    }
}

macro_rules! families {
    ($($constant:ident = $name:literal, $kind:ident, [$($label:literal),*], $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: MetricFamily = MetricFamily {
                name: $name,
                kind: MetricKind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*

        /// All families.
        pub const FAMILIES: &[MetricFamily] = &[$($constant),*];
    };
}

families! {
    AGENT_UP = "netpolicy_agent_up", Gauge, [],
        "Whether the agent answers the exporter; enforcement goes on without it.";
    BUILD = "netpolicy_build", Info, ["version", "abi", "engine"],
        "Version of netpolicy, version of the pinned maps, and how the kernel holds lists.";
    ENFORCEMENT = "netpolicy_enforcement", Gauge, ["state"],
        "1 for the state of enforcement: attached, partial, not-attached, detached or unknown.";
    INTERFACES = "netpolicy_interfaces", Gauge, ["state"],
        "Interfaces that are filtered, that should be and are not (unfiltered), and others that carry an address and are not filtered (open).";
    ATTEMPTS = "netpolicy_attempts", Counter, ["scope", "verdict", "reason"],
        "Connection attempts that were judged, by the host or service that governs them, verdict (pass or drop) and reason.";
    POLICY_ATTEMPTS = "netpolicy_policy_attempts", Counter, ["scope", "policy", "verdict", "reason"],
        "Connection attempts since the agent started, by the policy that decided, some seconds late and estimated in floods; no policy: none decided, or several together. Absent while the memory of sources is off.";
    PACKETS = "netpolicy_other_packets", Counter, ["reason"],
        "Packets that are no connection attempts, all of which pass, by reason.";
    EVENTS = "netpolicy_events", Counter, ["outcome"],
        "Denied attempts that were reported, and those that were not because of the rate limit (limited) or a full buffer (overflowed).";
    RESETS = "netpolicy_resets", Counter, ["outcome"],
        "Denied attempts to be answered by a TCP reset that were answered (sent), over the rate limit (limited), or not answered because the interface or the packet did not permit it (withheld).";
    REVISION = "netpolicy_revision", Gauge, [],
        "Revision of the desired state.";
    ENFORCED_REVISION = "netpolicy_enforced_revision", Gauge, [],
        "Revision that the ruleset in force was compiled from; lower than the desired one after changes without effect on packets.";
    GENERATION = "netpolicy_generation", Gauge, [],
        "Generation of the ruleset in force.";
    LAST_CHANGE = "netpolicy_last_change_timestamp_seconds", Gauge, [],
        "When the revision of the desired state was made; absent before the first one.";
    UNCONFIRMED = "netpolicy_unconfirmed_change_deadline_timestamp_seconds", Gauge, [],
        "When the unconfirmed change is rolled back; absent while none waits.";
    CHANGES = "netpolicy_changes", Counter, [],
        "Changes of the desired state since the agent started.";
    CHANGES_REFUSED = "netpolicy_requests_refused", Counter, ["code"],
        "Requests to the writer that were refused or failed since the agent started, by the API's error code.";
    SCOPE = "netpolicy_scope", Info, ["scope", "mode", "on_deny"],
        "Mode of the host and of each service (enforce or observe), and what a denied attempt gets (drop or reset).";
    POLICIES = "netpolicy_policies", Gauge, ["state"],
        "Policies that are active and bound (active), and others (inactive).";
    RULES = "netpolicy_rules", Gauge, ["policy", "list"],
        "Rules of each policy by list (allow, block, except), without those of named lists.";
    LIST_ENTRIES = "netpolicy_list_entries", Gauge, ["list"],
        "Entries of each named list, feeds included.";
    KERNEL_ENTRIES = "netpolicy_kernel_entries", Gauge, [],
        "Prefixes in the kernel's lists.";
    BYPASSES = "netpolicy_bypasses", Gauge, [],
        "Unexpired bypasses.";
    BANS = "netpolicy_bans", Gauge, ["origin"],
        "Bans in force by origin, of each source the one that ends last; beyond the 32 largest origins the rest counts as other.";
    BANS_MADE = "netpolicy_bans_made", Counter, [],
        "Bans made since the agent started, without those that were extended.";
    FEED_CHECKED = "netpolicy_feed_checked_timestamp_seconds", Gauge, ["feed"],
        "When a feed's source last said that the content in force is current; absent before that.";
    FEED_STALE = "netpolicy_feed_stale", Gauge, ["feed"],
        "Whether a feed was not refreshed for longer than its stale_after.";
    FEED_FAILED = "netpolicy_feed_failed", Gauge, ["feed"],
        "Whether a feed's last refresh failed; what is in force stays.";
    FLEET_REVISION = "netpolicy_fleet_revision", Gauge, ["fleet", "group"],
        "Revision of the host's fleet that is in force; absent where the host is in none, or nothing of it is in force.";
    FLEET_SINCE = "netpolicy_fleet_revision_timestamp_seconds", Gauge, ["fleet"],
        "When the revision of the host's fleet came into force.";
    FLEET_OVERRIDDEN = "netpolicy_fleet_overridden", Gauge, ["fleet"],
        "Whether a local change was made over the fleet's revision.";
    FAULTS = "netpolicy_faults", Gauge, ["kind"],
        "Faults that netpolicy status lists, by kind; a repaired drift counts for an hour.";
    DRIFT_REPAIRED = "netpolicy_drift_repaired", Counter, [],
        "Repairs of the kernel's state that another process had changed, since the agent started.";
    AGENT_START = "netpolicy_agent_start_timestamp_seconds", Gauge, [],
        "When the agent started.";
    AGENT_CPU = "netpolicy_agent_cpu_seconds", Counter, ["mode"],
        "CPU time of the agent in user and system mode.";
    AGENT_MEMORY = "netpolicy_agent_resident_memory_bytes", Gauge, [],
        "Resident memory of the agent.";
    AGENT_OPEN_FDS = "netpolicy_agent_open_fds", Gauge, [],
        "Open file descriptors of the agent.";
    KERNEL_MEMORY = "netpolicy_kernel_memory_bytes", Gauge, [],
        "Memory of the BPF maps that the agent holds, as the kernel accounts for it; for the engine lpm that is less than what entries take.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// <https://prometheus.io/docs/practices/naming/> and what OpenMetrics demands of names.
    #[test]
    fn names_follow_the_conventions() {
        let mut names = BTreeSet::new();
        for family in FAMILIES {
            let name = family.name;
            assert!(names.insert(name), "{name} is there twice");
            assert!(name.starts_with("netpolicy_"), "{name}");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{name}"
            );
            for suffix in ["_total", "_info", "_count", "_sum", "_bucket", "_created"] {
                assert!(!name.ends_with(suffix), "{name}: the kind adds that");
            }
            assert!(family.help.ends_with('.'), "{name}: {}", family.help);
            let labels: BTreeSet<_> = family.labels.iter().collect();
            assert_eq!(labels.len(), family.labels.len(), "{name}");
        }
        assert_eq!(AGENT_CPU.unit(), Some("seconds"));
        assert_eq!(AGENT_MEMORY.unit(), Some("bytes"));
        assert_eq!(AGENT_UP.unit(), None);
        assert_eq!(ATTEMPTS.sample_name(), "netpolicy_attempts_total");
        assert_eq!(BUILD.sample_name(), "netpolicy_build_info");
    }
}
