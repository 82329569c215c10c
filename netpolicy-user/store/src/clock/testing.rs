//! A clock that tests set.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Clock, TimeSource};

/// Sets a clock.
#[derive(Clone)]
pub struct Hands(Arc<Mutex<Times>>);

struct Times {
    wall: Timestamp,
    since_boot: Duration,
    boot: String,
}

impl Hands {
    /// Both clocks stand still, a day after a boot.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Times {
            wall: Timestamp::from_second(1_800_000_000).unwrap(),
            since_boot: Duration::from_secs(86_400),
            boot: "first".into(),
        })))
    }

    /// As an agent that starts now sees them.
    pub fn clock(&self) -> Clock {
        let boot = self.0.lock().unwrap().boot.clone();
        Clock::new(Arc::new(Set {
            hands: self.clone(),
            boot,
        }))
    }

    /// Time passes, by both clocks.
    pub fn pass(&self, time: Duration) {
        let mut times = self.0.lock().unwrap();
        times.wall += time;
        times.since_boot += time;
    }

    /// Sets the wall clock forward, or back.
    pub fn set_wall(&self, seconds: i64) {
        self.0.lock().unwrap().wall += SignedDuration::from_secs(seconds);
    }

    /// Moves the wall clock a little, as NTP does and as reading two clocks one after the
    /// other seems to.
    pub fn slew(&self, by: Duration) {
        self.0.lock().unwrap().wall += by;
    }

    /// Boots again: off for a time, up for ten seconds.
    pub fn reboot(&self, off: Duration) {
        let up = Duration::from_secs(10);
        let mut times = self.0.lock().unwrap();
        times.wall += off + up;
        times.since_boot = up;
        times.boot.push_str(", next");
    }
}

struct Set {
    hands: Hands,
    boot: String,
}

impl TimeSource for Set {
    fn wall(&self) -> Timestamp {
        self.hands.0.lock().unwrap().wall
    }

    fn since_boot(&self) -> Duration {
        self.hands.0.lock().unwrap().since_boot
    }

    fn boot(&self) -> &str {
        &self.boot
    }
}
