//! The detach marker: a file in the state directory that keeps agents from attaching.
//!
//! Agent and command line share it. The file says who detached, and when; that it exists
//! is what counts: an empty one, left by an older version or written on a full disk,
//! keeps agents from attaching as well. What the command line does without an agent is
//! noted in the same directory, for the audit log of the next one.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::Detached;

/// Actions that no agent has recorded yet, one JSON object a line.
const UNRECORDED: &str = "unrecorded-actions";

/// The same, while an agent records them.
const RECORDING: &str = "unrecorded-actions.recording";

/// What was done without an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unrecorded {
    /// "detach" or "attach".
    pub action: String,
    /// An OS user's name.
    pub actor: String,
    /// The user's id.
    pub uid: u32,
    /// When.
    pub time: Timestamp,
}

/// What the marker says; `None`: there is none.
#[must_use]
pub fn read(marker: &Path) -> Option<Detached> {
    let found = fs::symlink_metadata(marker);
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // What cannot be looked at may be there: `status` says so, and nothing attaches.
        Err(_) => Some(Detached::default()),
        Ok(about) => {
            let text = fs::read(marker).unwrap_or_default();
            let found = serde_json::from_slice(&text).ok();
            Some(found.unwrap_or_else(|| Detached {
                actor: None,
                time: about.modified().ok().and_then(|t| t.try_into().ok()),
            }))
        }
    }
}

/// Writes the marker, whole or not at all; without its text where the disk is full. One
/// that says who detached is kept: since then nothing is filtered.
///
/// # Errors
/// No file can be created there.
pub fn write(marker: &Path, actor: &str, now: Timestamp) -> io::Result<()> {
    if read(marker).is_some_and(|there| there.actor.is_some()) {
        return Ok(());
    }
    let detached = Detached {
        actor: Some(actor.to_owned()),
        time: Some(now),
    };
    let draft = marker.with_extension("new");
    let written = serde_json::to_vec(&detached)
        .map_err(io::Error::from)
        .and_then(|text| {
            let mut file = File::create(&draft)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&draft, marker)
        });
    if written.is_ok() {
        return Ok(());
    }
    // Its existence is what counts.
    let created = File::options().create(true).append(true).open(marker);
    // It is of no use, and overwritten by the next one.
    let _ = fs::remove_file(&draft);
    created.map(drop)
}

/// Lets agents attach again.
///
/// # Errors
/// The marker is there and cannot be removed.
pub fn remove(marker: &Path) -> io::Result<()> {
    match fs::remove_file(marker) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Leaves a note of what was done without an agent, for the audit log of the next one.
///
/// # Errors
/// It cannot be written.
pub fn leave_unrecorded(marker: &Path, action: &Unrecorded) -> io::Result<()> {
    let mut line = serde_json::to_vec(action)?;
    line.push(b'\n');
    File::options()
        .create(true)
        .append(true)
        .open(marker.with_file_name(UNRECORDED))?
        .write_all(&line)
}

/// What was done without an agent and is in no audit log yet, the oldest first. Each is
/// reported until [`forget_unrecorded`].
///
/// # Errors
/// The note is there and cannot be read. A line of it that cannot be understood is left
/// out.
pub fn unrecorded(marker: &Path) -> io::Result<Vec<Unrecorded>> {
    let fresh = marker.with_file_name(UNRECORDED);
    let recording = recording(marker);
    // What an agent was recording when it ended comes first, and alone.
    if !recording.exists() {
        match fs::rename(&fresh, &recording) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            renamed => renamed?,
        }
    }
    let text = fs::read(&recording)?;
    let lines = text.split(|&byte| byte == b'\n');
    Ok(lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

/// Removes what [`unrecorded`] reported.
///
/// # Errors
/// It cannot be removed.
pub fn forget_unrecorded(marker: &Path) -> io::Result<()> {
    remove(&recording(marker))
}

fn recording(marker: &Path) -> PathBuf {
    marker.with_file_name(RECORDING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn marker_names_first_actor_and_time_until_removed() {
        let dir = tempfile::tempdir().unwrap();
        let marker = dir.path().join("detached");
        assert_eq!(read(&marker), None);
        write(&marker, "alice", at(60)).unwrap();
        write(&marker, "bob", at(120)).unwrap();
        let there = read(&marker).unwrap();
        assert_eq!(
            there.in_words(),
            "detached by alice at 1970-01-01 00:01:00 UTC: nothing is filtered until `netpolicy attach`"
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        remove(&marker).unwrap();
        remove(&marker).unwrap();
        assert_eq!(read(&marker), None);
    }

    #[test]
    fn empty_or_damaged_marker_counts_with_the_time_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let marker = dir.path().join("detached");
        for text in ["", "{", "\0\0\0\0"] {
            fs::write(&marker, text).unwrap();
            let there = read(&marker).unwrap();
            assert_eq!(there.actor, None);
            let age = Timestamp::now().duration_since(there.time.unwrap());
            assert!(age.as_secs() < 60, "{age}");
        }
        // Who detaches again is better known than who did before.
        write(&marker, "alice", at(60)).unwrap();
        assert_eq!(read(&marker).unwrap().actor.as_deref(), Some("alice"));
    }

    #[test]
    fn actions_without_an_agent_are_reported_until_removed() {
        let dir = tempfile::tempdir().unwrap();
        let marker = dir.path().join("detached");
        let action = |action: &str, seconds| Unrecorded {
            action: action.into(),
            actor: "root".into(),
            uid: 0,
            time: at(seconds),
        };
        assert_eq!(unrecorded(&marker).unwrap(), []);
        leave_unrecorded(&marker, &action("detach", 1)).unwrap();
        leave_unrecorded(&marker, &action("attach", 2)).unwrap();
        let first = [action("detach", 1), action("attach", 2)];
        assert_eq!(unrecorded(&marker).unwrap(), first);
        // An agent that ended before it removed them reports them again, then later ones.
        leave_unrecorded(&marker, &action("detach", 3)).unwrap();
        assert_eq!(unrecorded(&marker).unwrap(), first);
        forget_unrecorded(&marker).unwrap();
        assert_eq!(unrecorded(&marker).unwrap(), [action("detach", 3)]);
        forget_unrecorded(&marker).unwrap();
        assert_eq!(unrecorded(&marker).unwrap(), []);
    }
}
