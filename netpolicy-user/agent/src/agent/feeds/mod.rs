//! Feeds: what is known of their content, how old it is, and what is wrong with it.
//!
//! The content itself is part of the state in force. It comes from an unprivileged process,
//! which reads the internet; the agent reads one canonical network a line and nothing else.

mod content;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

pub use content::{ContentError, FeedContent, parse};

use crate::api::FeedView;
use crate::model::{Feed, Name, NamedList, State};
use crate::store::{FeedRecord, NamedFeedRecord};

/// Characters of an error that are kept.
const MAX_ERROR: usize = 500;

/// How long a feed's first refresh may take.
const FIRST_READ: Duration = Duration::from_secs(120);

/// What is known of one feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedCondition {
    /// How its content was got; `None`: nothing came yet.
    pub record: Option<FeedRecord>,
    /// Why the last refresh failed, and when.
    pub error: Option<(Timestamp, String)>,
    /// When it is refreshed next.
    pub next: Option<Timestamp>,
    /// How often a refresh was requested since the agent started.
    pub requested: u64,
}

/// What is known of all feeds.
#[derive(Clone, Debug, Default)]
pub struct Feeds(Arc<BTreeMap<Name, FeedCondition>>);

impl Feeds {
    /// What the store has.
    #[must_use]
    pub fn new(stored: Vec<NamedFeedRecord>) -> Self {
        let known = stored.into_iter().map(|(name, record)| {
            let condition = FeedCondition {
                record: Some(record),
                ..FeedCondition::default()
            };
            (name, condition)
        });
        Self(Arc::new(known.collect()))
    }

    /// What is known of a feed.
    #[must_use]
    pub fn of(&self, name: &Name) -> Option<&FeedCondition> {
        self.0.get(name)
    }

    /// The same, to change it.
    pub fn of_mut(&mut self, name: &Name) -> &mut FeedCondition {
        Arc::make_mut(&mut self.0).entry(name.clone()).or_default()
    }

    /// Follows a change of the state: keeps records of feeds alone that are in both states with
    /// the same entries. Another content was not got by what the record says.
    pub fn follow(&mut self, old: &State, new: &State) {
        let mut kept = BTreeMap::clone(&self.0);
        kept.retain(|name, condition| {
            let entries = |state: &State| {
                let list = state
                    .list(name.as_str())
                    .filter(|list| list.feed.is_some())?;
                Some(list.entries.clone())
            };
            let Some(now) = entries(new) else {
                return false;
            };
            let is_same = entries(old).is_some_and(|old| old.ptr_eq(&now) || old.same_words(&now));
            if !is_same {
                condition.record = None;
            }
            true
        });
        self.0 = Arc::new(kept);
    }

    /// How the content of the feeds of a state was got, as far as that is known.
    #[must_use]
    pub fn records(&self, state: &State) -> Vec<NamedFeedRecord> {
        let records = state.feeds().filter_map(|(list, _)| {
            let record = self.of(&list.name)?.record.clone()?;
            Some((list.name.clone(), record))
        });
        records.collect()
    }

    /// What is wrong, a sentence for each feed that is stale or has never had content.
    #[must_use]
    pub fn faults(&self, state: &State, now: Timestamp) -> Vec<String> {
        let faults = state.feeds().filter_map(|(list, feed)| {
            let condition = self.of(&list.name);
            fault(list, feed, condition, now)
        });
        faults.collect()
    }

    /// All feeds of a state.
    #[must_use]
    pub fn views(&self, state: &State, now: Timestamp) -> Vec<FeedView> {
        let views = state.feeds().map(|(list, feed)| {
            let condition = self.of(&list.name).cloned().unwrap_or_default();
            view(state, list, feed, &condition, now)
        });
        views.collect()
    }
}

impl FeedCondition {
    /// The record, if it is of what the settings read now.
    #[must_use]
    pub fn current(&self, feed: &Feed) -> Option<&FeedRecord> {
        self.record
            .as_ref()
            .filter(|record| record.by.reads_as(feed))
    }

    /// The record, if these very settings judged the content: under others, the source's
    /// "not modified" says nothing of whether they take it.
    #[must_use]
    pub fn judged_by(&self, feed: &Feed) -> Option<&FeedRecord> {
        self.record.as_ref().filter(|record| record.by == *feed)
    }

    /// A refresh failed.
    pub fn failed(&mut self, now: Timestamp, error: &str) {
        let error = error.chars().filter(|c| !c.is_control());
        self.error = Some((now, error.take(MAX_ERROR).collect()));
    }
}

/// Names settings: content that was got by others is refused.
#[must_use]
pub fn version(feed: &Feed) -> String {
    let text = serde_json::to_vec(feed).unwrap_or_default();
    let hex = blake3::hash(&text).to_hex();
    hex.get(..16).unwrap_or_default().to_owned()
}

/// When the source last said that what is in force is current; until anything came, when the
/// settings were made.
fn current_since(list: &NamedList, feed: &Feed, condition: Option<&FeedCondition>) -> Timestamp {
    let record = condition.and_then(|condition| condition.current(feed));
    record.map_or(list.altered, |record| record.checked)
}

