//! What `netpolicy doctor` reports.

use serde::{Deserialize, Serialize};

/// The lines of `netpolicy doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorReport {
    /// Version of the command.
    pub version: String,
    /// Lines with [`Health::Fail`].
    pub failures: usize,
    /// Lines with [`Health::Warn`].
    pub warnings: usize,
    /// Everything that was checked.
    pub lines: Vec<DoctorLine>,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorLine {
    /// What was checked: "kernel", "interface eth0".
    pub check: String,
    /// How it is.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do; `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could, or cannot be checked.
    Warn,
    /// Something is not filtered, or will not be.
    Fail,
}

impl DoctorReport {
    /// Counts what is wrong in these lines.
    #[must_use]
    pub fn new(lines: Vec<DoctorLine>) -> Self {
        let count = |health| lines.iter().filter(|line| line.health == health).count();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            failures: count(Health::Fail),
            warnings: count(Health::Warn),
            lines,
        }
    }
}
