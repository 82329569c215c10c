//! What feeds and hooks trust where they speak TLS: asked of `netpolicy-net`, which does that, as
//! the user that does it.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::units::Unit;
use super::{ExaminedHost, Lines};

/// The units of what speaks TLS. Each may be told of certificates of its own.
const UNITS: [&str; 2] = ["netpolicy-feed.service", "netpolicy-notify.service"];

/// Variables that name other certificates than the system's.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

const CHECK: &str = "certificates";

/// What `netpolicy-net certificates --output json` says.
#[derive(Debug, Deserialize)]
struct Trusted {
    /// Where they were looked for.
    place: String,
    /// How many there are.
    certificates: usize,
    /// Why there are not more.
    #[serde(default)]
    why: Option<String>,
}

pub(super) fn check(host: &ExaminedHost<'_>, lines: &mut Lines) {
    let needed = host.speaking_tls;
    let Some(program) = host.net else {
        match needed.is_empty() {
            true => lines.ok(CHECK, "none are needed: nothing has an https URL"),
            false => lines.warn(
                CHECK,
                format!(
                    "netpolicy-net is not installed; needed by {}",
                    words(needed)
                ),
                "install the whole package, or build it: cargo build -p netpolicy-net",
            ),
        }
        return;
    };
    let mut known: Vec<TrustVariables> = Vec::new();
    for unit in UNITS {
        let settings = settings(host, unit);
        if !known.contains(&settings) {
            report(ask(program, &settings), needed, lines);
            known.push(settings);
        }
    }
}

/// Values of [`VARIABLES`].
type TrustVariables = [Option<String>; 2];

/// What a unit is told; nothing, where there is none.
fn settings(host: &ExaminedHost<'_>, unit: &str) -> TrustVariables {
    let Some(unit) = Unit::read(host, unit) else {
        return TrustVariables::default();
    };
    let variables = unit.variables(|path| host.text(path.trim_start_matches('/')));
    VARIABLES.map(|name| variables.get(name).cloned())
}

fn ask(program: &Path, settings: &TrustVariables) -> Result<Trusted, String> {
    let mut command = Command::new(program);
    command
        .args(["certificates", "--output", "json"])
        .stdin(Stdio::null());
    for (name, value) in VARIABLES.iter().zip(settings) {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", program.display());
    let output = command.output().map_err(|error| failed(&error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(&said.lines().next().unwrap_or_default()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(&error))
}

fn report(trusted: Result<Trusted, String>, needed: &[String], lines: &mut Lines) {
    let advice = "install ca-certificates, or name a PEM file that the unit's user can read in \
                  SSL_CERT_FILE (a drop-in: systemctl edit netpolicy-feed)";
    let trusted = match trusted {
        Ok(trusted) => trusted,
        Err(why) => return lines.warn(CHECK, format!("not known: {why}"), advice),
    };
    let Trusted {
        place,
        certificates,
        why,
    } = trusted;
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    match (certificates, needed.is_empty()) {
        (0, false) => lines.warn(
            CHECK,
            format!("none to trust in {place}{why}; needed by {}", words(needed)),
            advice,
        ),
        (0, true) => lines.ok(
            CHECK,
            format!("none to trust in {place}{why}; nothing has an https URL"),
        ),
        (count, _) => lines.ok(CHECK, format!("{count} to trust in {place}")),
    }
}

/// "feed 'a', feed 'b' and 3 others"
fn words(needed: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<_> = needed.iter().take(SHOWN).map(String::as_str).collect();
    let shown = shown.join(", ");
    match needed.len().saturating_sub(SHOWN) {
        0 => shown,
        1 => format!("{shown} and another"),
        more => format!("{shown} and {more} others"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Health;

    fn said(certificates: usize, needed: &[&str]) -> (Health, String) {
        let trusted = Trusted {
            place: "the system's store".to_owned(),
            certificates,
            why: None,
        };
        let needed: Vec<_> = needed.iter().map(ToString::to_string).collect();
        let mut lines = Lines::default();
        report(Ok(trusted), &needed, &mut lines);
        let line = lines.0.pop().unwrap();
        assert_eq!(line.health == Health::Ok, line.advice.is_none());
        (line.health, line.found)
    }

    #[test]
    fn missing_certificates_are_a_warning_where_something_needs_them() {
        assert_eq!(said(0, &[]).0, Health::Ok);
        let (health, found) = said(0, &["feed 'a'", "feed 'b'", "feed 'c'", "a hook", "a hook"]);
        assert_eq!(health, Health::Warn);
        assert_eq!(
            found,
            "none to trust in the system's store; needed by feed 'a', feed 'b', feed 'c' and 2 others"
        );
        let found = "142 to trust in the system's store".to_owned();
        assert_eq!(said(142, &["feed 'a'"]), (Health::Ok, found));
    }
}
