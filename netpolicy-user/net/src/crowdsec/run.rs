//! The process: asks the local API, and hands over what follows.
//!
//! An answer of the stream that is lost is not sent again, so after any failure the whole set is
//! asked for, and now and then without one. After a failure of the agent's it is also handed
//! over whole, since it is not known what the agent did.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::bans::{self, Outcomes};
use super::known::{Known, Step, Tally};
use super::lapi::{self, Lapi, LapiError};
use super::settings::Settings;
use crate::agent::{AgentClient, AgentError};

/// Pauses after a failure.
const AGAIN: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
];

/// What lets the bouncer ban.
const GRANT: &str = "`netpolicy grant ban --to user:NAME`, with the bouncer's user, allows it";

/// How often the whole set is asked for without need.
const WHOLE: Duration = Duration::from_secs(3_600);

/// Why bans may not be as decisions say.
#[derive(Debug, thiserror::Error)]
enum BouncerError {
    #[error(transparent)]
    Lapi(#[from] LapiError),
    #[error(transparent)]
    Agent(#[from] AgentError),
}

/// What is asked for next, and how it is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The whole set, handed over whole.
    Replace,
    /// The whole set, of which differences are handed over.
    Compare,
    /// What changed.
    Changes,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Bouncer {
    lapi: Lapi,
    client: AgentClient,
    service: Option<String>,
    interval: Duration,
    known: Known,
    next: Next,
    /// When the whole set was there last.
    whole: Instant,
}

impl Bouncer {
    /// One that knows nothing yet.
    pub(super) fn new(lapi: Lapi, socket: &Path, settings: &Settings) -> Self {
        Self {
            lapi,
            client: AgentClient::new(socket),
            service: settings.service.clone(),
            interval: settings.interval,
            known: Known::default(),
            next: Next::Replace,
            whole: Instant::now(),
        }
    }

    /// Goes on until the process ends.
    pub(super) fn run(mut self) -> ! {
        tell(&[sd_notify::NotifyState::Ready]);
        let mut failures = 0;
        loop {
            let pause = match self.follow() {
                Ok(()) => {
                    if failures > 0 {
                        tracing::info!("bans follow CrowdSec's decisions again");
                    }
                    failures = 0;
                    self.interval
                }
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(%error, "bans do not follow CrowdSec's decisions");
                        if matches!(&error, BouncerError::Agent(error) if error.is_denied()) {
                            tracing::warn!("hint: {GRANT}");
                        }
                    }
                    let status = format!("bans do not follow decisions: {error}");
                    tell(&[sd_notify::NotifyState::Status(&status)]);
                    self.next = match (error, self.next) {
                        (BouncerError::Agent(_), _) | (_, Next::Replace) => Next::Replace,
                        _ => Next::Compare,
                    };
                    let pause = AGAIN.get(failures).or(AGAIN.last());
                    failures += 1;
                    pause
                        .copied()
                        .unwrap_or(WHOLE)
                        .max(self.interval.min(AGAIN[0]))
                }
            };
            thread::sleep(pause);
        }
    }

    /// Asks once, and hands over.
    fn follow(&mut self) -> Result<(), BouncerError> {
        if self.next == Next::Changes && self.whole.elapsed() >= WHOLE {
            self.next = Next::Compare;
        }
        let bytes = self.lapi.stream(self.next != Next::Changes)?;
        let changes = lapi::changes(&bytes)?;
        let now = Timestamp::now();
        let (step, tally) = match self.next {
            Next::Changes => {
                let (touched, tally) = self.known.follow(&changes, now);
                (self.known.step(&touched, now), tally)
            }
            next => {
                let tally = self
                    .known
                    .restart(changes.new.as_deref().unwrap_or(&[]), now);
                self.whole = Instant::now();
                let step = match next {
                    Next::Replace => Step::Replace,
                    _ => self.known.step_of_all(now),
                };
                (step, tally)
            }
        };
        let service = self.service.as_deref();
        match step {
            Step::Nothing => {}
            Step::Ban(sources) => {
                let bans = sources
                    .iter()
                    .filter_map(|source| self.known.wanted(*source, now));
                let outcomes = bans::ban(&self.client, bans, service)?;
                self.known.told(&sources);
                say("sources banned", &outcomes, tally);
            }
            Step::Replace => {
                let outcomes = bans::replace(&self.client, self.known.all(now), service)?;
                self.known.told_all();
                say("all bans handed over", &outcomes, tally);
            }
        }
        self.next = Next::Changes;
        let status = format!("{} sources banned by decisions", self.known.len());
        tell(&[sd_notify::NotifyState::Status(&status)]);
        Ok(())
    }
}

fn say(what: &str, outcomes: &Outcomes, tally: Tally) {
    let count = |result| outcomes.count(result);
    let (banned, extended) = (count("banned"), count("extended"));
    let (unchanged, refused) = (count("unchanged"), count("refused"));
    tracing::info!(banned, extended, unchanged, refused, "{what}");
    for refusal in &outcomes.refused {
        tracing::warn!("not banned: {refusal}");
    }
    if !tally.is_complete() {
        tracing::info!("left out: {}", tally.left_out());
    }
}

/// Best effort: there may be no service manager to tell.
fn tell(states: &[sd_notify::NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
