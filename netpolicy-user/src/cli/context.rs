//! What every handler works with: configuration, client, writers and terminals.

use std::io::{self, BufRead, IsTerminal, Write};

use jiff::Timestamp;

use super::failure::{Failure, client_hint, exit_without};
use crate::client::{Client, ClientError};
use crate::config::{Config, ConfigProblem};
use crate::output::{Format, Render, RenderOptions, one_line, render};

/// Which of the standard streams are terminals.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terminals {
    /// Questions can be answered.
    pub stdin: bool,
    /// Tables are read on it.
    pub stdout: bool,
    /// Messages and progress are read on it.
    pub stderr: bool,
}

impl Terminals {
    pub(super) fn detect() -> Self {
        Self {
            stdin: io::stdin().is_terminal(),
            stdout: io::stdout().is_terminal(),
            stderr: io::stderr().is_terminal(),
        }
    }
}

/// What handlers work with.
pub(super) struct Context<'a> {
    /// Paths, for working without the agent.
    pub config: Config,
    /// What is wrong with the configuration file.
    pub problems: Vec<ConfigProblem>,
    /// The agent's client.
    pub client: Client,
    /// How to print.
    pub options: RenderOptions,
    /// Questions are answered with yes.
    yes: bool,
    /// The command's terminals.
    pub terminals: Terminals,
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        config: Config,
        format: Format,
        yes: bool,
        terminals: Terminals,
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
    ) -> Self {
        Self {
            client: Client::new(&config.socket),
            config,
            problems: Vec::new(),
            options: RenderOptions {
                format,
                colour: wants_colour(terminals.stdout),
                zone: None,
                now: Timestamp::now(),
            },
            yes,
            terminals,
            out,
            err,
        }
    }

    /// Prints a value.
    pub(super) fn print<T: Render + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        render(value, &self.options, self.out)
    }

    /// Prints a sentence, unless the output is JSON.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        match self.options.format {
            Format::Table => writeln!(self.out, "{text}"),
            Format::Json => Ok(()),
        }
    }

    /// Prints a note on standard error.
    pub(super) fn note(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.err, "note: {text}")
    }

    /// Says on standard error what is not filtered, where the output alone would suggest
    /// that everything is.
    pub(super) async fn note_gap(&mut self) -> io::Result<()> {
        let Ok(status) = self.client.status().await else {
            // The command itself reports an agent that does not answer.
            return Ok(());
        };
        match status.enforcement.gap() {
            Some(gap) => writeln!(self.err, "warning: {}", one_line(&gap)),
            None => Ok(()),
        }
    }

    /// Says that what follows does not come from the agent, why, and what to do.
    pub(super) fn note_local(&mut self, why: &ClientError) -> io::Result<()> {
        let note = one_line(&format!("note: read from the kernel: {why}"));
        match self.options.format {
            Format::Table => writeln!(self.out, "{note}")?,
            Format::Json => writeln!(self.err, "{note}")?,
        }
        match client_hint(why) {
            Some(hint) => writeln!(self.err, "hint: {}", one_line(&hint)),
            None => Ok(()),
        }
    }

    /// What the first request consents to: with `--yes` to whatever is opened.
    pub(super) fn consent(&self) -> Option<String> {
        self.yes.then(|| "any".to_owned())
    }

    /// Whether a question can be asked.
    pub(super) fn can_ask(&self) -> bool {
        self.terminals.stdin && self.terminals.stderr
    }

    /// Asks before something that opens the host.
    pub(super) fn confirm(&mut self, question: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        if !self.can_ask() {
            return Err(Failure::new(format!(
                "{question} There is no terminal to ask on: nothing was changed"
            ))
            .hint("repeat it with --yes if that is intended")
            .into());
        }
        self.out.flush()?;
        write!(self.err, "{question} [y/N] ")?;
        self.err.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::new("not confirmed: nothing was changed").into()),
        }
    }
}

/// Colours are for terminals, unless <https://no-color.org> is observed: the variable is
/// there and not empty.
pub(super) fn wants_colour(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Neither the agent nor this command could do it: both reasons.
pub(super) fn not_done(agent: &ClientError, local: &anyhow::Error) -> Failure {
    Failure {
        errors: vec![format!(
            "{agent}; and it cannot be done without it: {local:#}"
        )],
        exit: exit_without(agent),
        ..Failure::default()
    }
}

/// Neither the agent nor the kernel could be queried: both reasons, and no agent as exit code.
pub(super) fn neither(agent: &ClientError, local: &anyhow::Error) -> Failure {
    Failure {
        errors: vec![format!(
            "{agent}; and the kernel cannot be read without it: {local:#}"
        )],
        hint: client_hint(agent),
        exit: exit_without(agent),
        ..Failure::default()
    }
}
