//! The process that refreshes all feeds.
//!
//! One thread asks the agent what there is and waits for it to change, one looks what is due,
//! and each refresh has a thread of its own, a few at a time: a source that is slow delays no
//! other.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::agent::{AgentClient, AgentError, FeedState, Validators};
use crate::content::{self, ContentError};
use crate::fetch::{FetchError, Fetched, Fetcher, stamp};
use crate::schedule::Due;

/// Refreshes at a time.
const AT_ONCE: usize = 4;
/// Time between two looks at files.
const LOOK: Duration = Duration::from_secs(2);
/// The longest time between two looks at what is due.
const REST: Duration = Duration::from_secs(60);
/// Pauses after the agent did not answer.
const AGAIN: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
];

/// What happens.
enum Event {
    /// The feeds that there are.
    Feeds(Vec<FeedState>),
    /// A refresh ended.
    Ended {
        name: String,
        pause: Duration,
        /// The feed after it, as the agent has it; `None`: it failed.
        feed: Option<Box<FeedState>>,
    },
}

/// Why a feed is not refreshed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefreshError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Agent(#[from] AgentError),
}

/// Refreshes feeds until the process ends.
///
/// # Errors
/// There are no threads.
pub(crate) fn run(socket: &Path, ca: Option<&Path>) -> anyhow::Result<()> {
    let fetcher = Fetcher::new(ca);
    let client = AgentClient::new(socket);
    let (sender, events) = mpsc::channel();
    let (asking, found) = (client.clone(), sender.clone());
    thread::Builder::new()
        .name("agent".to_owned())
        .spawn(move || follow(&asking, &found))?;
    // Best effort: without a service manager it goes nowhere.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut feeds: BTreeMap<String, (FeedState, Due)> = BTreeMap::new();
    let mut stamps: BTreeMap<String, Option<String>> = BTreeMap::new();
    loop {
        let now = Instant::now();
        look_at_files(&mut feeds, &mut stamps, now);
        start_due(&mut feeds, now, &client, &fetcher, &sender)?;
        match events.recv_timeout(rest(&feeds, now)) {
            Ok(Event::Feeds(found)) => {
                let now = Instant::now();
                let mut known = std::mem::take(&mut feeds);
                for feed in found {
                    let due = match known.remove(&feed.name) {
                        Some((before, mut due)) => {
                            due.follow(&feed, now);
                            // It was dropped and made again: it is empty.
                            if before.fetched.is_some() && feed.fetched.is_none() {
                                due.hurry(now);
                            }
                            due
                        }
                        None => Due::first(&feed, now, Timestamp::now()),
                    };
                    feeds.insert(feed.name.clone(), (feed, due));
                }
            }
            Ok(Event::Ended {
                name,
                pause,
                feed: now,
            }) => {
                if let Some((feed, due)) = feeds.get_mut(&name) {
                    due.ended(Instant::now(), pause, now.is_some());
                    // Requests and settings come by the other way.
                    if let Some(now) = now.filter(|now| now.version == feed.version) {
                        *feed = *now;
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            // The other end is kept here.
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// How long nothing is due.
fn rest(feeds: &BTreeMap<String, (FeedState, Due)>, now: Instant) -> Duration {
    let mut rest = REST;
    for (feed, due) in feeds.values() {
        if !feed.settings.is_url() {
            rest = rest.min(LOOK);
        }
        if !due.is_running {
            rest = rest.min(due.at.saturating_duration_since(now));
        }
    }
    // More may be due than can be refreshed at a time.
    rest.max(Duration::from_millis(50))
}

/// A file that was written, or replaced, is read at once.
fn look_at_files(
    feeds: &mut BTreeMap<String, (FeedState, Due)>,
    stamps: &mut BTreeMap<String, Option<String>>,
    now: Instant,
) {
    stamps.retain(|name, _| feeds.contains_key(name));
    for (name, (feed, due)) in feeds {
        if feed.settings.is_url() {
            continue;
        }
        let found = std::fs::metadata(&feed.settings.source);
        let found = found.ok().map(|metadata| stamp(&metadata));
        let known = stamps.insert(name.clone(), found.clone());
        if known.is_some_and(|known| known != found) {
            due.hurry(now);
        }
    }
}

fn start_due(
    feeds: &mut BTreeMap<String, (FeedState, Due)>,
    now: Instant,
    client: &AgentClient,
    fetcher: &Fetcher,
    sender: &Sender<Event>,
) -> std::io::Result<()> {
    let mut running = feeds.values().filter(|(_, due)| due.is_running).count();
    for (name, (feed, due)) in feeds.iter_mut() {
        if running >= AT_ONCE || due.is_running || due.at > now {
            continue;
        }
        running += 1;
        due.begin();
        let (feed, due, name) = (feed.clone(), due.clone(), name.clone());
        let (client, fetcher, sender) = (client.clone(), fetcher.clone(), sender.clone());
        thread::Builder::new()
            .name("refresh".to_owned())
            .spawn(move || {
                // A refresh that panics has ended, too: the feed is tried again.
                let refreshed =
                    catch_unwind(AssertUnwindSafe(|| refresh(&feed, &due, &client, &fetcher)));
                let (pause, feed) = refreshed.unwrap_or_else(|_| {
                    tracing::error!(feed = name, "the refresh panicked");
                    (due.pause(&feed.settings, false), None)
                });
                let feed = feed.map(Box::new);
                // There is no receiver while the process ends.
                let _ = sender.send(Event::Ended { name, pause, feed });
            })?;
    }
    Ok(())
}

/// Refreshes a feed, and tells the agent what came of it; how long to wait, and the feed after it
/// if it succeeded.
fn refresh(
    feed: &FeedState,
    due: &Due,
    client: &AgentClient,
    fetcher: &Fetcher,
) -> (Duration, Option<FeedState>) {
    let settings = &feed.settings;
    let pause = due.pause(settings, true);
    let name = &feed.name;
    match try_refresh(feed, client, fetcher, pause) {
        Ok(now) => {
            let entries = now.entries;
            tracing::info!(feed = name, entries, "refreshed");
            (pause, Some(now))
        }
        Err(error) => {
            let pause = due.pause(settings, false);
            let next = pause.as_secs();
            tracing::warn!(feed = name, %error, next, "not refreshed");
            // What the agent itself refused, too: it refuses some before it knows the feed.
            if let Err(error) = client.report(feed, Some(&error.to_string()), pause) {
                tracing::warn!(feed = name, %error, "the failure could not be reported");
            }
            (pause, None)
        }
    }
}

/// Fetches, and hands over what is new.
fn try_refresh(
    feed: &FeedState,
    client: &AgentClient,
    fetcher: &Fetcher,
    pause: Duration,
) -> Result<FeedState, RefreshError> {
    // Without content there is nothing to ask about.
    let known = feed.fetched.map(|_| Validators {
        etag: feed.etag.clone(),
        last_modified: feed.last_modified.clone(),
    });
    let known = known.filter(|known| *known != Validators::default());
    match fetcher.fetch(&feed.settings, known.as_ref())? {
        Fetched::Unchanged => Ok(client.report(feed, None, pause)?),
        Fetched::Content(bytes, validators) => {
            let before = feed.fetched.map(|_| feed.entries);
            let content = content::canonical(&feed.settings, &bytes, before)?;
            drop(bytes);
            Ok(client.put(feed, &content, &validators, pause)?)
        }
    }
}

/// Asks the agent for its feeds, again and again.
fn follow(client: &AgentClient, sender: &Sender<Event>) {
    let mut seen: Option<String> = None;
    let mut failures = 0;
    loop {
        match client.feeds(seen.as_deref()) {
            Ok((feeds, now)) => {
                if failures > 0 {
                    tracing::info!("the agent answers again");
                }
                failures = 0;
                if now.is_none() {
                    // Without it the agent would be asked all the time.
                    thread::sleep(LOOK);
                }
                seen = now;
                if sender.send(Event::Feeds(feeds)).is_err() {
                    return;
                }
            }
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(%error, "the agent cannot be asked for its feeds");
                }
                // After a restart it counts from the beginning.
                seen = None;
                let pause = AGAIN.get(failures).or(AGAIN.last());
                thread::sleep(pause.copied().unwrap_or(REST));
                failures += 1;
            }
        }
    }
}
