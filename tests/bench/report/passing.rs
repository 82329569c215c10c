//! Figures of traffic that passes, and what they are compared with.

use serde::Serialize;

/// One figure of one filter.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Passing {
    /// "passing".
    pub(crate) bench: &'static str,
    /// "1 stream in".
    pub(crate) figure: &'static str,
    /// "veth".
    pub(crate) device: &'static str,
    /// "unfiltered", "netpolicy, native XDP", "nftables, netdev ingress".
    pub(crate) filter: &'static str,
    /// On the list of blocked sources.
    pub(crate) entries: usize,
    /// Median of the rounds.
    pub(crate) value: f64,
    /// Lowest and highest round.
    pub(crate) spread: (f64, f64),
    pub(crate) unit: &'static str,
    /// What the ratio is to.
    pub(crate) against: &'static str,
    /// Median of the rounds' ratios to it in the same round; `None` where it was not measured.
    pub(crate) ratio: Option<f64>,
    /// Lowest and highest round.
    pub(crate) ratio_spread: Option<(f64, f64)>,
    /// What the ratio is to be; for netpolicy alone, and only for some figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<f64>,
    /// Whether a ratio below the target is the better one.
    pub(crate) is_less_better: bool,
    pub(crate) rounds: usize,
}

/// What a filter did to a device.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Offloads {
    /// "offloads".
    pub(crate) bench: &'static str,
    pub(crate) device: &'static str,
    pub(crate) filter: &'static str,
    /// "tx-tcp-segmentation off at the clients' end".
    pub(crate) changed: Vec<String>,
}

impl Offloads {
    /// All of it, or "nothing".
    pub(crate) fn shown(&self) -> String {
        if self.changed.is_empty() {
            "nothing".to_owned()
        } else {
            self.changed.join("; ")
        }
    }
}

/// The columns of [`Passing::cells`].
pub(crate) const PASSING_TITLES: [&str; 8] = [
    "figure", "device", "filter", "entries", "median", "rounds", "ratio", "target",
];

impl Passing {
    /// A row of a table.
    pub(crate) fn cells(&self) -> [String; 8] {
        [
            self.figure.to_owned(),
            self.device.to_owned(),
            self.filter.to_owned(),
            self.entries.to_string(),
            format!("{} {}", short(self.value), self.unit),
            format!("{}–{}", short(self.spread.0), short(self.spread.1)),
            self.shown_ratio(),
            self.shown_target(),
        ]
    }

    /// "0.98 (0.95–1.01)".
    pub(crate) fn shown_ratio(&self) -> String {
        match (self.ratio, self.ratio_spread) {
            (Some(ratio), Some((lowest, highest))) => {
                format!("{ratio:.2} ({lowest:.2}–{highest:.2})")
            }
            _ => String::new(),
        }
    }

    /// "≥ 0.97: reached".
    pub(crate) fn shown_target(&self) -> String {
        self.target.map_or_else(String::new, |target| {
            shown_target(self.ratio, target, self.is_less_better)
        })
    }
}

/// Whether a value reaches its target, in hundredths, as both are shown.
pub(crate) fn shown_target(value: Option<f64>, target: f64, is_less_better: bool) -> String {
    let bound = if is_less_better { "≤" } else { "≥" };
    let in_hundredths = |value: f64| (value * 100.0).round();
    let is_reached = |value| match is_less_better {
        true => in_hundredths(value) <= in_hundredths(target),
        false => in_hundredths(value) >= in_hundredths(target),
    };
    let verdict = match value {
        Some(value) if is_reached(value) => "reached",
        Some(_) => "missed",
        None => "not measured",
    };
    format!("{bound} {target:.2}: {verdict}")
}

/// Three digits that tell something.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
