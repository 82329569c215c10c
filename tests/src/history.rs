//! The verdicts of a series of policies on a set of packets, and whether the observed ones
//! fit: every verdict is that of some step that could be in force, and no
//! verdict is that of a step before one that was already seen.

use std::fmt;
use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use netpolicy_common::{Action, Reason};

/// The verdicts on each probe, step by step. Written by the thread that changes
/// policies, and read concurrently by a thread that watches.
#[derive(Debug)]
pub struct History {
    /// Of each step, the reason that each probe gets.
    steps: RwLock<Vec<Box<[Reason]>>>,
    /// The last step that may be in force.
    begun: AtomicUsize,
    /// The first step that may still be in force.
    done: AtomicUsize,
}

/// What was seen of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The reason of its verdict.
    Reason(Reason),
    /// Only what happened to it.
    Action(Action),
}

/// The steps that may be in force at some time between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first of them.
    pub earliest: usize,
    /// The last of them.
    pub latest: usize,
}

/// One observer's way through a history.
#[derive(Debug)]
pub struct Walk<'h> {
    history: &'h History,
    /// The first step that can have given the last verdict.
    at: usize,
    moves: usize,
    seen: u64,
}

/// A verdict that no history explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Number of the probe.
    pub probe: usize,
    /// What was seen of it.
    pub seen: Seen,
    /// The steps that may have been in force.
    pub window: Window,
    /// The first step that can have given the verdict before.
    pub at: usize,
    /// What each step of the window, from `at` on, says.
    pub expected: Vec<Reason>,
    /// Whether one of the steps just before says what was seen: they were over.
    pub went_back: bool,
}

impl History {
    /// Step 0 is in force, and gives each probe its reason.
    #[must_use]
    pub fn new(first: Vec<Reason>) -> Self {
        Self {
            steps: RwLock::new(vec![first.into()]),
            begun: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
        }
    }

    /// From now on the next step may be in force.
    ///
    /// # Panics
    /// When it knows of other probes.
    pub fn begin(&self, reasons: Vec<Reason>) {
        let mut steps = self.steps.write().expect("not poisoned");
        assert_eq!(
            steps[0].len(),
            reasons.len(),
            "the same probes in all steps"
        );
        steps.push(reasons.into());
        self.begun.store(steps.len() - 1, Ordering::SeqCst);
    }

    /// From now on nothing before the step that was begun last is in force.
    pub fn finish(&self) {
        self.done
            .store(self.begun.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// The steps that may be in force now.
    #[must_use]
    pub fn now(&self) -> Window {
        let earliest = self.done.load(Ordering::SeqCst);
        let latest = self.begun.load(Ordering::SeqCst);
        Window { earliest, latest }
    }

    /// Does something, and says which steps may have been in force meanwhile.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> (T, Window) {
        let earliest = self.now().earliest;
        let result = work();
        let latest = self.now().latest;
        (result, Window { earliest, latest })
    }

    /// What a step says of a probe; `None` when it was not begun.
    ///
    /// # Panics
    /// When there is no such probe.
    #[must_use]
    pub fn reason(&self, step: usize, probe: usize) -> Option<Reason> {
        let steps = self.steps.read().expect("not poisoned");
        Some(steps.get(step)?[probe])
    }

    /// A new observer's walk.
    #[must_use]
    pub fn walk(&self) -> Walk<'_> {
        Walk {
            history: self,
            at: 0,
            moves: 0,
            seen: 0,
        }
    }
}

impl Seen {
    fn is_by(self, reason: Reason) -> bool {
        match self {
            Self::Reason(seen) => seen == reason,
            Self::Action(seen) => seen == reason.action(),
        }
    }
}

