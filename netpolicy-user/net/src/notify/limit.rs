//! How often a hook is run: so often for each topic, so that one that comes all the time does not
//! hide another.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::Notice;

const HOUR: Duration = Duration::from_secs(3600);

/// So many an hour, and no more in any hour.
#[derive(Debug)]
pub(super) struct Limit {
    per_hour: usize,
    at: VecDeque<Instant>,
}

impl Limit {
    pub(super) fn new(per_hour: u32) -> Self {
        Self {
            per_hour: usize::try_from(per_hour).unwrap_or(usize::MAX),
            at: VecDeque::new(),
        }
    }

    /// Whether there may be another one now; it is counted then.
    pub(super) fn permits(&mut self, now: Instant) -> bool {
        while self.at.front().is_some_and(|at| now - *at >= HOUR) {
            self.at.pop_front();
        }
        if self.at.len() >= self.per_hour {
            return false;
        }
        self.at.push_back(now);
        true
    }
}

impl Limit {
    /// When there may be another one; `None`: never.
    fn free_at(&self, now: Instant) -> Option<Instant> {
        match self.at.len() < self.per_hour {
            true => Some(now),
            false => self.at.front().map(|at| *at + HOUR),
        }
    }
}

/// The notices of one topic, and of one kind of fault.
#[derive(Debug)]
struct Topic {
    limit: Limit,
    /// The last that was over the limit, and how many were.
    withheld: Option<Notice>,
    dropped: u64,
}

/// The limits of a hook.
#[derive(Debug)]
pub(super) struct Limits {
    per_hour: u32,
    topics: BTreeMap<(String, Option<String>), Topic>,
}

impl Limits {
    pub(super) fn new(per_hour: u32) -> Self {
        Self {
            per_hour,
            topics: BTreeMap::new(),
        }
    }

    /// Whether the hook may be run for a notice now: then how many of its topic were over the
    /// limit before it. `None`: it is withheld.
    pub(super) fn permit(&mut self, notice: &Notice, now: Instant) -> Option<u64> {
        let key = (notice.topic.clone(), notice.fault.clone());
        let topic = self.topics.entry(key).or_insert_with(|| Topic {
            limit: Limit::new(self.per_hour),
            withheld: None,
            dropped: 0,
        });
        if topic.limit.permits(now) {
            topic.withheld = None;
            return Some(std::mem::take(&mut topic.dropped));
        }
        topic.withheld = Some(notice.clone());
        topic.dropped += 1;
        None
    }

    /// When a notice that is withheld may be sent.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let waiting = self.topics.values();
        let waiting = waiting.filter(|topic| topic.withheld.is_some());
        waiting.filter_map(|topic| topic.limit.free_at(now)).min()
    }

    /// The last notice of each topic that may be sent again, and how many were over the limit
    /// before it.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(Notice, u64)> {
        let mut due = Vec::new();
        for topic in self.topics.values_mut() {
            if topic.withheld.is_some() && topic.limit.permits(now) {
                let dropped = std::mem::take(&mut topic.dropped).saturating_sub(1);
                due.extend(topic.withheld.take().map(|notice| (notice, dropped)));
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(id: u64, topic: &str) -> Notice {
        Notice {
            id,
            time: jiff::Timestamp::UNIX_EPOCH,
            topic: topic.to_owned(),
            over: false,
            text: String::new(),
            fault: None,
            actor: None,
            bans: None,
        }
    }

    #[test]
    fn one_topic_does_not_use_up_the_limit_of_another() {
        let start = Instant::now();
        let mut limits = Limits::new(1);
        assert_eq!(limits.permit(&notice(1, "lockout"), start), Some(0));
        assert_eq!(limits.permit(&notice(2, "lockout"), start), None);
        assert_eq!(limits.permit(&notice(3, "detach"), start), Some(0));
    }

    #[test]
    fn last_notice_that_was_withheld_is_sent_when_the_limit_permits_it() {
        let start = Instant::now();
        let mut limits = Limits::new(1);
        assert_eq!(limits.next(start), None);
        for id in 1..=3 {
            limits.permit(&notice(id, "fault"), start);
        }
        assert!(limits.due(start).is_empty());
        let later = limits.next(start).unwrap();
        assert_eq!(later, start + HOUR);
        assert_eq!(limits.due(later), [(notice(3, "fault"), 1)]);
        assert_eq!(limits.next(later), None);
        assert_eq!(limits.permit(&notice(4, "fault"), later + HOUR), Some(0));
    }

    #[test]
    fn hour_has_no_more_than_its_number() {
        let start = Instant::now();
        let mut limit = Limit::new(2);
        let mut at = |minutes: u64| limit.permits(start + Duration::from_secs(60 * minutes));
        assert!(at(0) && at(30) && !at(59));
        assert!(at(60) && !at(89) && at(90));
        assert!(!Limit::new(0).permits(start));
    }
}
