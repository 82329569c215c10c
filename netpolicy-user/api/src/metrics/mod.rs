//! Metrics: which there are, and how they are written for Prometheus.
//!
//! Pure: what they are measured by is the agent's business, who asks for them the exporter's. The
//! table of families is also the reference page.

mod exposition;
mod families;

pub use exposition::{Exposition, ExpositionFormat};
pub use families::{
    AGENT_CPU, AGENT_MEMORY, AGENT_OPEN_FDS, AGENT_START, AGENT_UP, ATTEMPTS, BANS, BANS_MADE,
    BUILD, BYPASSES, CHANGES, CHANGES_REFUSED, DRIFT_REPAIRED, ENFORCED_REVISION, ENFORCEMENT,
    EVENTS, FAMILIES, FAULTS, FEED_CHECKED, FEED_FAILED, FEED_STALE, FLEET_OVERRIDDEN,
    FLEET_REVISION, FLEET_SINCE, GENERATION, INTERFACES, KERNEL_ENTRIES, KERNEL_MEMORY,
    LAST_CHANGE, LIST_ENTRIES, MetricFamily, MetricKind, PACKETS, POLICIES, POLICY_ATTEMPTS,
    RESETS, REVISION, RULES, SCOPE, UNCONFIRMED,
};
