//! `netpolicy explain`.

use std::io::{self, Write};

use netpolicy_common::Reason;

use super::{Render, RenderOptions, Tone, cell, line, plain, verdict_tone, write_fields};
use crate::api::{Arrival, Cause, ExplainView, KernelVerdict, MatchView, ProbeView, Verdict};

impl Render for ExplainView {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let port = self
            .port
            .map_or_else(|| "any of no service".to_owned(), |p| p.to_string());
        let matched = self.matched.as_ref();
        let rule = |get: fn(&MatchView) -> Option<&str>| {
            matched.and_then(get).map(|text| plain(line(text)))
        };
        let unknown = self.verdict == Verdict::Unknown;
        let unfiltered = [Cause::NotFiltered, Cause::Unknown].contains(&self.reason);
        let others = self.other_rules_in_force && !unfiltered;
        let policies = (!self.enforced).then(|| {
            let said = format!("{} ({})", self.policies.verdict, self.policies.reason);
            plain(said)
        });
        let reason = format!(
            "{}: {}",
            self.policies.reason,
            line(&self.policies.sentence)
        );
        write_fields(
            options,
            [
                // First: it is why the rest does not matter.
                (
                    "Other rules",
                    (others && !unknown).then(|| cell(Tone::Bad, line(&self.sentence))),
                ),
                (
                    "Not filtered",
                    (unfiltered && !unknown).then(|| cell(Tone::Bad, line(&self.sentence))),
                ),
                (
                    "Not known",
                    unknown.then(|| cell(Tone::Bad, line(&self.sentence))),
                ),
                ("Source", Some(plain(self.source.to_string()))),
                ("Port", Some(plain(port))),
                (
                    "Interface",
                    Some(plain(arrival(self.interface.as_deref(), self.arrival))),
                ),
                ("Scope", Some(plain(line(&self.scope)))),
                (
                    "Verdict",
                    Some(cell(verdict_tone(self.verdict), verdict_in_words(self))),
                ),
                ("Policies", policies),
                (
                    if others { "Policies' reason" } else { "Reason" },
                    Some(plain(reason)),
                ),
                ("Policy", rule(|m| Some(&m.policy))),
                ("List", matched.map(|m| plain(m.list.to_string()))),
                (
                    "Named list",
                    matched.and_then(|m| {
                        m.named_list
                            .as_deref()
                            .map(|name| plain(line(&format!("@{name}"))))
                    }),
                ),
                ("Rule", matched.map(|m| plain(rule_text(m)))),
                ("Place", rule(|m| m.rule.place.as_deref())),
                ("Rule name", rule(|m| m.rule.name.as_deref())),
                ("Comment", rule(|m| m.rule.comment.as_deref())),
                (
                    "Consulted",
                    Some(plain(if self.consulted.is_empty() {
                        none_consulted(self).to_owned()
                    } else {
                        self.consulted
                            .iter()
                            .map(|c| line(c))
                            .collect::<Vec<_>>()
                            .join("\n")
                    })),
                ),
                ("Kernel", Some(kernel_cell(self, unfiltered))),
            ],
            out,
        )
    }
}

fn verdict_in_words(view: &ExplainView) -> String {
    match view.answered {
        true => format!("{}, answered by a TCP reset", view.verdict),
        false => view.verdict.to_string(),
    }
}

fn kernel_cell(view: &ExplainView, unfiltered: bool) -> comfy_table::Cell {
    let Some(k) = &view.kernel else {
        let why = view
            .kernel_error
            .as_deref()
            .map(|why| format!(": {}", line(why)));
        return cell(
            Tone::Warning,
            format!("not queried{}", why.unwrap_or_default()),
        );
    };
    let says = format!("{} ({})", k.verdict, k.reason);
    match (view.agrees, unfiltered) {
        (true, false) if view.other_rules_in_force => {
            plain(format!("{says}, by the rules in force"))
        }
        (true, false) => cell(Tone::Good, format!("agrees: {says}")),
        (true, true) => plain(format!("would agree: {says}; not attached there")),
        (false, _) => cell(
            Tone::Bad,
            format!(
                "FAULT: says {says}, the policies say {} ({})",
                view.policies.verdict, view.policies.reason
            ),
        ),
    }
}

/// Why no policy was consulted.
fn none_consulted(view: &ExplainView) -> &'static str {
    if [
        Reason::Failsafe,
        Reason::Bypass,
        Reason::Banned,
        Reason::ObservedBanned,
    ]
    .map(Cause::from)
    .contains(&view.policies.reason)
    {
        "none: this comes before any policy"
    } else {
        "none: no policy that governs it is active"
    }
}

impl Render for ProbeView {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let unfiltered = self.sentence.as_deref();
        let KernelVerdict { verdict, reason } = &self.kernel;
        write_fields(
            options,
            [
                (
                    "Not filtered",
                    unfiltered.map(|why| cell(Tone::Bad, line(why))),
                ),
                (
                    "Verdict",
                    Some(cell(
                        verdict_tone(self.verdict.into()),
                        self.verdict.as_str(),
                    )),
                ),
                (
                    "Program",
                    unfiltered.map(|_| plain(format!("{verdict} ({reason})"))),
                ),
                ("Reason", Some(plain(self.reason.as_str()))),
                (
                    "Interface",
                    Some(plain(arrival(self.interface.as_deref(), self.arrival))),
                ),
            ],
            out,
        )
    }
}

/// "eth0, by the route to the source".
fn arrival(interface: Option<&str>, arrival: Arrival) -> String {
    let name = line(interface.unwrap_or("any filtered one"));
    match arrival {
        Arrival::Asked => name,
        Arrival::Route => format!("{name}, by the route to the source; --interface names another"),
        Arrival::AnyFiltered => format!("{name}: no route leads to the source"),
    }
}

fn rule_text(m: &MatchView) -> String {
    let end = m.rule.expires.map(|end| format!(" until {end}"));
    let end = end.unwrap_or_default();
    if m.rule.text == m.rule.cidr {
        line(&m.rule.text) + &end
    } else {
        format!("{} (enforced as {}){end}", line(&m.rule.text), m.rule.cidr)
    }
}
