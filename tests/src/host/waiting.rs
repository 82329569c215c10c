//! Waiting for what the agent says.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::DatabaseHost;

/// Longer than anything takes that is waited for.
pub const LIMIT: Duration = Duration::from_secs(10);

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
