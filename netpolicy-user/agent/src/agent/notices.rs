//! Notices for hooks: kept for a while, so that a reader that is away misses none.
//!
//! The agent runs no hook and never waits for one: an unprivileged process asks for notices.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::api::{Detached, FaultKind, NoticeTopic, NoticeView};

/// Notices that are kept.
const KEPT: usize = 256;

/// Characters of a notice's text.
const LONGEST: usize = 1000;

/// See the module. A clone is the same.
#[derive(Clone, Debug)]
pub struct Notices(Arc<Board>);

#[derive(Debug)]
struct Board {
    kept: Mutex<VecDeque<NoticeView>>,
    /// The id of the newest one.
    newest: watch::Sender<u64>,
    /// Whether filtering was stopped at the last look.
    was_detached: Mutex<bool>,
}

impl Default for Notices {
    fn default() -> Self {
        Self(Arc::new(Board {
            kept: Mutex::default(),
            newest: watch::Sender::new(0),
            was_detached: Mutex::default(),
        }))
    }
}

/// A notice of something that happened now.
#[must_use]
pub fn notice(topic: NoticeTopic, text: &str) -> NoticeView {
    let text = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    NoticeView {
        id: 0,
        time: Timestamp::now(),
        topic,
        over: false,
        text: text.take(LONGEST).collect(),
        fault: None,
        actor: None,
        bans: None,
    }
}

impl Notices {
    /// Keeps a notice for its readers.
    pub fn send(&self, notice: NoticeView) {
        let mut kept = self.kept();
        let id = *self.0.newest.borrow() + 1;
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(NoticeView { id, ..notice });
        self.0.newest.send_replace(id);
    }

    /// Sends a notice if filtering was stopped or begins again since the last call. For the
    /// writer, which sees a detach however short it is.
    pub fn look_for_detach(&self, detached: Option<&Detached>) {
        let was = &self.0.was_detached;
        let mut was = was.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(notice) = detach_notice(*was, detached) {
            self.send(notice);
        }
        *was = detached.is_some();
    }

    /// What came after the notice of this id, and how many of that are no longer kept.
    #[must_use]
    pub fn after(&self, id: u64) -> (Vec<NoticeView>, u64) {
        let kept = self.kept();
        let first = kept.front().map_or(id + 1, |first| first.id);
        let newer = kept.iter().filter(|notice| notice.id > id).cloned();
        (newer.collect(), first.saturating_sub(id + 1))
    }

