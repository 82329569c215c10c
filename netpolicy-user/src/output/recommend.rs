//! `netpolicy policy recommend`: a policy file.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::evaluate::attempts_in_words;
use super::{Render, RenderOptions, count, line, time};
use crate::api::{Recommendation, UncoveredSource};
use crate::model::{Combine, Mode, Name, OnDeny};

/// An allow list as a policy file.
#[derive(Clone, Copy, Debug)]
pub struct RecommendedPolicy<'a> {
    /// The agent's answer.
    pub answer: &'a Recommendation,
    /// What the policy is to be called.
    pub name: Option<&'a str>,
    /// Whether it is only to be observed.
    pub observe: bool,
}

/// Programs get the agent's answer as it is.
impl Serialize for RecommendedPolicy<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.answer.serialize(serializer)
    }
}

impl Render for RecommendedPolicy<'_> {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let answer = self.answer;
        let service = answer.service.as_ref();
        let scope = service.map_or("the host".to_owned(), |service| {
            format!("service {}", line(&service.name))
        });
        let since = answer.remembered_since.unwrap_or(answer.since);
        writeln!(
            out,
            "# Allow list for {scope}: {} since {}{}.",
            count(answer.covered, "source that came", "sources that came"),
            time(options, since),
            match answer.stayed.as_str() {
                "0s" => String::new(),
                stayed => format!(" and stayed for {}", line(stayed)),
            }
        )?;
        if answer.remembered_since.is_some() {
            writeln!(
                out,
                "# The memory of sources begins then: what came earlier is not covered."
            )?;
        }
        for note in &answer.notes {
            writeln!(out, "# {}", line(note))?;
        }
        writeln!(
            out,
            "# Try it: netpolicy policy evaluate -f FILE --no-prune\n\
             # Apply it: netpolicy apply -f FILE --no-prune --confirm-within 60s"
        )?;
        if answer.entries.is_empty() {
            writeln!(
                out,
                "# Nothing is to be covered: as it stands the policy would deny every source."
            )?;
        }
        if let Some(service) = service {
            writeln!(out, "\n[[service]]\nname = {}", quoted(&service.name))?;
            let ports: Vec<_> = service.ports.split(',').map(quoted).collect();
            writeln!(out, "ports = [{}]", ports.join(", "))?;
            if service.combine != Combine::default() {
                writeln!(out, "combine = \"{}\"", service.combine)?;
            }
            if service.mode != Mode::default() {
                writeln!(out, "mode = \"{}\"", service.mode)?;
            }
            if service.on_deny != OnDeny::default() {
                writeln!(out, "on_deny = \"{}\"", service.on_deny)?;
            }
            if let Some(comment) = &service.comment {
                writeln!(out, "comment = {}", quoted(comment))?;
            }
        }
        let bound = service.map_or("host", |service| service.name.as_str());
        let name = match self.name {
            Some(name) => name.to_owned(),
            None => usual_name(bound),
        };
        writeln!(out, "\n[[policy]]\nname = {}", quoted(&name))?;
        writeln!(out, "bind = [{}]", quoted(bound))?;
        if self.observe {
            writeln!(out, "mode = \"observe\"")?;
        }
        writeln!(out, "allow = [")?;
        for entry in &answer.entries {
            writeln!(
                out,
                "  {}, # {}, {}, last {}",
                quoted(&entry.cidr),
                count(entry.sources, "source", "sources"),
                attempts_in_words(entry.attempts, false),
                time(options, entry.last_seen)
            )?;
        }
        writeln!(out, "]")?;
        let (not_covered, lets_in) = (&answer.not_covered, &answer.lets_in);
        let title = format!("Not covered: they came for less than {}.", answer.stayed);
        comments(&title, not_covered, answer.more_not_covered, options, out)?;
        let title = "Were denied, and would get in: an entry holds them.";
        comments(title, lets_in, answer.more_lets_in, options, out)
    }
}

/// Sources, each as a comment of the file.
fn comments(
    title: &str,
    sources: &[UncoveredSource],
    more: u64,
    options: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    if sources.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n# {}", line(title))?;
    for source in sources {
        writeln!(
            out,
            "#   {}: {}, {} to {}",
            line(&source.source),
            attempts_in_words(source.attempts, source.sampled),
            time(options, source.first_seen),
            time(options, source.last_seen)
        )?;
    }
    if more > 0 {
        writeln!(out, "#   and {more} more")?;
    }
    Ok(())
}

/// "postgres-clients", or a name that is short enough.
fn usual_name(scope: &str) -> String {
    let long = format!("{scope}-clients");
    match Name::new(&long) {
        Ok(name) => name.to_string(),
        Err(_) => "recommended".to_owned(),
    }
}

/// A TOML basic string (<https://toml.io/en/v1.0.0#string>).
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
