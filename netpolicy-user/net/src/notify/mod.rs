//! The process that runs hooks: follows the agent's notices, and hands each to the hooks that are
//! configured for it.
//!
//! Each hook has a thread and a short queue of its own, so that one that hangs delays neither the
//! others nor the agent, which waits for none of them.

mod hook;
mod limit;
mod worker;

use std::io::{self, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::hook::Poster;
use self::worker::Worker;
use crate::agent::{AgentClient, AgentError};
use crate::rights;

/// The users to run hooks as, the first that is there.
const USERS: [&str; 2] = ["netpolicy-metrics", "nobody"];

/// How long the agent waits for a notice before it answers, seconds.
const WAIT: u64 = 50;

/// Pauses after the agent did not answer.
const AGAIN: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
];

/// The shortest time between two questions: an agent that answers at once is not asked all the
/// time.
const PAUSE: Duration = Duration::from_millis(200);

/// A notice, as the agent has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notice {
    pub(crate) id: u64,
    pub(crate) time: Timestamp,
    pub(crate) topic: String,
    pub(crate) over: bool,
    pub(crate) text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bans: Option<u64>,
}

/// A hook, as the agent has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Hook {
    pub(crate) on: Vec<String>,
    pub(crate) run: Option<Vec<String>>,
    pub(crate) url: Option<String>,
    pub(crate) per_hour: u32,
    pub(crate) timeout: u64,
}

/// What the agent answers.
#[derive(Debug, Deserialize)]
struct Answer {
    agent: String,
    newest: u64,
    hooks: Vec<Hook>,
    notices: Vec<Notice>,
    lost: u64,
}

/// Where the last answer ended.
#[derive(Debug, Default)]
struct Followed(Option<(String, u64)>);

impl Followed {
    /// The path that asks for what came since.
    fn path(&self) -> String {
        match &self.0 {
            None => "notices".to_owned(),
            Some((agent, newest)) => {
                let encoded = serde_urlencoded::to_string([
                    ("agent", agent.as_str()),
                    ("after", &newest.to_string()),
                    ("wait", &WAIT.to_string()),
                ]);
                format!("notices?{}", encoded.unwrap_or_default())
            }
        }
    }
}

/// Runs hooks until the process ends.
///
/// # Errors
/// This is root.
pub(crate) fn run(socket: &Path, ca: Option<&Path>) -> anyhow::Result<()> {
    anyhow::ensure!(
        !rights::is_root(),
        "this runs hooks, and refuses to run as root\n\
         hint: `systemctl start netpolicy-notify` runs it as user netpolicy-metrics"
    );
    let client = AgentClient::new(socket);
    let poster = Poster::new(ca);
    let mut followed = Followed::default();
    let mut workers: Vec<Worker> = Vec::new();
    let mut failures = 0;
    // Best effort: without a service manager it goes nowhere.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    loop {
        let asked = Instant::now();
        match ask(&client, &followed) {
            Ok(answer) => {
                if failures > 0 {
                    tracing::info!("the agent answers again");
                }
                failures = 0;
                follow_hooks(&mut workers, answer.hooks, &poster)?;
                if answer.lost > 0 {
                    tracing::warn!(
                        count = answer.lost,
                        "notices came that were not kept for long enough"
                    );
                }
                for notice in &answer.notices {
                    for worker in &workers {
                        worker.hand_over(notice);
                    }
                }
                followed.0 = Some((answer.agent, answer.newest));
                thread::sleep(PAUSE.saturating_sub(asked.elapsed()));
            }
            Err(error) => {
                if failures == 0 {
                    let hint = match error.is_denied() {
                        true => "; grant it: `netpolicy grant metrics --to user:netpolicy-metrics`",
                        false => "",
                    };
                    tracing::warn!("the agent cannot be asked for notices: {error}{hint}");
                }
                let pause = AGAIN.get(failures).or(AGAIN.last());
                thread::sleep(pause.copied().unwrap_or(PAUSE));
                failures += 1;
            }
        }
    }
}

fn ask(client: &AgentClient, followed: &Followed) -> Result<Answer, AgentError> {
    let text = client.get(&followed.path())?;
    serde_json::from_str(&text).map_err(|error| AgentError::Garbled(error.to_string()))
}

/// Makes workers those of these hooks. One whose hook stays keeps its queue and its limit.
fn follow_hooks(workers: &mut Vec<Worker>, hooks: Vec<Hook>, poster: &Poster) -> io::Result<()> {
    workers.retain(|worker| hooks.contains(worker.hook()));
    for hook in hooks {
        if !workers.iter().any(|worker| *worker.hook() == hook) {
            tracing::info!(hook = %hook, "hook");
            workers.push(Worker::start(hook, poster.clone())?);
        }
    }
    Ok(())
}

/// Runs each hook once, with a notice that says that it is a test.
///
/// # Errors
/// The agent does not answer, no hook is configured, or one fails.
pub(crate) fn test(socket: &Path, ca: Option<&Path>, json: bool) -> anyhow::Result<()> {
    // Asked with the caller's rights, run without them.
    let answer = ask(&AgentClient::new(socket), &Followed::default())?;
    let poster = Poster::new(ca);
    rights::give_up(&USERS)?;
    anyhow::ensure!(
        !answer.hooks.is_empty(),
        "no hook is configured\nhint: add a [[notify]] to the configuration file, and reload the agent"
    );
    let notice = Notice {
        id: 0,
        time: Timestamp::now(),
        topic: "test".to_owned(),
        over: false,
        text: "a test of hooks: nothing is wrong".to_owned(),
        fault: None,
        actor: None,
        bans: None,
    };
    let mut out = io::stdout().lock();
    let mut failed = 0;
    for hook in answer.hooks {
        let started = Instant::now();
        let ended = hook::carry_out(&hook, &notice, 0, &poster);
        let took = started.elapsed().as_millis();
        failed += usize::from(ended.is_err());
        let error = ended.err().map(|error| error.to_string());
        if json {
            let line =
                serde_json::json!({"hook": hook.to_string(), "error": error, "took_ms": took});
            writeln!(out, "{line}")?;
        } else {
            let came = error.map_or_else(
                || format!("done in {took} ms"),
                |error| format!("failed: {error}"),
            );
            writeln!(out, "{hook}: {came}")?;
        }
    }
    anyhow::ensure!(failed == 0, "{failed} of the hooks failed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_since_is_asked_for_by_agent_and_number() {
        let mut followed = Followed::default();
        assert_eq!(followed.path(), "notices");
        followed.0 = Some(("17&x".to_owned(), 9));
        assert_eq!(followed.path(), "notices?agent=17%26x&after=9&wait=50");
    }
}
