//! What the service manager (systemd) is told: ready, stopping, status, alive.
//!
//! Without one (`NOTIFY_SOCKET` unset) nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

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

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be notified");
    }
}
