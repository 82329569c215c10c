//! Reading what the program counts.

use std::io;

use aya::maps::PerCpuValues;
use netpolicy_common::{EventStats, MAX_SCOPES, Reason, ScopeId};

use super::{DatapathError, maps::Maps};

/// All counters at about one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterSnapshot {
    /// Packets by scope and reason, all CPUs together; zeros are left out.
    pub rows: Vec<(ScopeId, Reason, u64)>,
    /// What became of events, all CPUs together.
    pub events: EventStats,
}

/// Takes about 4,000 system calls: one for each counter.
pub(super) fn read(maps: &Maps) -> Result<CounterSnapshot, DatapathError> {
    let mut rows = Vec::new();
    for scope in 0..MAX_SCOPES {
        for reason in Reason::ALL {
            let index = scope * Reason::SLOTS + *reason as u32;
            let packets: u64 = maps
                .counters
                .get(&index, 0)
                .map_err(DatapathError::map("read", "COUNTERS"))?
                .iter()
                .sum();
            if packets > 0 {
                rows.push((
                    ScopeId::try_from(scope).unwrap_or(ScopeId::MAX),
                    *reason,
                    packets,
                ));
            }
        }
    }
    Ok(CounterSnapshot {
        rows,
        events: read_event_stats(maps)?,
    })
}

/// What became of events, all CPUs together.
pub(super) fn read_event_stats(maps: &Maps) -> Result<EventStats, DatapathError> {
    let per_cpu = maps
        .event_stats
        .get(&0, 0)
        .map_err(DatapathError::map("read", "EVENT_STATS"))?;
    Ok(per_cpu
        .iter()
        .fold(EventStats::default(), |sum, cpu| EventStats {
            sent: sum.sent + cpu.sent,
            limited: sum.limited + cpu.limited,
            overflowed: sum.overflowed + cpu.overflowed,
        }))
}

/// The same value for every possible CPU.
pub(super) fn on_every_cpu(value: u64) -> Result<PerCpuValues<u64>, DatapathError> {
    let failed = |source: io::Error| DatapathError::System {
        call: "counting CPUs",
        source,
    };
    let cpus = aya::util::nr_cpus().map_err(|(_, error)| failed(error))?;
    PerCpuValues::try_from(vec![value; cpus]).map_err(failed)
}
