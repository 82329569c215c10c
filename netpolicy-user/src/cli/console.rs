//! `netpolicy console`: the page, served as the user who starts it.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use netpolicy_console::{Console, ConsoleError, Examiner, Listen, Settings};
use rustix::fs::FileType;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::context::Context;
use super::doctor::Examination;
use super::failure::{Exit, Failure};
use crate::output::Format;

#[derive(Debug, clap::Args)]
pub(super) struct ConsoleArgs {
    /// Where to listen: an address of loopback with a port, 0 for any free one; or unix:PATH
    #[arg(long, value_name = "PLACE", default_value = "127.0.0.1:7071")]
    listen: Listen,
    /// Pass on nothing that changes anything
    #[arg(long)]
    read_only: bool,
    /// End after so long without anything being done on the page
    #[arg(long, value_name = "TIME", value_parser = duration)]
    end_idle: Option<Duration>,
    /// Another name under which browsers reach it, through a reverse proxy; can be repeated
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// The header in which a reverse proxy names the person that it authenticated; with unix:PATH
    #[arg(long, value_name = "HEADER")]
    proxy_header: Option<String>,
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if !time.is_zero() => Ok(time),
        Ok(_) => Err("expected more than no time".to_owned()),
        Err(error) => Err(format!("{error}; expected a time such as 30m")),
    }
}

pub(super) async fn run(args: ConsoleArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    // A console without an agent, or without a right to it, shows nothing.
    cx.client.status().await?;
    let settings = Settings {
        listen: args.listen,
        agent: cx.config.socket.clone(),
        read_only: args.read_only,
        end_idle: args.end_idle,
        hosts: args.hosts,
        proxy_header: args.proxy_header,
        examiner: examiner(cx),
        version: env!("CARGO_PKG_VERSION"),
    };
    let console = Console::bind(settings).await.map_err(|error| {
        let is_listen = matches!(error, ConsoleError::Listen { .. });
        let failure = Failure::new(error.to_string());
        match is_listen {
            true => failure.hint("--listen 127.0.0.1:0 takes any free port"),
            false => failure,
        }
    })?;
    show(&console, cx)?;
    let mut serving = pin!(console.serve());
    let mut interrupt = pin!(tokio::signal::ctrl_c());
    let mut lines = lines();
    let mut is_read = true;
    loop {
        tokio::select! {
            () = &mut serving => {
                cx.note("nothing was done for as long as --end-idle says: the console ends")?;
                return Ok(Exit::Done);
            }
            interrupted = &mut interrupt => {
                interrupted?;
                return Ok(Exit::Done);
            }
            line = lines.recv(), if is_read => match line {
                Some(()) => show(&console, cx)?,
                // Over SSH without a terminal this is all that tells of the connection's end.
                None if ends_with_input() => return Ok(Exit::Done),
                // Without a standard input there are no further URLs.
                None => is_read = false,
            },
        }
    }
}

/// `netpolicy doctor`, as this process's user.
fn examiner(cx: &Context<'_>) -> Examiner {
    let (examination, runtime) = (Examination::of(cx), Handle::current());
    Examiner::new(move || {
        let (report, _) = runtime.block_on(examination.run(Path::new("/")));
        serde_json::to_vec(&report).map_err(|error| error.to_string())
    })
}

/// Whether standard input is a connection of another process, and not a terminal or a file.
fn ends_with_input() -> bool {
    let stat = rustix::fs::fstat(std::io::stdin());
    stat.is_ok_and(|stat| {
        let kind = FileType::from_raw_mode(stat.st_mode);
        matches!(kind, FileType::Fifo | FileType::Socket)
    })
}

/// Lines of standard input. The thread that waits for them ends with the process.
fn lines() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if line.is_err() || sender.blocking_send(()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Prints a URL, each time another one.
fn show(console: &Console, cx: &mut Context<'_>) -> anyhow::Result<()> {
    let url = console.url()?;
    match (cx.options.format, url) {
        (Format::Json, url) => {
            let place = console.listen().to_string();
            writeln!(
                cx.out,
                "{}",
                serde_json::json!({ "url": url, "listen": place })
            )?;
        }
        (Format::Table, Some(url)) => {
            writeln!(cx.out, "{url}")?;
            if cx.terminals.stdin {
                cx.note("the URL is good once; Enter prints another, Ctrl-C ends the console")?;
            }
        }
        (Format::Table, None) => writeln!(cx.out, "listening on {}", console.listen())?,
    }
    cx.out.flush()?;
    Ok(())
}
