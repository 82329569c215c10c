//! `netpolicy explain`.

use std::io::{self, Write};

use netpolicy_common::Reason;

use super::{Page, Render, Tone, cell, line, plain, verdict_tone, write_fields};
use crate::api::{ExplainView, KernelVerdict, MatchView};

impl Render for ExplainView {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        let port = self
            .port
            .map_or_else(|| "any of no service".to_owned(), |p| p.to_string());
        let kernel = match (&self.kernel, &self.kernel_error) {
            (Some(k), _) if self.agrees => {
                cell(Tone::Good, format!("agrees: {} ({})", k.verdict, k.reason))
            }
            (Some(k), _) => cell(
                Tone::Bad,
                format!(
                    "FAULT: says {} ({}), the policies say {} ({})",
                    k.verdict, k.reason, self.verdict, self.reason
                ),
            ),
            (None, Some(why)) => cell(Tone::Warning, format!("not asked: {}", line(why))),
            (None, None) => cell(Tone::Warning, "not asked"),
        };
        let matched = self.matched.as_ref();
        let rule = |get: fn(&MatchView) -> Option<&str>| {
            matched.and_then(get).map(|text| plain(line(text)))
        };
        write_fields(
            page,
            [
                ("Source", Some(plain(self.source.to_string()))),
                ("Port", Some(plain(port))),
                ("Scope", Some(plain(line(&self.scope)))),
                (
                    "Verdict",
                    Some(cell(verdict_tone(&self.verdict), &self.verdict)),
                ),
                (
                    "Reason",
                    Some(plain(format!("{}: {}", self.reason, line(&self.sentence)))),
                ),
                ("Policy", rule(|m| Some(&m.policy))),
                ("List", rule(|m| Some(&m.list))),
                ("Rule", matched.map(|m| plain(rule_text(m)))),
                ("Place", rule(|m| m.rule.place.as_deref())),
                ("Rule name", rule(|m| m.rule.name.as_deref())),
                ("Comment", rule(|m| m.rule.comment.as_deref())),
                (
                    "Consulted",
                    Some(plain(if self.consulted.is_empty() {
                        self.nobody_consulted().to_owned()
                    } else {
                        self.consulted
                            .iter()
                            .map(|c| line(c))
                            .collect::<Vec<_>>()
                            .join("\n")
                    })),
                ),
                ("Kernel", Some(kernel)),
            ],
            out,
        )
    }
}

impl ExplainView {
    /// Why no policy was asked.
    fn nobody_consulted(&self) -> &'static str {
        if [Reason::Failsafe, Reason::Bypass]
            .map(Reason::name)
            .contains(&self.reason.as_str())
        {
            "none: this comes before any policy"
        } else {
            "none: no policy that governs it is active"
        }
    }
}

impl Render for KernelVerdict {
    fn table(&self, page: &Page, out: &mut dyn Write) -> io::Result<()> {
        write_fields(
            page,
            [
                (
                    "Verdict",
                    Some(cell(verdict_tone(&self.verdict), &self.verdict)),
                ),
                ("Reason", Some(plain(&self.reason))),
            ],
            out,
        )
    }
}

fn rule_text(m: &MatchView) -> String {
    if m.rule.text == m.rule.cidr {
        line(&m.rule.text)
    } else {
        format!("{} (enforced as {})", line(&m.rule.text), m.rule.cidr)
    }
}
