//! Figures of bans and of the memory of sources, and what they are compared with.

use serde::Serialize;

use super::{median, short, shown_target};

/// One figure: a value, or with `against` a ratio.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    /// "bans", "seeing"; set as it is reported.
    pub(crate) bench: &'static str,
    /// "100,000 new bans".
    pub(crate) figure: &'static str,
    /// What is measured: "netpolicy, one request", "ipset restore".
    pub(crate) of: &'static str,
    /// What the ratio is to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) against: Option<&'static str>,
    /// Bans, rules or sources that it is about.
    pub(crate) entries: usize,
    /// Median of the rounds.
    pub(crate) value: f64,
    /// Lowest and highest round.
    pub(crate) spread: (f64, f64),
    pub(crate) unit: &'static str,
    /// What the value is to be at least, or at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<f64>,
    /// Whether a value below the target is the better one.
    pub(crate) is_less_better: bool,
    pub(crate) rounds: usize,
}

/// A figure of bans.
pub(crate) type BanFigure = Measured;

/// The columns of [`Measured::cells`].
pub(crate) const MEASURED_TITLES: [&str; 7] = [
    "figure", "of", "against", "entries", "median", "rounds", "target",
];

impl Measured {
    /// A value of each round, without a target.
    pub(crate) fn of(
        figure: &'static str,
        of: &'static str,
        entries: usize,
        unit: &'static str,
        values: &[f64],
    ) -> Self {
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self {
            bench: "",
            figure,
            of,
            against: None,
            entries,
            value: median(values),
            spread: (lowest, highest),
            unit,
            target: None,
            is_less_better: false,
            rounds: values.len(),
        }
    }

    /// A row of a table.
    pub(crate) fn cells(&self) -> [String; 7] {
        [
            self.figure.to_owned(),
            self.of.to_owned(),
            self.against.unwrap_or_default().to_owned(),
            self.entries.to_string(),
            format!("{} {}", short(self.value), self.unit),
            self.shown_spread(),
            self.shown_target(),
        ]
    }

    /// "0.95–1.01".
    pub(crate) fn shown_spread(&self) -> String {
        match self.rounds {
            1 => String::new(),
            _ => format!("{}–{}", short(self.spread.0), short(self.spread.1)),
        }
    }

    /// "≤ 0.50: reached".
    pub(crate) fn shown_target(&self) -> String {
        self.target.map_or_else(String::new, |target| {
            shown_target(Some(self.value), target, self.is_less_better)
        })
    }
}
