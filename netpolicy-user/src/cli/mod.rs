//! The command line: one file for each noun, with its arguments and its handler.
//!
//! Handlers read the files that are named, query the agent through [`crate::client`] and
//! print through [`crate::output`]. They reach the kernel only through
//! [`crate::local`], and only when no agent answers.

mod agent;
mod apply;
mod attach;
mod ban;
mod bind;
mod bypass;
mod client_command;
mod clients;
mod complete;
mod completions;
mod config;
#[cfg(feature = "console")]
mod console;
mod context;
mod counters;
mod crowdsec;
mod db;
mod descriptors;
mod diff;
mod doctor;
mod early;
mod end;
mod evaluate;
mod examples;
mod explain;
mod export;
mod exporter;
mod failure;
mod feed;
mod find;
mod fleet;
mod geo;
mod grant;
mod history;
mod hits;
mod host;
mod import;
mod input;
mod lint;
mod list;
mod list_file;
mod listing;
mod log;
mod moment;
mod monitor;
mod notify;
mod policy;
mod policy_test;
mod safety;
mod service;
mod sources;
mod sql;
mod status;
mod store;
mod submit;
#[cfg(feature = "top")]
mod top;
mod usage;
mod verify;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Overrides};
use crate::output::{Escaped, Format};
use crate::sql::Dialect;

use client_command::ClientCommand;
use context::{Context, Terminals, wants_colour};
use failure::Exit;

/// Network policies for database hosts, enforced at the NIC.
///
/// netpolicy judges every TCP connection attempt (SYN) by its source address, in
/// XDP, before the kernel's network stack sees it. Policies are named lists of
/// allowed and blocked addresses; blocks win, and once an active policy allows
/// only some, all others are denied.
#[derive(Debug, Parser)]
#[command(
    name = "netpolicy",
    version,
    propagate_version = false,
    max_term_width = 100
)]
#[command(after_help = "Exit codes: 0 done, 1 refused or failed, 2 usage, 3 no agent.")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Output format: table or json
    #[arg(
        long,
        short,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        hide_possible_values = true
    )]
    output: Format,
    /// The agent's socket [env: NETPOLICY_SOCKET] [default: /run/netpolicy/agent.sock]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The configuration file [env: NETPOLICY_CONFIG] [default: /etc/netpolicy/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer yes to all questions
    #[arg(long, short, global = true)]
    yes: bool,
}