    /// The id of the newest, now and from now on; 0: there was none.
    #[must_use]
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.0.newest.subscribe()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<NoticeView>> {
        // Nothing panics while it is held.
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells faults that begin and end from the lists of those that are present. By what stays of a
/// fault's words while it lasts.
#[derive(Debug, Default)]
pub struct FaultWatch(BTreeMap<(FaultKind, String), usize>);

impl FaultWatch {
    /// What differs from the list before: where a kind has a fault that it had not, one notice
    /// with all of that kind; where it has none any more, one that says so.
    pub fn look(&mut self, faults: &[(FaultKind, String)]) -> Vec<NoticeView> {
        let mut notices = Vec::new();
        let mut seen = BTreeMap::new();
        for (kind, text) in faults {
            *seen.entry((*kind, lasting(text))).or_insert(0) += 1;
        }
        let before = std::mem::replace(&mut self.0, seen);
        let is_new = |(key, count): (&(FaultKind, String), &usize)| {
            before.get(key).is_none_or(|had| had < count)
        };
        for kind in FaultKind::ALL {
            let texts: Vec<&str> = of_kind(faults, kind).collect();
            let mut now = self.0.iter().filter(|((of, _), _)| *of == kind);
            if now.any(is_new) {
                notices.push(present(kind, &texts));
            } else if texts.is_empty() && before.keys().any(|(of, _)| *of == kind) {
                let text = format!("no fault of {kind} any more");
                notices.push(NoticeView {
                    over: true,
                    fault: Some(kind),
                    ..notice(NoticeTopic::Fault, &text)
                });
            }
        }
        notices
    }
}

/// What of a fault's words stays while it lasts: of one of a feed or an interface which that is,
/// of another all but numbers and times.
fn lasting(text: &str) -> String {
    let words = text.split_whitespace();
    let is_named = text.starts_with("feed ") || text.starts_with("interface ");
    let has_number = |word: &&str| word.contains(|c: char| c.is_ascii_digit());
    let words: Vec<&str> = match is_named {
        true => words.take(2).collect(),
        false => words.filter(|word| !has_number(word)).collect(),
    };
    words.join(" ")
}

/// The faults that there are notices of: that interfaces are not filtered while filtering is
/// stopped is said by the notice of that.
#[must_use]
pub fn noticed(
    mut faults: Vec<(FaultKind, String)>,
    detached: Option<&Detached>,
) -> Vec<(FaultKind, String)> {
    if detached.is_some() {
        faults.retain(|(kind, _)| *kind != FaultKind::Interfaces);
    }
    faults
}

/// A notice for each kind of fault that is present, and one of being detached.
#[must_use]
pub fn present_notices(
    faults: Vec<(FaultKind, String)>,
    detached: Option<&Detached>,
) -> Vec<NoticeView> {
    let detach = detach_notice(false, detached);
    let faults = FaultWatch::default().look(&noticed(faults, detached));
    detach.into_iter().chain(faults).collect()
}

fn of_kind(faults: &[(FaultKind, String)], kind: FaultKind) -> impl Iterator<Item = &str> {
    let found = faults.iter().filter(move |(of, _)| *of == kind);
    found.map(|(_, text)| text.as_str())
}

fn present(kind: FaultKind, texts: &[&str]) -> NoticeView {
    NoticeView {
        fault: Some(kind),
        ..notice(NoticeTopic::Fault, &texts.join("; "))
    }
}

/// A notice that filtering was stopped or begins again.
fn detach_notice(was_detached: bool, now: Option<&Detached>) -> Option<NoticeView> {
    match now {
        Some(detached) if !was_detached => Some(NoticeView {
            actor: detached.actor.clone(),
            ..notice(NoticeTopic::Detach, &detached.in_words())
        }),
        None if was_detached => Some(NoticeView {
            over: true,
            ..notice(
                NoticeTopic::Detach,
                "attached again: filtering is no longer stopped",
            )
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: FaultKind, text: &str) -> (FaultKind, String) {
        (kind, text.to_owned())
    }

    #[test]
    fn reader_that_was_away_gets_what_it_missed_and_how_much_is_gone() {
        let notices = Notices::default();
        assert_eq!(notices.after(0), (Vec::new(), 0));
        for at in 0..KEPT + 3 {
            notices.send(notice(NoticeTopic::Lockout, &at.to_string()));
        }
        let newest = *notices.newest().borrow();
        assert_eq!(newest, KEPT as u64 + 3);
        let (missed, lost) = notices.after(newest - 2);
        assert_eq!((missed.len(), lost), (2, 0));
        assert_eq!(missed[1].id, newest);
        let (missed, lost) = notices.after(1);
        assert_eq!((missed.len(), lost), (KEPT, 2));
        assert_eq!(missed[0].text, "3");
    }

    #[test]
    fn detach_is_noticed_when_it_begins_and_ends() {
        let notices = Notices::default();
        let detached = Detached::default();
        for now in [None, Some(&detached), Some(&detached), None, None] {
            notices.look_for_detach(now);
        }
        let sent = notices.after(0).0;
        let sent: Vec<_> = sent.iter().map(|one| (one.topic, one.over)).collect();
        let topic = NoticeTopic::Detach;
        assert_eq!(sent, [(topic, false), (topic, true)]);
    }

    #[test]
    fn detach_is_noticed_in_place_of_interfaces_without_a_filter() {
        let faults = || {
            vec![
                fault(FaultKind::Interfaces, "interface eth0 is not filtered: why"),
                fault(FaultKind::Store, "full"),
            ]
        };
        let topics = |detached| -> Vec<NoticeTopic> {
            let notices = present_notices(faults(), detached);
            notices.iter().map(|notice| notice.topic).collect()
        };
        let detached = Detached::default();
        let found = topics(Some(&detached));
        assert_eq!(found, [NoticeTopic::Detach, NoticeTopic::Fault]);
        assert_eq!(topics(None), [NoticeTopic::Fault; 2]);
    }

    #[test]
    fn fault_in_place_of_another_of_its_kind_is_noticed() {
        let mut watch = FaultWatch::default();
        let mut look = |text| watch.look(&[fault(FaultKind::Interfaces, text)]).len();
        assert_eq!(look("interface eth0 is not filtered: absent"), 1);
        assert_eq!(look("interface eth0 is not filtered: no driver"), 0);
        assert_eq!(look("interface eth1 is not filtered: absent"), 1);
        assert_eq!(look("bans wait for 59 s"), 1);
        assert_eq!(look("bans wait for 61 s"), 0);
    }

    #[test]
    fn fault_is_noticed_when_it_begins_and_ends_and_not_while_its_words_change() {
        let mut watch = FaultWatch::default();
        let seen = watch.look(&[fault(FaultKind::Feeds, "stale for 1 h")]);
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].over, &*seen[0].text), (false, "stale for 1 h"));
        assert!(
            watch
                .look(&[fault(FaultKind::Feeds, "stale for 2 h")])
                .is_empty()
        );
        let two = [
            fault(FaultKind::Feeds, "stale for 3 h"),
            fault(FaultKind::Feeds, "never read"),
            fault(FaultKind::Store, "full\u{1b}[2J"),
        ];
        let seen = watch.look(&two);
        let texts: Vec<_> = seen.iter().map(|notice| notice.text.as_str()).collect();
        assert_eq!(texts, ["full [2J", "stale for 3 h; never read"]);
        assert!(watch.look(&two[1..]).is_empty(), "one of two is left");
        let seen = watch.look(&[]);
        assert!(seen.iter().all(|notice| notice.over), "{seen:?}");
        assert_eq!(seen.len(), 2);
        assert!(watch.look(&[]).is_empty());
    }
}
