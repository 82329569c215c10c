//! `netpolicy config …`: works on files alone, so that it also works where they are invalid.

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::json;

use super::context::wants_colour;
use super::failure::Exit;
use crate::config::{
    Config, DEFAULT_FILE, Overrides, Setting, ValueOrigin, commented_default, named_file, settings,
};
use crate::output::{Escaped, Format, RenderOptions, SettingView, render, write_json};
use crate::selection::selected;

#[derive(Debug, clap::Subcommand)]
pub(super) enum ConfigCommand {
    /// Check a configuration file, and report everything that is wrong
    Check {
        /// The file, instead of the one that --config, NETPOLICY_CONFIG or the default names
        file: Option<PathBuf>,
    },
    /// Show the values in effect, and where each comes from; the agent's options are not known
    /// here
    Show,
    /// Print the default configuration file, which explains every key; all are commented out
    Default,
}

pub(super) fn run(
    command: ConfigCommand,
    overrides: Overrides,
    format: Format,
) -> anyhow::Result<Exit> {
    let colour = wants_colour(io::stdout().is_terminal());
    let mut out = Escaped::new(BufWriter::new(io::stdout()), format, colour);
    match command {
        ConfigCommand::Check { file } => check(file, overrides, format, &mut out)?,
        ConfigCommand::Show => {
            let options = RenderOptions {
                format,
                colour,
                zone: None,
                now: Timestamp::now(),
            };
            let found = show(&overrides, |name| std::env::var_os(name))?;
            render(found.as_slice(), &options, &mut out)?;
        }
        ConfigCommand::Default => match format {
            Format::Table => out.write_all(commented_default().as_bytes())?,
            Format::Json => write_json(&commented_default(), &mut out)?,
        },
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn check(
    file: Option<PathBuf>,
    overrides: Overrides,
    format: Format,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let overrides = Overrides {
        file: file.or(overrides.file),
        ..Overrides::default()
    };
    let path = file_of(&overrides, |name| std::env::var_os(name));
    let config = Config::from_process(&overrides)?;
    let shown = path.as_deref().map(|path| path.display().to_string());
    match (format, shown) {
        (Format::Json, shown) => write_json(&json!({"file": shown, "valid": true}), out)?,
        (Format::Table, Some(shown)) => writeln!(out, "{shown} is valid")?,
        (Format::Table, None) => writeln!(
            out,
            "there is no {DEFAULT_FILE}, which is valid: every key has its default"
        )?,
    }
    out.flush()?;
    let selection = selected(&config.interfaces).context("the interfaces cannot be listed")?;
    for name in &selection.names {
        // Not by /sys, which belongs to a mount namespace.
        if nix::net::if_::if_nametoindex(name.as_str()).is_err() {
            writeln!(
                io::stderr(),
                "note: interface {name} does not exist here; it is filtered as soon as it appears"
            )?;
        }
    }
    for port in selection.missed() {
        let (name, master) = (port.name.escape_debug(), port.master.escape_debug());
        writeln!(
            io::stderr(),
            "note: interface {name} is a port of {master}, which is excluded: it is not filtered, \
             which is a fault unless it is excluded too"
        )?;
    }
    for pattern in &selection.unmatched {
        writeln!(
            io::stderr(),
            "note: \"{}\" matches no interface here; one that appears and matches is filtered",
            pattern.escape_debug()
        )?;
    }
    Ok(())
}

fn show(
    overrides: &Overrides,
    environment: impl Fn(&str) -> Option<OsString>,
) -> anyhow::Result<Vec<SettingView>> {
    let config = Config::load(overrides, &environment)?;
    let path = file_of(overrides, &environment);
    let text = path.as_deref().map(std::fs::read_to_string).transpose();
    let text = text.context("the configuration file changed while it was read")?;
    let file = path.as_deref().zip(text.as_deref());
    let options = match overrides.socket {
        Some(_) => &[("socket", "--socket")][..],
        None => &[],
    };
    let found = settings(&config, file, environment, options);
    found.iter().map(view).collect()
}

/// The configuration file, if there is one.
fn file_of(
    overrides: &Overrides,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let default = || Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists());
    named_file(overrides, environment).or_else(default)
}

fn view(setting: &Setting) -> anyhow::Result<SettingView> {
    let (source, at) = match &setting.origin {
        ValueOrigin::Default => ("default", None),
        ValueOrigin::File(place) => ("file", Some(place.clone())),
        ValueOrigin::Environment(name) => ("environment", Some((*name).to_owned())),
        ValueOrigin::Option(name) => ("option", Some((*name).to_owned())),
    };
    Ok(SettingView {
        key: setting.key.clone(),
        value: serde_json::to_value(&setting.value)?,
        source: source.to_owned(),
        at,
    })
}
