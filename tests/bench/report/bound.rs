//! What bounds the flat engine: one row of figures, for JSON and for tables.

use serde::Serialize;

/// Listed sources of a block list: what was asked for, measured, and is possible. Times are
/// nanoseconds that a packet takes more than with the bare program; shares are of that
/// program's rate, `_call` with the generator's idle time.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Bound {
    /// "bound".
    pub(crate) bench: &'static str,
    pub(crate) engine: &'static str,
    pub(crate) family: &'static str,
    pub(crate) entries: usize,
    /// `ratio_call` once more, so that this reads like any other figure.
    pub(crate) value: f64,
    /// "ratio".
    pub(crate) unit: &'static str,
    /// A share on the scale of `ratio_call`, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<f64>,

    // The engine.
    pub(crate) ratio_call: f64,
    pub(crate) ratio_bare: f64,
    pub(crate) ns_more: f64,

    // A program that reads the packet down to its flags, counts and drops.
    pub(crate) parse_ns: f64,
    pub(crate) parse_ratio_call: f64,

    // The same, which reads one line out of the fewest bytes that can hold the list's hosts.
    pub(crate) fewest_bytes: usize,
    /// What the pointer chase takes for a line out of so many.
    pub(crate) fewest_chase_ns: f64,
    pub(crate) fewest_ns: f64,
    pub(crate) fewest_ratio_bare: f64,
    pub(crate) fewest_ratio_call: f64,

    // The same, out of as many bytes as the engine's look-ups of these sources touch.
    pub(crate) needed_bytes: usize,
    /// What the pointer chase takes for a line out of so many.
    pub(crate) needed_chase_ns: f64,
    pub(crate) needed_ns: f64,
    pub(crate) needed_ratio_bare: f64,
    pub(crate) needed_ratio_call: f64,

    // The lines of the engine's look-ups, on average.
    /// Distinct ones.
    pub(crate) lines: f64,
    /// Those that a next step waits for.
    pub(crate) chain: f64,
    pub(crate) longest_chain: usize,
    /// Those of the chain that the second-level cache does not hold.
    pub(crate) cold_lines: f64,

    // Reading the packet, and waiting for each of the cold lines as the chase does.
    pub(crate) structure_ns: f64,
    pub(crate) structure_ratio_bare: f64,
    pub(crate) structure_ratio_call: f64,

    /// "reached", "forbidden by …", "beyond this structure's bound", "left on the table".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) verdict: Option<&'static str>,
}

/// Titles of [`Bound::cells`].
pub(crate) const TITLES: [&str; 11] = [
    "family",
    "entries",
    "asked",
    "measured",
    "parse and count",
    "one line, fewest bytes",
    "one line, as many bytes",
    "lines: all, chain, longest, cold",
    "a cold line",
    "this structure",
    "verdict",
];

impl Bound {
    /// As text: shares with idle time, then (measured and bounds) the true ones, and
    /// nanoseconds.
    pub(crate) fn cells(&self) -> [String; TITLES.len()] {
        let mib = |bytes: usize| format!("{:.2} MiB", bytes as f64 / f64::from(1 << 20));
        let shares = |call: f64, bare: f64, ns: f64| format!("{call:.2}, {bare:.2}, {ns:+.0}");
        [
            self.family.to_owned(),
            self.entries.to_string(),
            self.target
                .map_or_else(String::new, |target| format!("{target:.2}")),
            shares(self.ratio_call, self.ratio_bare, self.ns_more),
            format!("{:.2}, {:+.0}", self.parse_ratio_call, self.parse_ns),
            format!(
                "{}: {}",
                mib(self.fewest_bytes),
                shares(
                    self.fewest_ratio_call,
                    self.fewest_ratio_bare,
                    self.fewest_ns
                )
            ),
            format!(
                "{}: {}",
                mib(self.needed_bytes),
                shares(
                    self.needed_ratio_call,
                    self.needed_ratio_bare,
                    self.needed_ns
                )
            ),
            format!(
                "{:.2}, {:.2}, {}, {:.2}",
                self.lines, self.chain, self.longest_chain, self.cold_lines
            ),
            format!(
                "{:.0} and {:.0} ns",
                self.fewest_chase_ns, self.needed_chase_ns
            ),
            shares(
                self.structure_ratio_call,
                self.structure_ratio_bare,
                self.structure_ns,
            ),
            self.verdict.unwrap_or_default().to_owned(),
        ]
    }
}
