//! Rules of packet filters that judge by the source, and what a list can carry of them.

use crate::Place;
use crate::collect::Collector;
use crate::error::Problem;

/// A rule of iptables or nftables.
#[derive(Debug, Default)]
pub(crate) struct SourceRule {
    pub(crate) chain: String,
    /// Sources that it holds for, as written.
    pub(crate) sources: Vec<(String, Place)>,
    /// Why a list cannot carry it.
    pub(crate) foreign: Option<String>,
    /// Whether it accepts; `None`: it does neither.
    pub(crate) accepts: Option<bool>,
    pub(crate) comment: Option<String>,
    pub(crate) place: Place,
}

impl SourceRule {
    /// Notes why a list cannot carry it, if nothing else is known yet.
    pub(crate) fn not_carried(&mut self, why: impl FnOnce() -> String) {
        self.foreign.get_or_insert_with(why);
    }

    /// The part of the file to which it belongs: chain and verdict.
    fn part(&self) -> Option<String> {
        let verdict = if self.accepts? { "accept" } else { "drop" };
        Some(format!("{}:{verdict}", self.chain))
    }

    /// Adds its sources, or says why not.
    pub(crate) fn carry(self, into: &mut Collector<'_>) {
        let Some(part) = self.part() else {
            return;
        };
        if !into.part(&part) {
            return;
        }
        if let Some(why) = self.foreign {
            let why = format!("a rule of chain {} is not carried: it {why}", self.chain);
            into.skip(self.place, Problem::Entry(why));
            return;
        }
        for (source, place) in &self.sources {
            into.add(source, *place, self.comment.as_deref(), None);
        }
    }
}
