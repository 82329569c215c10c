//! Sending a change: progress while it runs, a summary after it.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::context::Context;
use super::failure::{self, Exit, Failure};
use super::safety::Safety;
use crate::api::{ChangeQuery, Changed, ProgressView, Status};
use crate::client::{Client, ClientError};
use crate::model::change::Change;
use crate::model::counted;
use crate::output::{ChangeReport, Format, one_line};

/// A change that is done sooner shows no progress.
const PROGRESS_AFTER: Duration = Duration::from_millis(300);
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// Warnings that are printed; the rest is counted.
const WARNINGS_SHOWN: usize = 20;

/// Makes a change and prints what it did.
pub(super) async fn submit(
    change: &Change,
    safety: &Safety,
    cx: &mut Context<'_>,
) -> anyhow::Result<Exit> {
    let (changed, status) = with_consent(cx, async |cx, opens| {
        let query = ChangeQuery {
            opens,
            ..safety.query()
        };
        // Side by side: one question less that a change of one rule waits for.
        let (changed, status) = tokio::join!(send(change, &query, cx), status(cx));
        Ok((changed?, status))
    })
    .await?;
    print(&changed, status.as_ref(), cx)?;
    report_open([&changed], cx)
}

/// Reports connections that were to be closed and are open: the changes are in force, and not
/// all that was requested is done.
pub(super) fn report_open<'c>(
    changes: impl IntoIterator<Item = &'c Changed>,
    cx: &mut Context<'_>,
) -> anyhow::Result<Exit> {
    let made = changes.into_iter().filter(|changed| !changed.dry_run);
    let clients = made.filter_map(|changed| changed.clients.as_ref());
    let left = clients.flat_map(|clients| &clients.not_closed);
    let left: usize = left.map(|left| left.connections).sum();
    if left == 0 {
        return Ok(Exit::Done);
    }
    // What was done stands before what was not, also where both go to one place.
    cx.out.flush()?;
    let left = counted(
        left,
        "connection of a denied source is",
        "connections of denied sources are",
    );
    let failure = Failure::new(format!("{left} still open; the change is in force"))
        .hint("its reason says what ends it; the same command with --existing cut tries again");
    failure::report_in(cx.options.format, &failure.into(), cx.err)?;
    Ok(Exit::Failed)
}

/// Sends a request. If it is refused for want of consent to what it opens, asks, and sends
/// it again with consent to exactly that.
pub(super) async fn with_consent<T, F>(cx: &mut Context<'_>, request: F) -> anyhow::Result<T>
where
    F: AsyncFn(&Context<'_>, Option<String>) -> Result<T, ClientError>,
{
    let mut consent = cx.consent();
    loop {
        match request(&*cx, consent.take()).await {
            Err(error) => consent = Some(consent_to(error, cx)?),
            Ok(answer) => return Ok(answer),
        }
    }
}

/// Asks about what a refused request opens; the key that consents to it. The error itself
/// where that is not why it was refused, or there is no terminal to ask on.
fn consent_to(error: ClientError, cx: &mut Context<'_>) -> anyhow::Result<String> {
    match &error {
        ClientError::Refused { body, .. } => match &body.opens {
            Some(opens) if cx.can_ask() => {
                cx.confirm(&question(&body.errors))?;
                Ok(opens.key.clone())
            }
            _ => Err(error.into()),
        },
        _ => Err(error.into()),
    }
}

/// "The change opens the host to every source. Continue?"
pub(super) fn question(errors: &[String]) -> String {
    let text = errors.join("; ");
    let mut rest = text.chars();
    let first = rest.next().map(|c| c.to_ascii_uppercase());
    let first = first.into_iter().collect::<String>();
    format!("{first}{}. Continue?", rest.as_str())
}

/// Sends a change.
pub(super) async fn send(
    change: &Change,
    query: &ChangeQuery,
    cx: &Context<'_>,
) -> Result<Changed, ClientError> {
    show_progress(cx.client.change(change, query), cx).await
}

/// Waits for an answer, with a progress bar on a terminal.
pub(super) async fn show_progress<T>(
    answer: impl Future<Output = Result<T, ClientError>>,
    cx: &Context<'_>,
) -> Result<T, ClientError> {
    let mut answer = pin!(answer);
    if !cx.terminals.stderr {
        return answer.await;
    }
    tokio::select! {
        answer = &mut answer => return answer,
        () = tokio::time::sleep(PROGRESS_AFTER) => {}
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let answer = tokio::select! {
        answer = &mut answer => answer,
        never = watch(&cx.client, &bar) => match never {},
    };
    bar.finish_and_clear();
    answer
}

/// Prints what a change did, or would do.
pub(super) async fn summarise(changed: &Changed, cx: &mut Context<'_>) -> anyhow::Result<()> {
    let status = status(cx).await;
    print(changed, status.as_ref(), cx)
}

/// Where the program is attached, for tables. Only for the interfaces' names: the
/// change is made, whatever becomes of this.
async fn status(cx: &Context<'_>) -> Option<Status> {
    if cx.options.format == Format::Json {
        return None;
    }
    cx.client.status().await.ok()
}

fn print(changed: &Changed, status: Option<&Status>, cx: &mut Context<'_>) -> anyhow::Result<()> {
    // JSON has them within it.
    if cx.options.format != Format::Json {
        warn(&changed.warnings, cx)?;
    }
    cx.print(&ChangeReport { changed, status })?;
    Ok(())
}

/// Prints warnings, the first of many.
pub(super) fn warn(warnings: &[String], cx: &mut Context<'_>) -> std::io::Result<()> {
    for warning in warnings.iter().take(WARNINGS_SHOWN) {
        writeln!(cx.err, "warning: {}", one_line(warning))?;
    }
    if warnings.len() > WARNINGS_SHOWN {
        writeln!(
            cx.err,
            "warning: … and {} more",
            warnings.len() - WARNINGS_SHOWN
        )?;
    }
    Ok(())
}

/// Shows what the agent is doing, until it is dropped.
async fn watch(client: &Client, bar: &ProgressBar) -> Infallible {
    loop {
        // An agent too busy to answer leaves the bar as it is.
        if let Ok(progress) = client.progress().await {
            show(&progress, bar);
        }
        tokio::time::sleep(PROGRESS_EVERY).await;
    }
}

fn show(progress: &ProgressView, bar: &ProgressBar) {
    bar.set_message(progress.phase.as_str());
    bar.set_length(progress.total);
    bar.set_position(progress.done);
    let template = if progress.total == 0 {
        "{spinner} {msg} {elapsed}"
    } else {
        "{spinner} {msg:9} [{bar:30}] {human_pos}/{human_len} {elapsed}"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.tick();
}
