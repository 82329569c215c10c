//! The command line: what `netpolicy feed test`, `netpolicy feed run`, `netpolicy crowdsec` and
//! `netpolicy notify` pass on.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use netpolicy_log::{Journal, PlainLines};
use netpolicy_policy::model::{Feed, SpecialRanges};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::content::{self, Canonical};
use crate::fetch::{Fetched, Fetcher, TrustStore};
#[cfg(feature = "fleet")]
use crate::fleet;
use crate::{crowdsec, db, notify, rights, run};

/// Entries that a test shows.
const SHOWN: usize = 5;

/// Reads feeds and CrowdSec's decisions for netpolicy and runs hooks: `netpolicy feed`, `netpolicy
/// crowdsec` and `netpolicy notify` run it.
#[derive(Debug, Parser)]
#[command(name = "netpolicy-net", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command; those of `netpolicy`.
#[derive(Debug, clap::Args)]
struct Global {
    /// Output format: table or json
    #[arg(long, short, global = true, value_enum, default_value_t)]
    output: Output,
    /// The agent's socket
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "NETPOLICY_SOCKET",
        default_value = "/run/netpolicy/agent.sock"
    )]
    socket: PathBuf,
    /// The configuration file, which says nothing of feeds
    #[arg(long, global = true, value_name = "FILE", hide = true)]
    config: Option<PathBuf>,
    /// Answer yes to all questions, of which there are none
    #[arg(long, short, global = true, hide = true)]
    yes: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Table,
    Json,
}

#[derive(Debug, Subcommand)]
#[cfg_attr(
    not(feature = "fleet"),
    expect(clippy::large_enum_variant, reason = "there is one in a process")
)]
enum Command {
    /// Feeds: what their sources have
    #[command(subcommand)]
    Feed(FeedCommand),
    /// Ban what CrowdSec decides
    #[command(subcommand)]
    Crowdsec(CrowdsecCommand),
    /// Run the hooks of the agent's configuration
    #[command(subcommand)]
    Notify(NotifyCommand),
    /// Say which certificates are trusted; `netpolicy doctor` runs it
    Certificates(NetArgs),
    /// One policy for many hosts, through etcd
    #[cfg(feature = "fleet")]
    #[command(subcommand)]
    Fleet(fleet::command::FleetCommand),
    /// Databases: the policies of their users
    #[command(subcommand)]
    Db(DbCommand),
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    /// Carry the policies of a database's users into it, until stopped
    Run(DbArgs),
}

#[derive(Debug, clap::Args)]
struct DbArgs {
    /// The database
    database: String,
    /// How often it is looked whether the database still has its lines
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "10s")]
    check_every: Duration,
}

#[derive(Debug, Subcommand)]
enum NotifyCommand {
    /// Run hooks whenever the agent has notices, until stopped
    Run(NetArgs),
    /// Run every hook once with a notice that says it is a test, and say what came of it
    Test(NetArgs),
}

#[derive(Debug, Subcommand)]
enum CrowdsecCommand {
    /// Keep bans as CrowdSec's decisions say, until stopped
    Run(CrowdsecArgs),
    /// Ask CrowdSec's local API once, and say what its decisions come to; changes nothing
    Test(CrowdsecArgs),
}

#[derive(Debug, clap::Args)]
struct CrowdsecArgs {
    /// The settings
    #[arg(long, value_name = "FILE", default_value = crowdsec::SETTINGS)]
    settings: PathBuf,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one command")]
enum FeedCommand {
    /// Read a URL or file as a feed would, and say what it holds; changes nothing
    Test(TestArgs),
    /// Refresh all feeds until stopped
    Run(NetArgs),
}

#[derive(Debug, clap::Args)]
struct NetArgs {
    /// Certificates to trust instead of the system's, PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "SSL_CERT_FILE",
        hide_env_values = true
    )]
    ca: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct TestArgs {
    /// The feed's settings as the API has them, with its source
    #[arg(value_name = "JSON", value_parser = settings)]
    settings: Feed,
    #[command(flatten)]
    net: NetArgs,
}

fn settings(text: &str) -> Result<Feed, serde_json::Error> {
    serde_json::from_str(text)
}

