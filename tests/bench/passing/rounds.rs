//! Measurements by turns, and what they come to.

use std::time::Duration;

use super::{device::Device, filter::Filter};
use crate::report::{Passing, Report, median};

/// How often and how long to measure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) rounds: usize,
    /// One measurement of one filter.
    pub(super) turn: Duration,
}

/// A figure, and what netpolicy is to reach on veth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    /// At least this share of what it is compared with; at most, where less is better.
    pub(super) target: Option<f64>,
    pub(super) is_less_better: bool,
}

impl Metric {
    pub(super) const fn more(name: &'static str, unit: &'static str, target: Option<f64>) -> Self {
        Self {
            name,
            unit,
            target,
            is_less_better: false,
        }
    }

    /// Without its target, where none was asked for.
    pub(super) fn asked(self, is_asked: bool) -> Self {
        Self {
            target: self.target.filter(|_| is_asked),
            ..self
        }
    }

    pub(super) const fn less(name: &'static str, unit: &'static str, target: Option<f64>) -> Self {
        Self {
            name,
            unit,
            target,
            is_less_better: true,
        }
    }
}

/// Each filter in each round, each round beginning with the next one: whatever else the
/// machine does meanwhile meets all of them.
pub(super) fn by_turns<T, const N: usize>(
    sites: &[&T],
    rounds: usize,
    mut measure: impl FnMut(&T) -> [f64; N],
) -> Vec<Vec<[f64; N]>> {
    let mut values = vec![Vec::with_capacity(rounds); sites.len()];
    for round in 0..rounds {
        for at in 0..sites.len() {
            let at = (round + at) % sites.len();
            values[at].push(measure(sites[at]));
        }
    }
    values
}

/// What a set of figures is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    pub(super) device: Device,
    pub(super) entries: usize,
    /// Whose figure of the same round each is divided by.
    pub(super) against: Filter,
}

/// Reports the figures of some measurements by turns.
pub(super) fn tell<const N: usize>(
    report: &mut Report,
    about: About,
    metrics: [Metric; N],
    filters: &[Filter],
    values: &[Vec<[f64; N]>],
) {
    let base = filters.iter().position(|filter| *filter == about.against);
    for (number, metric) in metrics.iter().enumerate() {
        for (filter, ours) in filters.iter().zip(values) {
            let column = |of: &[[f64; N]]| of.iter().map(|v| v[number]).collect::<Vec<_>>();
            let found = column(ours);
            let ratios: Vec<f64> = base.map_or_else(Vec::new, |base| {
                let base = column(&values[base]);
                found.iter().zip(base).map(|(a, b)| a / b).collect()
            });
            report.passing(Passing {
                bench: "passing",
                figure: metric.name,
                device: about.device.name(),
                filter: filter.name(),
                entries: about.entries,
                value: median(&found),
                spread: extremes(&found),
                unit: metric.unit,
                against: about.against.name(),
                ratio: (!ratios.is_empty()).then(|| median(&ratios)),
                ratio_spread: (!ratios.is_empty()).then(|| extremes(&ratios)),
                target: metric.target.filter(|_| filter.is_asked()),
                is_less_better: metric.is_less_better,
                rounds: found.len(),
            });
        }
    }
}

fn extremes(values: &[f64]) -> (f64, f64) {
    (
        values.iter().copied().fold(f64::INFINITY, f64::min),
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    )
}
