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
    /// Whether another chain, or the one before, decides.
    pub(crate) diverts: bool,
    /// Whether it has a condition on the source.
    pub(crate) by_source: bool,
    pub(crate) comment: Option<String>,
    pub(crate) place: Place,
}

impl SourceRule {
    /// Begins a condition on the source. A second one holds with the first, and the sources of
    /// both together would be those of either.
    pub(crate) fn begin_sources(&mut self) {
        if std::mem::replace(&mut self.by_source, true) {
            self.not_carried(|| "has two conditions on the source, which no list has".to_owned());
        }
    }

    /// Goes on elsewhere: `target` decides.
    pub(crate) fn divert(&mut self, target: &str) {
        self.diverts = true;
        self.not_carried(|| format!("leaves the verdict to {target}"));
    }

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
        let is_wanted = match self.part() {
            Some(part) => into.part(&part),
            // It may be for either.
            None if self.diverts && self.by_source => ["accept", "drop"]
                .iter()
                .any(|verdict| into.wants_part(&format!("{}:{verdict}", self.chain))),
            None => false,
        };
        if !is_wanted {
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

#[cfg(test)]
mod tests {
    use crate::{Filter, Format, Options, read_with};

    fn left_out(format: Format, text: &str) -> (usize, Vec<String>) {
        let read = read_with(
            Some(format),
            text.as_bytes(),
            &Filter::default(),
            Options::default(),
        );
        let read = read.unwrap();
        (read.entries.len(), read.left_out("f"))
    }

    #[test]
    fn rules_with_two_source_conditions_or_another_target_are_noted() {
        let rules = [
            "-s 10.0.0.0/8 -m iprange --src-range 10.0.0.1-10.0.0.9 -j DROP",
            "-s 10.0.0.0/8 -j RETURN",
            "-s 10.0.0.0/8 -j LOGDROP",
            "-s 10.0.0.0/8 -m socket -j DROP",
            "-s 10.0.0.0/8 -m rpfilter --invert -j DROP",
            "-s 10.0.0.0/8 -j LOG",
        ];
        let rules = rules.map(|rule| format!("-A INPUT {rule}\n")).concat();
        let (entries, noted) = left_out(Format::IptablesSave, &format!("*filter\n{rules}COMMIT\n"));
        assert_eq!((entries, noted.len()), (0, 5), "{noted:?}");

        let rules = [
            "ip saddr 10.0.0.0/8 ip saddr @some drop",
            "ip saddr 10.0.0.0/8 return",
            "ip saddr 10.0.0.0/8 jump other",
            "ip saddr @some goto other",
            "ip saddr 10.0.0.0/8 log",
        ];
        let rules = rules.map(|rule| format!("{rule}\n")).concat();
        let text = format!(
            "table ip t {{\nchain c {{\ntype filter hook input priority 0;\n{rules}}}\n}}\n"
        );
        let (entries, noted) = left_out(Format::NftText, &text);
        assert_eq!((entries, noted.len()), (0, 4), "{noted:?}");
    }
}
