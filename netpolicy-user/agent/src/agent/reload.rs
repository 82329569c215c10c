//! What of the configuration is in force, and its reload: what can be changed in a running agent
//! is changed, the rest waits for a restart, and an invalid file changes nothing.

use std::sync::Arc;

use tokio::sync::watch;

use super::access::Requester;
use super::error::AgentError;
use super::kernel::attach::{self, SharedAttacher};
use super::writer::{Supervisor, Writer};
use crate::config::{Config, ConfigError, differing_keys};

/// What of the configuration is in force, and what is not.
#[derive(Clone, Debug)]
pub struct Running {
    /// What is in force.
    pub config: Config,
    /// Keys whose value in the file differs, and requires a restart.
    pub restart: Vec<String>,
    /// All that was wrong with the file at the last reload.
    pub problems: Vec<String>,
}

impl Running {
    /// A configuration that is in force as a whole; and where others are announced.
    #[must_use]
    pub fn channel(config: Config) -> watch::Sender<Arc<Self>> {
        watch::Sender::new(Arc::new(Self {
            config,
            restart: Vec::new(),
            problems: Vec::new(),
        }))
    }

    /// What is wrong, until a reload succeeds.
    pub fn faults(&self) -> impl Iterator<Item = String> + use<'_> {
        let line = |problem| format!("not reloaded, the previous configuration is used: {problem}");
        self.problems.iter().map(line)
    }
}

/// Reads the configuration as at the start, with the same options and environment.
pub type ReadConfig = Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// Reloads the configuration.
pub struct Reloader {
    /// Reads it.
    pub read: ReadConfig,
    /// Attaches to interfaces.
    pub attacher: SharedAttacher,
    /// The way to the writer.
    pub supervisor: Supervisor,
    /// Where the result is announced.
    pub running: watch::Sender<Arc<Running>>,
}

impl Reloader {
    /// Reads the configuration again and applies what can be applied. Interfaces do not wait for
    /// a change that is under way.
    pub async fn reload(&self) {
        let running = self.running.borrow().clone();
        let wanted = match (self.read)() {
            Ok(wanted) => wanted,
            Err(error) => {
                let problems = error.lines();
                for problem in &problems {
                    tracing::error!("the configuration is not reloaded: {problem}");
                }
                self.announce(Running {
                    problems,
                    ..Running::clone(&running)
                });
                return;
            }
        };
        let next = applicable(&running.config, &wanted);
        let changed = differing_keys(&running.config, &next);
        let restart = differing_keys(&next, &wanted);
        if let Err(error) = self.apply(&running.config, &next).await {
            tracing::warn!(%error, "the configuration is not reloaded");
            return;
        }
        match changed.is_empty() {
            true => tracing::info!("configuration reloaded; no value changed"),
            false => {
                tracing::info!("configuration reloaded; changed: {}", changed.join(", "));
                self.supervisor.note(Requester::agent(), "reload");
            }
        }
        if !restart.is_empty() {
            tracing::warn!(
                "a restart of the agent is required for {}",
                restart.join(", ")
            );
        }
        self.announce(Running {
            config: next,
            restart,
            problems: Vec::new(),
        });
    }

    fn announce(&self, running: Running) {
        self.running.send_replace(Arc::new(running));
    }

    async fn apply(&self, now: &Config, next: &Config) -> Result<(), AgentError> {
        if now.interfaces != next.interfaces {
            let (attacher, interfaces) = (self.attacher.clone(), next.interfaces.clone());
            let attached = tokio::task::spawn_blocking(move || {
                attach::lock(&attacher).configure(&interfaces);
            });
            attached.await.map_err(|_| AgentError::Internal)?;
        }
        let next = next.clone();
        let work = move |writer: &mut Writer| {
            writer.reconfigure(
                next.limits,
                next.verify_interval,
                next.bans.never_banned(),
                next.bans.burst,
            );
            Ok(())
        };
        let requester = Requester::agent();
        self.supervisor.run(requester.caller, work).await
    }
}

/// What is in force, with what a running agent can take from `wanted`.
fn applicable(running: &Config, wanted: &Config) -> Config {
    let wanted = wanted.clone();
    Config {
        interfaces: wanted.interfaces,
        unfiltered_interfaces: wanted.unfiltered_interfaces,
        events_per_second: wanted.events_per_second,
        resets_per_second: wanted.resets_per_second,
        limits: wanted.limits,
        bans: wanted.bans,
        memory: wanted.memory,
        verify_interval: wanted.verify_interval,
        geo_databases: wanted.geo_databases,
        notify: wanted.notify,
        ..running.clone()
    }
}

#[cfg(test)]
mod tests;
