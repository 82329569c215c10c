//! Metrics as text: Prometheus' format 0.0.4 and OpenMetrics 1.0.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::families::{MetricFamily, MetricKind};

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpositionFormat {
    /// Prometheus' text format, 0.0.4.
    Text,
    /// OpenMetrics, 1.0.0.
    OpenMetrics,
}

impl ExpositionFormat {
    /// What an `Accept` header asks for: OpenMetrics 1.0 where it is named and not put behind
    /// the text format; else the text format, also without a header.
    #[must_use]
    pub fn accepted(header: Option<&str>) -> Self {
        let (mut open, mut text) = (0.0, 0.0_f32);
        for range in header.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let mut quality = 1.0_f32;
            let mut is_wanted_version = true;
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match name.trim() {
                    "q" => quality = value.trim().parse().unwrap_or(0.0),
                    "version" => is_wanted_version = value.trim().trim_matches('"') == "1.0.0",
                    _ => {}
                }
            }
            match &*media {
                "application/openmetrics-text" if is_wanted_version => open = quality.max(open),
                "text/plain" | "text/*" | "*/*" => text = quality.max(text),
                _ => {}
            }
        }
        match open > 0.0 && open >= text {
            true => Self::OpenMetrics,
            false => Self::Text,
        }
    }

    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Metrics that are being written, family by family.
#[derive(Debug)]
pub struct Exposition {
    format: ExpositionFormat,
    text: String,
}

/// A sample's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample(f64, u64);

impl From<u64> for Sample {
    fn from(value: u64) -> Self {
        Self(0.0, value)
    }
}

impl From<usize> for Sample {
    fn from(value: usize) -> Self {
        Self(0.0, value as u64)
    }
}

impl From<bool> for Sample {
    fn from(value: bool) -> Self {
        Self(0.0, value.into())
    }
}

impl From<f64> for Sample {
    fn from(value: f64) -> Self {
        Self(value, 0)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 == 0.0 {
            true => self.1.fmt(f),
            // Without an exponent, whatever its size.
            false => self.0.fmt(f),
        }
    }
}

impl Exposition {
    /// Nothing yet.
    #[must_use]
    pub const fn new(format: ExpositionFormat) -> Self {
        let text = String::new();
        Self { format, text }
    }

    /// Writes a family with its samples: the values of its labels, and a number. Samples with the
    /// same labels are added up, since a series that comes twice spoils a whole scrape. A family
    /// without samples is left out.
    pub fn family<const LABELS: usize, S: Into<Sample>>(
        &mut self,
        family: &MetricFamily,
        samples: impl IntoIterator<Item = ([String; LABELS], S)>,
    ) {
        debug_assert_eq!(LABELS, family.labels.len(), "{}", family.name);
        let mut series: BTreeMap<[String; LABELS], Sample> = BTreeMap::new();
        for (labels, value) in samples {
            let Sample(number, count) = value.into();
            let found = series.entry(labels).or_insert(Sample(0.0, 0));
            *found = Sample(found.0 + number, found.1.saturating_add(count));
        }
        if series.is_empty() {
            return;
        }
        self.head(family);
        let name = family.sample_name();
        for (labels, value) in series {
            self.text.push_str(&name);
            let pairs = family.labels.iter().zip(labels);
            for (at, (label, text)) in pairs.enumerate() {
                self.text.push(if at == 0 { '{' } else { ',' });
                self.text.push_str(label);
                self.text.push_str("=\"");
                escape(&text, &mut self.text);
                self.text.push('"');
            }
            if LABELS > 0 {
                self.text.push('}');
            }
            // Writing to a string does not fail.
            let _ = writeln!(self.text, " {value}");
        }
    }

    /// A family of one sample without labels.
    pub fn one(&mut self, family: &MetricFamily, value: impl Into<Sample>) {
        self.family(family, [([], value)]);
    }

