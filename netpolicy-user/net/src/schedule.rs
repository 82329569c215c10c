//! When a feed is refreshed next.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use netpolicy_policy::model::Feed;

use crate::agent::FeedState;

/// The first pause after a failure; the next ones are twice as long each, up to the interval.
const FIRST_PAUSE: Duration = Duration::from_secs(60);

/// When a feed is due.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    /// By the settings of this version.
    version: String,
    /// When.
    pub(crate) at: Instant,
    /// Refreshes that were requested by then.
    requested: u64,
    /// Failures without a success between.
    failures: u32,
    /// Whether it is being refreshed.
    pub(crate) is_running: bool,
    /// Whether it became due while it was being refreshed.
    again: bool,
}

impl Due {
    /// Of a feed that was not known: when its interval is over, or at once if nothing of it is
    /// current.
    pub(crate) fn first(feed: &FeedState, now: Instant, wall: Timestamp) -> Self {
        let until = |then: Timestamp| Duration::try_from(then.duration_since(wall)).ok();
        let wait = match (feed.next, feed.checked) {
            (Some(next), Some(_)) => until(next),
            // A failure is tried again at once: this process may be new because it was repaired.
            _ => None,
        };
        let wait = wait.unwrap_or_default();
        let most = feed.settings.interval() + feed.settings.jitter();
        Self {
            version: feed.version.clone(),
            at: now + wait.min(most),
            requested: feed.requested,
            failures: 0,
            is_running: false,
            again: false,
        }
    }

    /// What the agent says now: other settings, or a request, make it due at once.
    pub(crate) fn follow(&mut self, feed: &FeedState, now: Instant) {
        let is_requested = feed.requested > self.requested;
        if self.version != feed.version || is_requested {
            self.hurry(now);
            self.failures = 0;
        }
        self.version.clone_from(&feed.version);
        // The agent counts from 0 again after a restart.
        self.requested = feed.requested;
    }

    /// Makes it due at once; after the refresh under way, which began before.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.at = now;
        self.again = self.is_running;
    }

    /// How long to wait after a refresh.
    pub(crate) fn pause(&self, feed: &Feed, is_success: bool) -> Duration {
        match is_success {
            true => feed.interval() + jitter(feed.jitter()),
            false => {
                let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10));
                doubled.min(feed.interval()) + jitter(feed.jitter().min(doubled / 4))
            }
        }
    }

    /// A refresh ended.
    pub(crate) fn ended(&mut self, now: Instant, pause: Duration, is_success: bool) {
        self.is_running = false;
        self.at = match std::mem::take(&mut self.again) {
            true => now,
            false => now + pause,
        };
        self.failures = match is_success {
            true => 0,
            false => self.failures.saturating_add(1),
        };
    }

    /// Begins a refresh: until it ends, nothing but a request makes it due.
    pub(crate) fn begin(&mut self) {
        self.is_running = true;
        self.again = false;
    }
}

/// Something from nothing to `most`.
fn jitter(most: Duration) -> Duration {
    // As random as it has to be: publishers are not to be asked by all hosts at once.
    let number = RandomState::new().build_hasher().finish();
    let part = u32::try_from(number % 1_001).unwrap_or(0);
    most.saturating_mul(part) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed() -> FeedState {
        FeedState {
            name: "drop".into(),
            settings: Feed::new("https://example.org/drop.txt"),
            version: "1".into(),
            entries: 0,
            fetched: None,
            checked: None,
            next: None,
            etag: None,
            last_modified: None,
            requested: 0,
        }
    }

    #[test]
    fn feed_is_due_at_once_unless_it_is_current() {
        let (now, wall) = (Instant::now(), Timestamp::from_second(100_000).unwrap());
        assert_eq!(Due::first(&feed(), now, wall).at, now);
        let mut current = feed();
        current.checked = Some(wall);
        current.next = Some(Timestamp::from_second(100_600).unwrap());
        assert_eq!(
            Due::first(&current, now, wall).at,
            now + Duration::from_secs(600)
        );
        // A clock that was set does not put it off for long.
        current.next = Some(Timestamp::from_second(900_000).unwrap());
        let most = Duration::from_secs(3_600 + 360);
        assert_eq!(Due::first(&current, now, wall).at, now + most);
        current.next = Some(Timestamp::from_second(99_000).unwrap());
        assert_eq!(Due::first(&current, now, wall).at, now);
        // A refresh was requested before this process began.
        current.next = None;
        assert_eq!(Due::first(&current, now, wall).at, now);
    }

    #[test]
    fn request_and_other_settings_make_it_due_and_failures_put_it_off() {
        let (now, wall) = (Instant::now(), Timestamp::from_second(100_000).unwrap());
        let mut due = Due::first(&feed(), now, wall);
        let pause = due.pause(&feed().settings, true);
        assert!(pause >= Duration::from_secs(3_600) && pause <= Duration::from_secs(3_960));
        due.begin();
        due.ended(now, pause, true);
        assert_eq!(due.at, now + pause);
        due.follow(&feed(), now);
        assert_eq!(due.at, now + pause);
        let mut requested = feed();
        requested.requested = 1;
        due.follow(&requested, now);
        assert_eq!(due.at, now);

        let pauses: Vec<_> = (0..8)
            .map(|_| {
                let pause = due.pause(&feed().settings, false);
                due.ended(now, pause, false);
                due.at = now;
                pause.as_secs()
            })
            .collect();
        assert!((60..=75).contains(&pauses[0]), "{pauses:?}");
        assert!((120..=150).contains(&pauses[1]), "{pauses:?}");
        assert!(pauses[7] >= 3_600 && pauses[7] <= 3_960, "{pauses:?}");
        let mut other = requested;
        other.version = "2".into();
        due.at = now + pause;
        due.follow(&other, now);
        assert_eq!((due.at, due.failures), (now, 0));

        // What comes during a refresh is not lost with its end.
        due.begin();
        other.version = "3".into();
        due.follow(&other, now);
        due.ended(now, pause, false);
        assert_eq!(due.at, now);
    }
}
