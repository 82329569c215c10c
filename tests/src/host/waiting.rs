//! Waiting for what the agent says.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{AGENT_START, DatabaseHost, Options};

/// Longer than anything takes that is waited for.
pub const LIMIT: Duration = Duration::from_secs(10);

impl DatabaseHost {
    /// A host with these `interfaces` in its configuration, and an agent that answers and may
    /// filter none of them yet.
    #[must_use]
    pub fn configured(interfaces: &str) -> Self {
        let mut host = Self::with(&Options {
            config: format!("interfaces = {interfaces}\n"),
            agent: false,
        });
        host.start_configured();
        host
    }

    /// Starts an agent that filters what the configuration names, and waits until it answers.
    pub fn start_configured(&mut self) {
        let mut command = self.command();
        command.arg("agent");
        self.spawn(command);
        let begun = Instant::now();
        while self.status()["agent"].is_null() {
            assert!(begun.elapsed() < AGENT_START, "the agent does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Names of interfaces that are filtered, sorted.
#[must_use]
pub fn filtered(status: &Value) -> Vec<&str> {
    let all = status["enforcement"]["interfaces"].as_array();
    let on = all.into_iter().flatten();
    let on = on.filter(|i| i["attachment"] != "none");
    let mut names: Vec<_> = on.filter_map(|i| i["name"].as_str()).collect();
    names.sort_unstable();
    names
}

/// The first status that is so, within [`LIMIT`].
#[track_caller]
pub fn wait_for(host: &DatabaseHost, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let status = host.status();
        if is_so(&status) {
            return status;
        }
        assert!(begun.elapsed() < LIMIT, "{what}: {status}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
