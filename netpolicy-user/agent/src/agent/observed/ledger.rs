//! How many attempts were judged and not reported, by what the kernel counts.
//!
//! Each attempt is counted, by scope and reason, before it is reported; the counters are read
//! before the events. So what is counted and was not reported by then never will be.

use std::collections::HashMap;

use netpolicy_common::{Reason, ScopeId};

/// What is counted apart.
pub(super) type CountedKind = (ScopeId, Reason);

/// Whether attempts of this reason are remembered.
pub(super) fn is_remembered(reason: Reason) -> bool {
    reason.is_denial() || reason.is_sampled()
}

/// Counters against events.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The counters at the last look; `None`: they were not looked at yet.
    counted: Option<HashMap<CountedKind, u64>>,
    /// What was counted since the first look, less what was reported.
    open: HashMap<CountedKind, i64>,
}

impl Ledger {
    /// Whether there was a look at the counters.
    pub(super) fn has_counted(&self) -> bool {
        self.counted.is_some()
    }

    /// What is counted now. What was counted before the first look is of no interest.
    pub(super) fn count(&mut self, rows: &[(ScopeId, Reason, u64)]) {
        let remembered = rows.iter().filter(|row| is_remembered(row.1));
        let now: HashMap<CountedKind, u64> =
            remembered.map(|row| ((row.0, row.1), row.2)).collect();
        let Some(before) = &self.counted else {
            self.counted = Some(now);
            return;
        };
        for (kind, count) in &now {
            let before = before.get(kind).copied().unwrap_or(0);
            // Less than before: counted again from zero, in other maps or for another service.
            let more = count.checked_sub(before).unwrap_or(*count);
            if more > 0 {
                let open = self.open.entry(*kind).or_default();
                *open = open.saturating_add_unsigned(more);
            }
        }
        self.counted = Some(now);
    }

    /// Attempts were reported.
    pub(super) fn report(&mut self, kind: CountedKind, count: u64) {
        // Before the first look nothing is open, and what was counted until then is not compared.
        if self.counted.is_some() && is_remembered(kind.1) {
            let open = self.open.entry(kind).or_default();
            *open = open.saturating_sub_unsigned(count);
        }
    }

    /// What was counted and never reported since the last settling.
    pub(super) fn settle(&mut self) -> HashMap<CountedKind, u64> {
        let mut unreported = HashMap::new();
        self.open.retain(|kind, open| {
            if let Ok(count @ 1..) = u64::try_from(*open) {
                unreported.insert(*kind, count);
                return false;
            }
            // Reported since the counters were read: the next look counts them.
            *open < 0
        });
        unreported
    }

    /// What the kernel had counted of what was reported or settled: scope, number of the reason,
    /// attempts. Right after settling.
    pub(super) fn accounted(&self) -> Vec<(ScopeId, u8, u64)> {
        let counted = self.counted.iter().flatten();
        let accounted = counted.map(|((scope, reason), count)| {
            let open = self.open.get(&(*scope, *reason)).copied().unwrap_or(0);
            let accounted = count.saturating_add_signed(-open);
            (*scope, *reason as u8, accounted)
        });
        accounted.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCKED: CountedKind = (0, Reason::Blocked);

    fn rows(count: u64) -> [(ScopeId, Reason, u64); 2] {
        [(0, Reason::Blocked, count), (0, Reason::Established, 99)]
    }

    #[test]
    fn what_is_counted_and_not_reported_is_open() {
        let mut ledger = Ledger::default();
        ledger.report(BLOCKED, 7);
        ledger.count(&rows(1000));
        assert!(ledger.settle().is_empty(), "before the first look");
        ledger.count(&rows(1100));
        ledger.report(BLOCKED, 60);
        assert_eq!(ledger.settle(), HashMap::from([(BLOCKED, 40)]));
        assert!(ledger.settle().is_empty());
    }

    #[test]
    fn what_is_reported_before_it_is_counted_is_not_open() {
        let mut ledger = Ledger::default();
        ledger.count(&rows(0));
        ledger.count(&rows(10));
        ledger.report(BLOCKED, 12);
        assert!(ledger.settle().is_empty());
        assert_eq!(ledger.accounted(), [(0, Reason::Blocked as u8, 12)]);
        ledger.count(&rows(20));
        ledger.report(BLOCKED, 8);
        assert!(ledger.settle().is_empty());
    }

    #[test]
    fn counters_that_begin_again_count_from_zero() {
        let mut ledger = Ledger::default();
        ledger.count(&rows(1000));
        ledger.count(&rows(5));
        assert_eq!(ledger.settle(), HashMap::from([(BLOCKED, 5)]));
    }
}
