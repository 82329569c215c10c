//! `netpolicy doctor`.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::feed;
use crate::api::Status;
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
    let problems: Vec<_> = cx.problems.iter().map(ToString::to_string).collect();
    let status = status(cx).await;
    let speaking_tls = speaking_tls(cx).await;
    let net = feed::net_program().ok();
    let databases = cx.client.databases().await.unwrap_or_default();
    let report = examine(&ExaminedHost {
        config: &cx.config,
        problems: &problems,
        status: status.as_ref().map_err(String::as_str),
        net: net.as_deref(),
        databases: &databases,
        speaking_tls: &speaking_tls,
        root: &args.root,
    });
    match &args.report {
        Some(path) => {
            let sections = sections(cx, status.as_ref().ok()).await;
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

/// What has an https URL: feeds, as far as the agent says which there are, and hooks.
async fn speaking_tls(cx: &Context<'_>) -> Vec<String> {
    const HTTPS: &str = "https://";
    let feeds = cx.client.feeds().await.unwrap_or_default();
    let feeds = feeds.iter();
    let feeds = feeds.filter(|feed| feed.settings.source.starts_with(HTTPS));
    let feeds = feeds.map(|feed| format!("feed '{}'", feed.name.escape_debug()));
    let hooks = cx.config.notify.iter().filter_map(|hook| hook.url.as_ref());
    let hooks = hooks.filter(|url| url.starts_with(HTTPS));
    feeds.chain(hooks.map(|_| "a hook".to_owned())).collect()
}

/// What the agent says, else the pins; why neither does.
async fn status(cx: &Context<'_>) -> Result<Status, String> {
    let why = match cx.client.status().await {
        Ok(status) => return Ok(status),
        Err(error) => error,
    };
    let mut unasked = Vec::new();
    if let Some(pid) = recovery::agent_of(&cx.config.bpffs_dir) {
        unasked.push(format!(
            "{why}; an agent runs with these pins (pid {pid}), so this is not its socket"
        ));
    }
    local::status(&cx.config, unasked).map_err(|error| format!("{why}; {error:#}"))
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