impl Global {
    fn overrides(&self) -> Overrides {
        Overrides {
            file: self.config.clone(),
            socket: self.socket.clone(),
            ..Overrides::default()
        }
    }
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one in a process")]
enum Command {
    /// Run the agent in the foreground
    Agent(agent::AgentArgs),
    /// Put the snapshot of the last confirmed ruleset in force, as at boot, without an agent
    Early,
    #[command(flatten)]
    Client(ClientCommand),
    /// Check and show the configuration, and print the default file
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Serve the agent's metrics to Prometheus over TCP; netpolicy-exporter.service runs this as an
    /// unprivileged user
    Exporter(exporter::ExporterArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

/// Runs the command line `args`, program name first, and says how the process ends.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<_> = args.into_iter().collect();
    match complete::answer(&args) {
        Ok(false) => {}
        Ok(true) => return Exit::Done.into(),
        Err(error) => {
            let _ = error.print();
            return Exit::Usage.into();
        }
    }
    let cli = match usage::parse(&args) {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            // Where this fails, no stream is left to report it on.
            let _ = match exit == Exit::Usage && usage::wants_json(&args) {
                true => failure::report_usage(&error, &mut io::stderr().lock()),
                false => error.print(),
            };
            return exit.into();
        }
    };
    let format = cli.global.output;
    let given = args.get(1..).unwrap_or_default();
    let for_net = match &cli.command {
        Command::Client(ClientCommand::Feed(command)) => command.for_net(given, format),
        Command::Client(
            ClientCommand::Db(db::DbCommand::Run(_))
            | ClientCommand::Crowdsec(_)
            | ClientCommand::Notify(_),
        ) => Some(Ok(given.to_vec())),
        Command::Client(ClientCommand::Fleet(command)) => command.for_net(given),
        _ => None,
    };
    let done = match for_net {
        Some(Ok(args)) => Err(become_net(&args, &cli.global)),
        Some(Err(failure)) => Err(failure.into()),
        None => run(cli),
    };
    let exit = done.unwrap_or_else(|error| {
        let exit = failure::exit_of(&error);
        if exit != Exit::Done {
            let _ = failure::report_in(format, &error, &mut io::stderr().lock());
        }
        exit
    });
    exit.into()
}

/// Becomes the other program, which asks the agent that the configuration names; why it cannot.
fn become_net(args: &[OsString], global: &Global) -> anyhow::Error {
    match Config::for_commands(&global.overrides(), |name| std::env::var_os(name)) {
        Ok((config, _)) => feed::become_net(args, &config.socket).into(),
        Err(error) => error.into(),
    }
}

/// The command line's description: for completion scripts and the reference.
#[must_use]
pub fn command() -> clap::Command {
    usage::command()
}

/// The function by which a shell completes command lines; `None`: the shell is not known.
#[must_use]
pub fn completions(shell: &str) -> Option<String> {
    complete::script(shell)
}

/// The statements of a dialect, as the prompt's `\h` lists them.
#[must_use]
pub fn sql_statements(dialect: Dialect) -> Vec<&'static str> {
    sql::statements(Some(dialect))
}

/// Exit codes and what they mean.
#[must_use]
pub fn exit_codes() -> Vec<(u8, &'static str)> {
    let codes = Exit::ALL.iter();
    codes.map(|exit| (*exit as u8, exit.meaning())).collect()
}

fn run(cli: Cli) -> anyhow::Result<Exit> {
    let overrides = cli.global.overrides();
    let command = match cli.command {
        Command::Agent(args) => return agent::run(args, overrides),
        Command::Early => {
            return early::run(&overrides, cli.global.output, &mut io::stdout().lock());
        }
        Command::Config(command) => return config::run(command, overrides, cli.global.output),
        Command::Exporter(args) => {
            let read = Config::for_commands(&overrides, |name| std::env::var_os(name));
            return exporter::run(&args, &read?.0);
        }
        Command::Completions(args) => return completions::run(&args, &mut io::stdout().lock()),
        Command::Client(command) => command,
    };
    descriptors::require(descriptors::COMMAND)?;
    let is_doctor = matches!(command, ClientCommand::Doctor(_));
    let read = Config::for_commands(&overrides, |name| std::env::var_os(name));
    let (config, problems) = match read {
        // It is one of the lines.
        Err(error) if is_doctor => (Config::default(), error.problems()),
        read => read?,
    };
    // Not locked: the prompt of `netpolicy sql` may write from another thread.
    let (terminals, format) = (Terminals::detect(), cli.global.output);
    let out = BufWriter::new(io::stdout());
    let mut out: Box<dyn Write> = match command {
        // A file of policies keeps what it holds; a terminal is not a file.
        ClientCommand::Export(_) | ClientCommand::Import(_) if !terminals.stdout => Box::new(out),
        _ => Box::new(Escaped::new(out, format, wants_colour(terminals.stdout))),
    };
    let mut err = Escaped::new(io::stderr(), Format::Table, false);
    if !is_doctor {
        failure::warn_of_config(&problems, &mut err)?;
    }
    let mut cx = Context::new(
        config,
        format,
        cli.global.yes,
        terminals,
        &mut out,
        &mut err,
    );
    cx.problems = problems;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(command.run(&mut cx));
    // Also what was printed before a failure is to be seen.
    out.flush()?;
    result
}

#[cfg(test)]
mod tests;
