//! `iptables-save` and `ip6tables-save`: rules of the chain INPUT that judge by the source.

use std::collections::BTreeMap;

use netpolicy_policy::model::counted;
use netpolicy_policy::model::error::Excerpt;

use crate::collect::Collector;
use crate::error::Problem;
use crate::source_rule::SourceRule;
use crate::text::{lines, place};
use crate::{Format, Place};

/// The chain that is read if none is chosen.
const INPUT: &str = "INPUT";

/// Reads rules.
pub(crate) fn read(text: &str, into: &mut Collector<'_>) {
    let (mut table, mut is_open) = (String::new(), false);
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    for (number, line) in lines(text) {
        let content = line.trim();
        let at = place(number, line, content);
        if content.is_empty() || content.starts_with(['#', ':']) {
        } else if let Some(name) = content.strip_prefix('*') {
            (table, is_open) = (name.to_owned(), true);
        } else if content == "COMMIT" {
            is_open = false;
        } else if let Some(rule) = appended(content) {
            let rule = read_rule(rule, at);
            // The tables nat and mangle have a chain INPUT as well, which filters nothing.
            let is_input = rule.chain == INPUT && matches!(table.as_str(), "" | "filter");
            if is_input || !into.filter.set.is_empty() {
                rule.carry(into);
            } else if !rule.sources.is_empty() && rule.accepts.is_some() {
                *others.entry(rule.chain).or_default() += 1;
            }
        } else if !content.starts_with("-P ") && !content.starts_with("-N ") {
            let problem = Problem::Line {
                format: Format::IptablesSave,
                found: Excerpt::new(content),
                expected: "`-A CHAIN …`, `*TABLE`, `:CHAIN …` or COMMIT",
            };
            into.refuse(at, problem);
        }
        if into.is_done() {
            return;
        }
    }
    if is_open {
        let missing = format!("COMMIT, which ends table {table},");
        into.error(None, Problem::Truncated { missing });
    }
    for (chain, count) in others {
        let rules = counted(count, "rule judges", "rules judge");
        into.note(format!(
            "{rules} by the source in chain {chain}: --set {chain} reads it"
        ));
    }
}

/// A rule without `-A`, and without the counters that `iptables-save -c` prints before it.
fn appended(line: &str) -> Option<&str> {
    let line = match line.strip_prefix('[') {
        Some(counted) => counted.split_once(']')?.1.trim_start(),
        None => line,
    };
    line.strip_prefix("-A ")
}

fn read_rule(text: &str, at: Place) -> SourceRule {
    let mut words = words(text).into_iter().peekable();
    let mut rule = SourceRule {
        chain: words.next().unwrap_or_default(),
        place: at,
        ..SourceRule::default()
    };
    let mut negated = false;
    while let Some(option) = words.next() {
        let mut value = || words.next().unwrap_or_default();
        match option.as_str() {
            "!" => {
                negated = true;
                continue;
            }
            "-s" | "--source" | "--src-range" => {
                let value = value();
                rule.begin_sources();
                if negated {
                    rule.not_carried(|| format!("holds for every source but {value}"));
                }
                for source in value.split(',') {
                    source_of(&mut rule, source, at);
                }
            }
            "-j" | "--jump" | "-g" => target(&mut rule, &value()),
            "--reject-with" => drop(value()),
            "-m" | "--match" => {
                // Others judge by options that follow; these do so without one.
                let module = value();
                if matches!(module.as_str(), "socket" | "rpfilter" | "unclean") {
                    rule.not_carried(|| format!("has a condition that no list has: -m {module}"));
                }
            }
            "--comment" => rule.comment = Some(value()),
            "-p" | "--protocol" => {
                let protocol = value();
                if negated || !matches!(protocol.as_str(), "tcp" | "all" | "6") {
                    let but = if negated { "all but " } else { "" };
                    rule.not_carried(|| {
                        format!("holds for {but}{protocol}, and netpolicy filters TCP")
                    });
                }
            }
            "--ctstate" | "--state" => {
                let states = value();
                if negated || !states.split(',').any(|state| state == "NEW") {
                    rule.not_carried(|| "does not hold for new connections".to_owned());
                }
            }
            "--syn" if !negated => {}
            "--tcp-flags" if !negated => drop((value(), value())),
            "--match-set" => {
                let (set, side) = (value(), value());
                rule.not_carried(|| {
                    format!("refers to the set {set} ({side}): import `ipset save {set}`")
                });
                // It judges by the source nevertheless.
                if side == "src" {
                    rule.begin_sources();
                    rule.sources.push((set, at));
                }
            }
            other => {
                // A flag has no value: what follows is the next option.
                let is_value = |word: &String| !word.starts_with('-') && word != "!";
                let value = match other.starts_with('-') {
                    true => words.next_if(is_value),
                    false => None,
                };
                let condition = match value {
                    Some(value) => format!("{other} {value}"),
                    None => other.to_owned(),
                };
                let not = if negated { "not " } else { "" };
                rule.not_carried(|| format!("has a condition that no list has: {not}{condition}"));
            }
        }
        negated = false;
    }
    if rule.sources.is_empty() {
        // It does not judge by the source.
        rule.accepts = None;
    }
    rule
}

fn source_of(rule: &mut SourceRule, source: &str, at: Place) {
    // Contiguous masks are printed as lengths.
    if source
        .split_once('/')
        .is_some_and(|(_, mask)| mask.contains(['.', ':']))
    {
        rule.not_carried(|| format!("has a mask with gaps ({source}), which no network has"));
    }
    rule.sources.push((source.to_owned(), at));
}

fn target(rule: &mut SourceRule, target: &str) {
    match target {
        "ACCEPT" => rule.accepts = Some(true),
        "DROP" | "REJECT" | "TARPIT" => rule.accepts = Some(false),
        // They decide nothing: the next rule does.
        "LOG" | "NFLOG" | "ULOG" | "TRACE" | "AUDIT" | "SET" | "MARK" | "CONNMARK" | "SECMARK"
        | "CONNSECMARK" | "CLASSIFY" | "CT" | "NOTRACK" | "TCPMSS" | "" => {}
        other => rule.divert(other),
    }
}

/// Words of a line, as the shell would read them.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_word) = (Vec::new(), String::new(), false);
    let (mut quoted, mut characters) = (false, line.chars());
    while let Some(c) = characters.next() {
        match c {
            '"' => (quoted, is_word) = (!quoted, true),
            '\\' if quoted => word.extend(characters.next()),
            c if c.is_whitespace() && !quoted => {
                if std::mem::take(&mut is_word) {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => {
                word.push(c);
                is_word = true;
            }
        }
    }
    if is_word {
        words.push(word);
    }
    words
}
