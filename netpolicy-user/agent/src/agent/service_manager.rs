//! What the service manager (systemd) is told: ready, stopping, status, alive.
//!
//! Without one (`NOTIFY_SOCKET` unset) nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

use super::reload::Running;
use super::snapshot::Snapshot;
use crate::model::{Mode, Policy, counted};

/// The agent serves.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The agent reloads its configuration; [`reloaded`] says that it is done. Both fields go into one
/// message, as `Type=notify-reload` of systemd.service(5) demands.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager could not be notified"),
    }
}

/// The reload is over, whether it succeeded or not: the status line says that.
pub fn reloaded() {
    tell(&[NotifyState::Ready]);
}

/// How the agent is now.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The agent is about to end; what goes on without it.
pub fn stopping(remains: &str) {
    let status = format!("stopping; {remains}");
    tell(&[NotifyState::Stopping, NotifyState::Status(&status)]);
}

/// How often the service manager wants to hear of the agent; `None`: never. Half of
/// what it asks for, as `sd_watchdog_enabled(3)` advises.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|d| d / 2)
}

/// The agent is alive.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// What `systemctl status` shows: first what is filtered, or that nothing is, then what is wrong,
/// for the line is cut at the terminal's width. `open`: interfaces that are neither configured
/// nor filtered.
#[must_use]
pub fn line(snapshot: &Snapshot, running: &Running, open: &[String]) -> String {
    let mut parts = vec![snapshot.filtering_with(open)];
    if snapshot.detached.is_none() && !snapshot.interfaces.is_empty() {
        parts.extend(lenience(snapshot).map(str::to_owned));
    }
    parts.extend(faults(snapshot, running));
    if let Some(pending) = &snapshot.pending {
        let revision = pending.revision;
        parts.push(format!(
            "revision {revision} is rolled back unless it is confirmed"
        ));
    }
    if !running.restart.is_empty() {
        let keys = running.restart.join(", ");
        parts.push(format!("restart required for {keys}"));
    }
    parts.push(format!(
        "revision {} as generation {}, {}",
        snapshot.revision,
        snapshot.generation,
        counted(snapshot.entries, "entry", "entries")
    ));
    parts.join("; ")
}

/// Why filtering denies no source.
fn lenience(snapshot: &Snapshot) -> Option<&'static str> {
    let state = &snapshot.state;
    if !state.policies.iter().any(Policy::is_in_force) {
        return Some("no policy is active: every source may connect");
    }
    (state.host.mode == Mode::Observe)
        .then_some("the host is only observed: its policies drop nothing")
}

/// How much is wrong, and the first of it.
fn faults(snapshot: &Snapshot, running: &Running) -> Option<String> {
    let unfiltered = snapshot.unfiltered.iter();
    let unfiltered = unfiltered.map(|(name, why)| format!("{name}: {why}"));
    let faults = snapshot.faults.iter().cloned();
    let mut all = unfiltered.chain(faults).chain(running.faults());
    let first = all.next()?;
    Some(match all.count() {
        0 => format!("fault: {first}"),
        more => format!("{} faults, see netpolicy status: {first}", more + 1),
    })
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be notified");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::empty_snapshot;
    use crate::api::Detached;
    use crate::config::Config;

    fn reloaded(restart: &[&str], problems: &[&str]) -> Running {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        Running {
            config: Config::default(),
            restart: texts(restart),
            problems: texts(problems),
        }
    }

    #[test]
    fn status_line_begins_with_what_is_not_filtered() {
        let mut snapshot = empty_snapshot();
        let running = reloaded(&[], &[]);
        assert_eq!(
            line(&snapshot, &running, &[]),
            "no interface is configured: nothing is filtered; revision 0 as generation 0, 0 entries"
        );
        snapshot.interfaces = vec!["eth0".into()];
        assert_eq!(
            line(&snapshot, &running, &[]),
            "filtered: eth0; no policy is active: every source may connect; \
             revision 0 as generation 0, 0 entries"
        );
        let reason = "another XDP program is attached";
        snapshot.unfiltered.insert("eth0".into(), reason.into());
        assert!(
            line(&snapshot, &running, &[]).starts_with(
                "nothing is filtered: not attached to eth0; no policy is active: every source may \
                 connect; fault: eth0: another XDP program is attached; "
            ),
            "{}",
            line(&snapshot, &running, &[])
        );
        snapshot.detached = Some(Detached::default());
        assert!(
            line(&snapshot, &running, &[]).starts_with(
                "detached: nothing is filtered until `netpolicy attach`; fault: eth0: "
            ),
            "{}",
            line(&snapshot, &running, &[])
        );
    }

    #[test]
    fn status_line_counts_faults_and_shows_the_first() {
        let mut snapshot = empty_snapshot();
        let running = reloaded(&[], &[]);
        snapshot.faults = vec!["the disk is full".into()];
        assert_eq!(
            faults(&snapshot, &running).as_deref(),
            Some("fault: the disk is full")
        );
        snapshot.unfiltered.insert("eth0".into(), "busy".into());
        assert_eq!(
            faults(&snapshot, &running).as_deref(),
            Some("2 faults, see netpolicy status: eth0: busy")
        );
    }
    #[test]
    fn status_line_names_an_invalid_configuration_and_what_requires_a_restart() {
        let snapshot = empty_snapshot();
        let line = line(
            &snapshot,
            &reloaded(&["engine", "hook"], &["c.toml:1:1: x"]),
            &[],
        );
        assert_eq!(
            line,
            "no interface is configured: nothing is filtered; \
             fault: not reloaded, the previous configuration is used: c.toml:1:1: x; \
             restart required for engine, hook; revision 0 as generation 0, 0 entries"
        );
    }
}
