//! `netpolicy early`: what `netpolicy-early.service` runs.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::failure::{Exit, Failure, warn_of_config};
use crate::config::{Config, Overrides};
use crate::early::{self, Early, EarlyError};
use crate::model::counted;
use crate::output::{Escaped, Format, write_json};
use crate::recovery;

/// Exit code 1 where the snapshot cannot be used: the agent reads its store then.
pub(super) fn run(
    overrides: &Overrides,
    format: Format,
    out: &mut dyn Write,
) -> anyhow::Result<Exit> {
    // At boot what can be read of an invalid file is better than nothing.
    let (config, problems) = Config::for_commands(overrides, |name| std::env::var_os(name))?;
    warn_of_config(
        &problems,
        &mut Escaped::new(io::stderr(), Format::Table, false),
    )?;
    early::prepare(&config).map_err(failure)?;
    let pins = match recovery::claim_pins(&config.bpffs_dir) {
        Err(error) if error.is_agent_running() => {
            match format {
                Format::Table => writeln!(out, "{error}: nothing is done")?,
                Format::Json => write_json(&json!({"outcome": "agent-runs"}), out)?,
            }
            return Ok(Exit::Done);
        }
        pins => pins?,
    };
    let done = early::enforce(&config).map_err(failure)?;
    drop(pins);
    match format {
        Format::Table => tell(&done, out)?,
        Format::Json => write_json(&in_json(&done), out)?,
    }
    Ok(Exit::Done)
}

fn tell(done: &Early, out: &mut dyn Write) -> io::Result<()> {
    match done {
        Early::InForce(head, attached) => {
            writeln!(
                out,
                "revision {} is in force from the snapshot, {}",
                head.origin.revision,
                counted(head.entries, "entry", "entries")
            )?;
            for (interface, error) in attached {
                match error {
                    None => writeln!(out, "interface {interface} is filtered")?,
                    Some(error) => writeln!(out, "interface {interface} is not filtered: {error}")?,
                }
            }
            Ok(())
        }
        Early::Detached(why) => writeln!(out, "{why}"),
        Early::Pinned => writeln!(out, "something is in force already: nothing is done"),
        Early::NoSnapshot => writeln!(out, "there is no snapshot yet: the agent reads its store"),
        Early::NoneForEngine => writeln!(
            out,
            "the engine lpm has no snapshot: the agent reads its store"
        ),
    }
}

fn in_json(done: &Early) -> Value {
    match done {
        Early::InForce(head, attached) => {
            let interfaces: Vec<_> = attached
                .iter()
                .map(|(name, error)| {
                    json!({"name": name, "error": error.as_ref().map(ToString::to_string)})
                })
                .collect();
            json!({
                "outcome": "in-force",
                "revision": head.origin.revision,
                "entries": head.entries,
                "interfaces": interfaces,
            })
        }
        Early::Detached(_) => json!({"outcome": "detached"}),
        Early::Pinned => json!({"outcome": "pinned-already"}),
        Early::NoSnapshot => json!({"outcome": "no-snapshot"}),
        Early::NoneForEngine => json!({"outcome": "no-snapshot-of-engine"}),
    }
}

fn failure(error: EarlyError) -> Failure {
    let hint = error.hint();
    let failure = Failure::new(format!("{:#}", anyhow::Error::new(error)));
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
