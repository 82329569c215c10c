//! `netpolicy doctor`: what of the host bears on filtering, and what to do about it.
//!
//! Looks at the host, at what the agent or the pins say, and at files below a root; changes
//! nothing. Each file of this module adds lines of its own to `Lines`.

mod bundle;
mod certificates;
mod databases;
mod files;
mod firewalls;
mod fleet;
mod interfaces;
mod redact;
mod system;
mod units;

use std::fs;
use std::path::{Path, PathBuf};

pub use bundle::{Material, bundle};
pub use redact::redact;

use crate::api::{DatabaseView, DoctorLine, DoctorReport, Health, Status};
use crate::config::Config;
use crate::netdev::{Device, Netdevs};

/// What is looked at.
#[derive(Debug)]
pub struct ExaminedHost<'a> {
    /// The configuration, as far as it can be read.
    pub config: &'a Config,
    /// What is wrong with it.
    pub problems: &'a [String],
    /// What the agent says, or without one the pins.
    pub status: Result<&'a Status, &'a str>,
    /// `netpolicy-net`, where it is installed.
    pub net: Option<&'a Path>,
    /// Databases whose users have policies, if the agent says.
    pub databases: &'a [DatabaseView],
    /// What has an https URL, in words.
    pub speaking_tls: &'a [String],
    /// Where the files of the system are: `/`.
    pub root: &'a Path,
}

impl ExaminedHost<'_> {
    /// The agent's process id, if it answered.
    fn agent(&self) -> Option<u32> {
        let agent = self.status.ok()?.agent.as_ref()?;
        Some(agent.pid)
    }

    /// A file below the root.
    fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The text of a file below the root; `None`: there is none, or it cannot be read.
    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.file(name)).ok()
    }
}

/// Checks everything.
#[must_use]
pub fn examine(host: &ExaminedHost<'_>) -> DoctorReport {
    let mut lines = Lines::default();
    let devices = Netdevs::open().and_then(|mut netdevs| netdevs.all());
    let (devices, unseen): (Vec<Device>, _) = match devices {
        Ok(devices) => (devices, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    if let Some(error) = unseen {
        let found = format!("the interfaces cannot be listed: {error}");
        lines.fail("interfaces", found, "repeat it as root");
    }
    system::check(host, &mut lines);
    files::check(host, &mut lines);
    interfaces::check(host, &devices, &mut lines);
    firewalls::check(host, &devices, &mut lines);
    units::check(host, &mut lines);
    certificates::check(host, &mut lines);
    fleet::check(host, &mut lines);
    databases::check(host, &mut lines);
    DoctorReport::new(lines.0)
}

/// The lines so far.
#[derive(Default)]
struct Lines(Vec<DoctorLine>);

impl Lines {
    fn ok(&mut self, check: impl Into<String>, found: impl Into<String>) {
        self.add(Health::Ok, check.into(), found.into(), None);
    }

    fn warn(
        &mut self,
        check: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(
            Health::Warn,
            check.into(),
            found.into(),
            Some(advice.into()),
        );
    }

    fn fail(
        &mut self,
        check: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(
            Health::Fail,
            check.into(),
            found.into(),
            Some(advice.into()),
        );
    }

    fn add(&mut self, health: Health, check: String, found: String, advice: Option<String>) {
        self.0.push(DoctorLine {
            check,
            health,
            found,
            advice,
        });
    }
}