    fn head(&mut self, family: &MetricFamily) {
        let kind = match (family.kind, self.format) {
            (MetricKind::Counter, _) => "counter",
            (MetricKind::Info, ExpositionFormat::OpenMetrics) => "info",
            (MetricKind::Gauge | MetricKind::Info, _) => "gauge",
        };
        let name = match self.format {
            ExpositionFormat::Text => family.sample_name(),
            ExpositionFormat::OpenMetrics => family.name.to_owned(),
        };
        let _ = writeln!(self.text, "# HELP {name} {}", family.help);
        let _ = writeln!(self.text, "# TYPE {name} {kind}");
        if self.format == ExpositionFormat::OpenMetrics
            && let Some(unit) = family.unit()
        {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
    }

    /// What was written, for more to be put behind it.
    #[must_use]
    pub fn part(self) -> String {
        self.text
    }

    /// The whole text.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.format == ExpositionFormat::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// A label's value as the formats have it. Control characters, which they permit, are escaped
/// twice: what is shown is `\u{1b}`.
fn escape(text: &str, into: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => into.push_str("\\\\"),
            '"' => into.push_str("\\\""),
            '\n' => into.push_str("\\n"),
            c if c.is_control() => {
                into.push('\\');
                into.extend(c.escape_unicode());
            }
            c => into.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{AGENT_CPU, AGENT_UP, ATTEMPTS, BUILD, EVENTS};

    fn text(values: &[&str]) -> [String; 1] {
        [values.join("")]
    }

    #[test]
    fn both_formats_name_counters_and_infos_as_they_demand() {
        let write = |format| {
            let mut out = Exposition::new(format);
            out.one(&AGENT_UP, true);
            let labels = ["0.1.0", "7", "flat"].map(str::to_owned);
            out.family(&BUILD, [(labels, 1_u64)]);
            let modes = [(text(&["user"]), 1.5), (text(&["system"]), 0.25)];
            out.family(&AGENT_CPU, modes);
            out.finish()
        };
        assert_eq!(
            write(ExpositionFormat::Text),
            format!(
                "# HELP netpolicy_agent_up {}\n# TYPE netpolicy_agent_up gauge\nnetpolicy_agent_up 1\n\
                 # HELP netpolicy_build_info {}\n# TYPE netpolicy_build_info gauge\n\
                 netpolicy_build_info{{version=\"0.1.0\",abi=\"7\",engine=\"flat\"}} 1\n\
                 # HELP netpolicy_agent_cpu_seconds_total {}\n\
                 # TYPE netpolicy_agent_cpu_seconds_total counter\n\
                 netpolicy_agent_cpu_seconds_total{{mode=\"system\"}} 0.25\n\
                 netpolicy_agent_cpu_seconds_total{{mode=\"user\"}} 1.5\n",
                AGENT_UP.help, BUILD.help, AGENT_CPU.help
            )
        );
        let open = write(ExpositionFormat::OpenMetrics);
        for line in [
            "# TYPE netpolicy_build info\n",
            "netpolicy_build_info{",
            "# TYPE netpolicy_agent_cpu_seconds counter\n# UNIT netpolicy_agent_cpu_seconds seconds\n",
            "netpolicy_agent_cpu_seconds_total{mode=\"user\"} 1.5\n# EOF\n",
        ] {
            assert!(open.contains(line), "{line}: {open}");
        }
    }

    #[test]
    fn same_series_is_added_up_and_families_without_samples_are_left_out() {
        let labels = || ["a (removed)", "drop", "blocked"].map(str::to_owned);
        let mut out = Exposition::new(ExpositionFormat::Text);
        out.family(&ATTEMPTS, [(labels(), 1_u64), (labels(), 2)]);
        out.family(&EVENTS, Vec::<([String; 1], u64)>::new());
        let said = out.finish();
        assert!(said.ends_with("reason=\"blocked\"} 3\n"), "{said}");
        assert_eq!(said.matches("\nnetpolicy").count(), 1, "{said}");
        assert!(!said.contains("events"), "{said}");
    }

    #[test]
    fn label_s_value_holds_no_control_character() {
        let mut out = Exposition::new(ExpositionFormat::Text);
        let evil = "a\\b\"c\nd\u{1b}[2J\té\u{85}";
        out.family(&EVENTS, [(text(&[evil]), 1_u64)]);
        let said = out.finish();
        assert!(
            said.ends_with("{outcome=\"a\\\\b\\\"c\\nd\\\\u{1b}[2J\\\\u{9}é\\\\u{85}\"} 1\n"),
            "{said}"
        );
    }

    #[test]
    fn large_numbers_have_no_exponent() {
        let shown = |sample: Sample| sample.to_string();
        assert_eq!(shown(u64::MAX.into()), "18446744073709551615");
        assert_eq!(shown(1_796_000_000.125.into()), "1796000000.125");
        assert_eq!(shown(0.0.into()), "0");
        assert_eq!(shown(false.into()), "0");
    }

    #[test]
    fn accept_header_chooses_the_format() {
        use ExpositionFormat::{OpenMetrics, Text};
        for (header, expected) in [
            (None, Text),
            (Some(""), Text),
            (Some("*/*"), Text),
            (Some("text/plain"), Text),
            // Prometheus 2.42.
            (
                Some(
                    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                     version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                ),
                OpenMetrics,
            ),
            (Some("application/openmetrics-text"), OpenMetrics),
            (Some("application/openmetrics-text; version=0.0.1"), Text),
            (Some("application/openmetrics-text;q=0.2, text/plain"), Text),
            (Some("application/openmetrics-text;q=0"), Text),
        ] {
            assert_eq!(ExpositionFormat::accepted(header), expected, "{header:?}");
        }
    }
}