impl Walk<'_> {
    /// Takes in what was seen of some probes, in the order in which they were judged,
    /// all of them within a window.
    ///
    /// The walk is always at the earliest step that explains all so far. That is
    /// enough: whatever the true steps were, none was before it.
    ///
    /// # Errors
    /// A verdict of no step from there to the window's end.
    ///
    /// # Panics
    /// When there is no such probe.
    pub fn see(
        &mut self,
        window: Window,
        seen: impl IntoIterator<Item = (usize, Seen)>,
    ) -> Result<(), Violation> {
        let steps = self.history.steps.read().expect("not poisoned");
        let mut at = self.at.max(window.earliest);
        let mut moves = usize::from(at > self.at);
        for (probe, seen) in seen {
            self.seen += 1;
            if seen.is_by(steps[at][probe]) {
                continue;
            }
            let by = |step: &usize| seen.is_by(steps[*step][probe]);
            let Some(next) = (at..=window.latest).find(by) else {
                return Err(Violation {
                    probe,
                    seen,
                    window,
                    at,
                    expected: (at..=window.latest).map(|s| steps[s][probe]).collect(),
                    went_back: (window.earliest.saturating_sub(2)..at).any(|s| by(&s)),
                });
            };
            at = next;
            moves += 1;
        }
        self.at = at;
        self.moves += moves;
        Ok(())
    }

    /// How often it came to be sure that a later step was in force.
    #[must_use]
    pub fn moves(&self) -> usize {
        self.moves
    }

    /// Verdicts that were taken in.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            probe,
            seen,
            window: Window { earliest, latest },
            at,
            expected,
            went_back,
        } = self;
        let what = if *went_back {
            "is of a step that was over"
        } else {
            "is of no step"
        };
        write!(
            f,
            "the verdict on probe {probe}, {seen:?}, {what}: steps {earliest} to {latest} may be \
             in force, {at} was seen, and from there they say {expected:?}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::{Drop, Pass};
    use Reason::{Allowed, Blocked, NotAllowed};

    /// Probes: always denied, never denied, and two of which one is.
    fn history() -> History {
        let history = History::new(vec![Blocked, Allowed, Blocked, Allowed]);
        for step in 1..4 {
            let pair = if step % 2 == 0 {
                [Blocked, Allowed]
            } else {
                [Allowed, Blocked]
            };
            history.begin(vec![NotAllowed, Allowed, pair[0], pair[1]]);
        }
        history
    }

    fn walk(seen: &[(usize, Action)], earliest: usize, latest: usize) -> Result<usize, bool> {
        let history = history();
        let mut walk = history.walk();
        let seen = seen.iter().map(|(p, a)| (*p, Seen::Action(*a)));
        walk.see(Window { earliest, latest }, seen)
            .map(|()| walk.moves())
            .map_err(|violation| violation.went_back)
    }

    #[test]
    fn old_and_new_are_fine_in_this_order() {
        assert_eq!(
            walk(&[(0, Drop), (1, Pass), (2, Drop), (3, Pass)], 0, 0),
            Ok(0)
        );
        assert_eq!(walk(&[(2, Drop), (2, Pass), (3, Drop)], 0, 1), Ok(1));
        assert_eq!(
            walk(&[(2, Drop), (2, Pass), (3, Pass), (2, Pass)], 0, 3),
            Ok(3)
        );
    }

    #[test]
    fn neither_is_not() {
        assert_eq!(walk(&[(0, Pass)], 0, 3), Err(false));
        assert_eq!(walk(&[(1, Drop)], 0, 3), Err(false));
        assert_eq!(walk(&[(2, Pass)], 0, 0), Err(false));
    }

    #[test]
    fn going_back_is_not_either() {
        // The first is of step 1 already, the second of step 0 again.
        assert_eq!(walk(&[(2, Pass), (3, Pass)], 0, 1), Err(true));
        // Step 0 is over.
        assert_eq!(walk(&[(2, Drop)], 1, 1), Err(true));
        // So also when it is seen later.
        let history = history();
        let mut walk = history.walk();
        let window = Window {
            earliest: 0,
            latest: 1,
        };
        assert_eq!(walk.see(window, [(2, Seen::Action(Pass))]), Ok(()));
        let back = walk.see(window, [(2, Seen::Action(Drop))]);
        assert!(back.is_err_and(|violation| violation.went_back));
    }

    #[test]
    fn reasons_tell_more_than_actions() {
        let history = history();
        let mut walk = history.walk();
        let window = Window {
            earliest: 0,
            latest: 3,
        };
        assert_eq!(walk.see(window, [(0, Seen::Reason(NotAllowed))]), Ok(()));
        assert!(walk.see(window, [(0, Seen::Reason(Blocked))]).is_err());
        assert_eq!((walk.moves(), walk.seen()), (1, 2));
    }

    #[test]
    fn a_window_is_from_what_was_done_to_what_was_begun() {
        let history = History::new(vec![Allowed]);
        let ((), window) = history.during(|| {
            history.begin(vec![Blocked]);
            history.finish();
        });
        assert_eq!(
            window,
            Window {
                earliest: 0,
                latest: 1
            }
        );
        let ((), window) = history.during(|| history.begin(vec![Allowed]));
        assert_eq!(
            window,
            Window {
                earliest: 1,
                latest: 2
            }
        );
        assert_eq!(
            (history.reason(1, 0), history.reason(3, 0)),
            (Some(Blocked), None)
        );
    }
}
