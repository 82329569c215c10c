//! `netpolicy doctor`.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::feed;
use crate::api::{DoctorReport, Status};
use crate::client::Client;
use crate::config::Config;
use crate::doctor::{ExaminedHost, Material, bundle, examine};
use crate::{local, recovery};

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Write a report to this new file, for a bug report: the same lines, status, configuration,
    /// counters, interfaces, nftables and log, with every address replaced; `-`: standard output
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Return 1 for warnings too
    #[arg(long)]
    strict: bool,
    /// Look for files of the system below this directory
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
}

/// Exit code 1 if a line says FAIL, with `--strict` also for WARN.
pub(super) async fn run(args: DoctorArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let (report, status) = Examination::of(cx).run(&args.root).await;
    match &args.report {
        Some(path) => {
            let sections = sections(cx, status.as_ref()).await;
            let text = bundle(&Material {
                report: &report,
                sections: &sections,
            });
            write(path, &text, cx)?;
            if path.as_os_str() != "-" {
                cx.print(&report)?;
                cx.say(&format!("report written to {}", path.display()))?;
            }
        }
        None => cx.print(&report)?,
    }
    let is_wrong = report.failures > 0 || args.strict && report.warnings > 0;
    Ok(match is_wrong {
        true => Exit::Failed,
        false => Exit::Done,
    })
}

/// What the host is examined with: it can be examined again and again, as the console does.
pub(super) struct Examination {
    config: Config,
    problems: Vec<String>,
    client: Client,
}

impl Examination {
    pub(super) fn of(cx: &Context<'_>) -> Self {
        Self {
            config: cx.config.clone(),
            problems: cx.problems.iter().map(ToString::to_string).collect(),
            client: cx.client.clone(),
        }
    }

    /// The report, and the status where there is one. Files of the system are below `root`.
    pub(super) async fn run(&self, root: &Path) -> (DoctorReport, Option<Status>) {
        let status = self.status().await;
        let speaking_tls = self.speaking_tls().await;
        let net = feed::net_program().ok();
        let databases = self.client.databases().await.unwrap_or_default();
        let report = examine(&ExaminedHost {
            config: &self.config,
            problems: &self.problems,
            status: status.as_ref().map_err(String::as_str),
            net: net.as_deref(),
            databases: &databases,
            speaking_tls: &speaking_tls,
            root,
        });
        (report, status.ok())
    }

    /// What has an https URL: feeds, as far as the agent says which there are, and hooks.
    async fn speaking_tls(&self) -> Vec<String> {
        const HTTPS: &str = "https://";
        let feeds = self.client.feeds().await.unwrap_or_default();
        let feeds = feeds.iter();
        let feeds = feeds.filter(|feed| feed.settings.source.starts_with(HTTPS));
        let feeds = feeds.map(|feed| format!("feed '{}'", feed.name.escape_debug()));
        let hooks = self.config.notify.iter();
        let hooks = hooks.filter_map(|hook| hook.url.as_ref());
        let hooks = hooks.filter(|url| url.starts_with(HTTPS));
        feeds.chain(hooks.map(|_| "a hook".to_owned())).collect()
    }

    /// What the agent says, else the pins; why neither does.
    async fn status(&self) -> Result<Status, String> {
        let why = match self.client.status().await {
            Ok(status) => return Ok(status),
            Err(error) => error,
        };
        let mut unasked = Vec::new();
        if let Some(pid) = recovery::agent_of(&self.config.bpffs_dir) {
            unasked.push(format!(
                "{why}; an agent runs with these pins (pid {pid}), so this is not its socket"
            ));
        }
        local::status(&self.config, unasked).map_err(|error| format!("{why}; {error:#}"))
    }
}

async fn sections<'a>(cx: &Context<'_>, status: Option<&Status>) -> Vec<(&'a str, String)> {
    let mut sections = vec![("configuration", format!("{:#?}", cx.config))];
    if let Some(status) = status {
        let text = serde_json::to_string_pretty(status).unwrap_or_default();
        sections.push(("status", text));
    }
    let counters = match cx.client.counters().await {
        Ok(counters) => Ok(counters),
        Err(_) => local::counters(&cx.config.bpffs_dir),
    };
    let text = match counters {
        Ok(counters) => serde_json::to_string_pretty(&counters).unwrap_or_default(),
        Err(error) => format!("{error:#}"),
    };
    sections.push(("counters", text));
    sections
}

/// A file is never replaced: it may be a former report.
fn write(path: &Path, text: &str, cx: &mut Context<'_>) -> anyhow::Result<()> {
    if path.as_os_str() == "-" {
        return Ok(write!(cx.out, "{text}")?);
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = match file {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Failure::new(format!("{} exists already", path.display()))
                .hint("name a new file")
                .into());
        }
        file => file.with_context(|| format!("cannot create {}", path.display()))?,
    };
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    written.with_context(|| format!("cannot write {}", path.display()))
}