/// "2 h 5 min".
fn in_words(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    match (minutes / 60 / 24, minutes / 60 % 24, minutes % 60) {
        (0, 0, 0) => format!("{} s", age.as_secs()),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

fn age(now: Timestamp, then: Timestamp) -> Duration {
    let age: SignedDuration = now.duration_since(then);
    Duration::try_from(age).unwrap_or_default()
}

fn is_stale(
    list: &NamedList,
    feed: &Feed,
    condition: Option<&FeedCondition>,
    now: Timestamp,
) -> bool {
    age(now, current_since(list, feed, condition)) > Duration::from_secs(feed.stale_after)
}

fn fault(
    list: &NamedList,
    feed: &Feed,
    condition: Option<&FeedCondition>,
    now: Timestamp,
) -> Option<String> {
    let name = &list.name;
    let error = condition.and_then(|condition| condition.error.as_ref());
    let got = condition.and_then(|condition| condition.current(feed));
    if let (None, Some((_, error))) = (got, error) {
        return Some(format!(
            "feed '{name}' has never been read from {}: {error}",
            feed.source
        ));
    }
    let waited = age(now, current_since(list, feed, condition));
    if got.is_none() && waited > FIRST_READ {
        return Some(format!(
            "feed '{name}' has never been read: no process refreshes it; start \
             netpolicy-feed.service"
        ));
    }
    if !is_stale(list, feed, condition, now) {
        return None;
    }
    let since = in_words(waited);
    let why = match error {
        Some((_, error)) => format!("the last refresh failed: {error}"),
        None => "no process refreshes it: start netpolicy-feed.service".to_owned(),
    };
    Some(format!(
        "feed '{name}' is stale: it was last current {since} ago; {why}"
    ))
}

fn view(
    state: &State,
    list: &NamedList,
    feed: &Feed,
    condition: &FeedCondition,
    now: Timestamp,
) -> FeedView {
    let record = condition.current(feed);
    let judged = condition.judged_by(feed);
    let policies = state.referring_to(&list.name);
    let error = condition.error.as_ref();
    FeedView {
        name: list.name.to_string(),
        settings: feed.clone(),
        version: version(feed),
        policies: policies.map(|policy| policy.name.to_string()).collect(),
        entries: list.entries.len(),
        skipped: record.map_or(0, |record| record.skipped),
        format: record.map(|record| record.format.clone()),
        fetched: record.map(|record| record.fetched),
        checked: record.map(|record| record.checked),
        next: condition.next,
        stale: is_stale(list, feed, Some(condition), now),
        error: error.map(|(_, error)| error.clone()),
        failed: error.map(|(at, _)| *at),
        etag: judged.and_then(|record| record.etag.clone()),
        last_modified: judged.and_then(|record| record.last_modified.clone()),
        requested: condition.requested,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (State, Name) {
        let file = crate::model::SourceText {
            name: "policy.toml".into(),
            text: "[[feed]]\nname = \"drop\"\nurl = \"https://example.org/drop.txt\"\n".into(),
        };
        let cx = crate::model::ChangeContext {
            now: Timestamp::UNIX_EPOCH,
            actor: "root",
            limits: crate::model::Limits::default(),
            force: false,
        };
        let state = crate::model::file::parse(&file, &[], false, &cx)
            .unwrap()
            .state;
        let name = state.lists[0].name.clone();
        (state, name)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn feed_is_stale_after_its_time_and_the_reason_is_said() {
        let (state, name) = state();
        let mut feeds = Feeds::default();
        assert_eq!(feeds.faults(&state, at(120)), [""; 0]);
        let found = feeds.faults(&state, at(121));
        assert!(found[0].contains("start netpolicy-feed"), "{found:?}");

        let (_, feed) = state.feeds().next().unwrap();
        feeds.of_mut(&name).record = Some(FeedRecord {
            replaced: None,
            by: feed.clone(),
            fetched: at(10_000),
            checked: at(20_000),
            format: "plain".into(),
            skipped: 0,
            etag: Some("\"x\"".into()),
            last_modified: None,
        });
        assert_eq!(feeds.faults(&state, at(30_800)), [""; 0]);
        feeds.of_mut(&name).failed(at(30_000), "no route\nto host");
        let found = feeds.faults(&state, at(31_000));
        assert!(found[0].contains("no routeto host"), "{found:?}");
        assert!(feeds.views(&state, at(31_000))[0].stale);

        // Stricter settings are asked of a whole answer.
        let mut stricter = state.clone();
        stricter.lists[0].feed.as_mut().unwrap().min_entries = 9;
        let views = feeds.views(&stricter, at(31_000));
        assert_eq!(
            (views[0].etag.as_ref(), views[0].fetched),
            (None, Some(at(10_000)))
        );

        // A feed that was dropped and made again has no record.
        let mut dropped = state.clone();
        dropped.lists.clear();
        let mut again = feeds.clone();
        again.follow(&state, &state);
        assert!(again.of(&name).unwrap().record.is_some());
        again.follow(&state, &dropped);
        again.follow(&dropped, &state);
        assert!(again.of(&name).is_none());

        // Of another source, it says nothing.
        let mut other = state.clone();
        other.lists[0].feed = Some(Box::new(Feed::new("https://example.net/drop.txt")));
        let views = feeds.views(&other, at(31_000));
        assert_eq!((views[0].etag.as_ref(), views[0].fetched), (None, None));
        let found = feeds.faults(&other, at(10));
        assert!(found[0].contains("never been read"), "{found:?}");
    }
}