/// Runs the command line.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Feed(FeedCommand::Test(args)) => test(args, cli.global.output),
        Command::Feed(FeedCommand::Run(args)) => start(&args, &cli.global),
        Command::Crowdsec(CrowdsecCommand::Run(args)) => {
            log("netpolicy-crowdsec");
            crowdsec::run(&cli.global.socket, &args.settings)
        }
        Command::Db(DbCommand::Run(args)) => {
            log("netpolicy-db");
            db::run(&cli.global.socket, &args.database, args.check_every)
        }
        Command::Notify(NotifyCommand::Run(args)) => {
            log("netpolicy-notify");
            notify::run(&cli.global.socket, args.ca.as_deref())
        }
        Command::Notify(NotifyCommand::Test(args)) => {
            let json = cli.global.output == Output::Json;
            notify::test(&cli.global.socket, args.ca.as_deref(), json)
        }
        Command::Certificates(args) => certificates(&args, cli.global.output),
        #[cfg(feature = "fleet")]
        Command::Fleet(command) => {
            if command.is_service() {
                log("netpolicy-fleet");
            }
            let json = cli.global.output == Output::Json;
            fleet::command::run(command, &cli.global.socket, json)
        }
        Command::Crowdsec(CrowdsecCommand::Test(args)) => {
            crowdsec::test(&args.settings, cli.global.output == Output::Json)
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where this fails, no stream is left to report it on.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// As the user that reads feeds, who may be able to read less.
fn certificates(args: &NetArgs, output: Output) -> anyhow::Result<()> {
    rights::give_up(&rights::FEED_USERS)?;
    let TrustStore {
        place,
        certificates,
        why,
    } = TrustStore::read(args.ca.as_deref());
    let count = certificates.len();
    let why = (!why.is_empty()).then(|| why.join("; "));
    let mut out = io::stdout().lock();
    match (output, why) {
        (Output::Json, why) => {
            let said = serde_json::json!({"place": place, "certificates": count, "why": why});
            writeln!(out, "{said}")
        }
        (Output::Table, None) => writeln!(out, "{count} certificates to trust in {place}"),
        (Output::Table, Some(why)) => {
            writeln!(out, "{count} certificates to trust in {place}: {why}")
        }
    }?;
    Ok(())
}

fn start(args: &NetArgs, global: &Global) -> anyhow::Result<()> {
    anyhow::ensure!(
        !rights::is_root(),
        "this reads what the internet sends, and refuses to run as root\n\
         hint: `systemctl start netpolicy-feed` runs it as user netpolicy-feed"
    );
    log("netpolicy-feed");
    run::run(&global.socket, args.ca.as_deref())
}

/// Writes what happens to the journal if standard error leads there, with this name of a program,
/// else to standard error.
fn log(identifier: &'static str) {
    if let Some(journal) = Journal::of_standard_error(identifier) {
        tracing_subscriber::registry()
            .with(journal.with_filter(LevelFilter::INFO))
            .init();
        return;
    }
    tracing_subscriber::fmt()
        .with_writer(PlainLines)
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .init();
}

fn test(args: TestArgs, output: Output) -> anyhow::Result<()> {
    let fetcher = Fetcher::new(args.net.ca.as_deref());
    rights::give_up(&rights::FEED_USERS)?;
    let guarded = args.settings;
    guarded
        .check()
        .map_err(|problem| anyhow::anyhow!("{problem}"))?;
    // A test says what the content is also where a feed would refuse it.
    let feed = Feed {
        special_ranges: SpecialRanges::Allow,
        min_entries: 0,
        ..guarded.clone()
    };
    let source = &feed.source;
    let Fetched::Content(bytes, validators) = fetcher.fetch(&feed, None)? else {
        anyhow::bail!("{source} says that nothing changed, though nothing was asked about");
    };
    let content = content::canonical(&feed, &bytes, None)?;
    let refused = content::canonical(&guarded, &bytes, None).err();
    let refused = refused.map(|error| error.to_string());
    let has_validator = validators.etag.is_some() || validators.last_modified.is_some();
    let report = Report {
        source,
        bytes: bytes.len(),
        content: &content,
        has_validator,
        refused: refused.as_deref(),
    };
    let mut out = io::stdout().lock();
    match output {
        Output::Json => writeln!(out, "{}", report.json()),
        Output::Table => report.print(&mut out),
    }?;
    Ok(())
}

/// What a test says.
struct Report<'a> {
    source: &'a str,
    bytes: usize,
    content: &'a Canonical,
    has_validator: bool,
    refused: Option<&'a str>,
}

impl Report<'_> {
    fn first(&self) -> Vec<&str> {
        self.content.lines.lines().take(SHOWN).collect()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "source": self.source,
            "bytes": self.bytes,
            "format": self.content.format,
            "entries": self.content.entries,
            "skipped": self.content.skipped,
            "notes": self.content.notes,
            "conditional": self.has_validator,
            "refused": self.refused,
            "first": self.first(),
        })
    }

    fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        let content = self.content;
        let mut row = |key: &str, value: &str| writeln!(out, "{key:<10}  {value}");
        row("Source", self.source)?;
        row("Size", &format!("{} bytes", self.bytes))?;
        row("Format", &content.format)?;
        row("Entries", &content.entries.to_string())?;
        if content.skipped > 0 {
            row("Left out", &content.skipped.to_string())?;
        }
        for line in self.first() {
            row("", line)?;
        }
        for note in &content.notes {
            row("Note", note)?;
        }
        let conditional = match self.has_validator {
            true => "yes: it is sent again only when it changed",
            false => "no: it is sent whole at each refresh",
        };
        row("Changes", conditional)?;
        match self.refused {
            None => row("Guards", "a feed with these settings takes it"),
            Some(refused) => row(
                "Guards",
                &format!("a feed with these settings refuses it: {refused}"),
            ),
        }
    }
}
