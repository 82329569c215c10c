//! The file that says which store was in use last: that it was filled, and its newest revision.
//!
//! Without it a database that is missing or empty is a first start, with it the state was lost.
//! A database that lacks the revision named here is older than the one in use last, and one that
//! has another state in its place has another history; both are noticed also after a reboot,
//! when nothing is in force any more.
//!
//! It is written before the first revision, and names the database by its id, so that a first
//! commit that was cut short is not taken for a loss. After each further revision its first
//! lines are overwritten in place and not synced: a power cut may leave an earlier revision in
//! it, which every later store holds too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::db::Db;
use super::fault::fault;
use super::revision;
use crate::store::StoreError;
use crate::store::objects::ObjectId;

/// Its name within the state directory.
pub(super) const FILE_NAME: &str = "filled";

/// Its path.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(FILE_NAME)
}

/// A revision and its state's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) revision: u64,
    pub(super) state: ObjectId,
}

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MarkerContent {
    /// The id of the database; empty if it is not known.
    pub(super) id: String,
    /// Its newest revision; `None`: none yet, written by an earlier version, or damaged.
    pub(super) newest: Option<Recorded>,
}

impl MarkerContent {
    fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let id = lines.next().unwrap_or_default().to_owned();
        let newest = lines.next().and_then(|line| recorded(&id, line));
        Self { id, newest }
    }

    /// The lines that are overwritten: of one length for one id.
    fn head(&self) -> String {
        match &self.newest {
            None => format!("{}\n{:width$}\n", self.id, "no revision", width = LINE),
            Some(newest) => format!("{}\n{}\n", self.id, line(&self.id, newest)),
        }
    }
}

/// Bytes of the line that names the newest revision.
const LINE: usize = "revision  state  check ".len() + 20 + 64 + 16;

fn line(id: &str, newest: &Recorded) -> String {
    let Recorded { revision, state } = newest;
    let text = format!("revision {revision:020} state {state}");
    let check = check(id, &text);
    format!("{text} check {check}")
}

/// Whether the line is whole: it is overwritten in place.
fn check(id: &str, text: &str) -> String {
    let hash = blake3::hash(format!("{id}\n{text}").as_bytes()).to_hex();
    hash.chars().take(16).collect()
}

fn recorded(id: &str, line: &str) -> Option<Recorded> {
    let (text, found) = line.split_once(" check ")?;
    let (revision, state) = text.strip_prefix("revision ")?.split_once(" state ")?;
    if found != check(id, text) {
        return None;
    }
    Some(Recorded {
        revision: revision.parse().ok()?,
        state: ObjectId::from_hex(state)?,
    })
}

/// What the file says; `None`: it is not there, and no store was filled.
///
/// # Errors
/// It cannot be read.
pub(super) fn read(dir: &Path) -> Result<Option<MarkerContent>, StoreError> {
    let path = path(dir);
    match fs::read_to_string(&path) {
        // Damaged: it exists nevertheless.
        Ok(text) => Ok(Some(MarkerContent::parse(&text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Ok(Some(MarkerContent::default()))
        }
        Err(error) => Err(StoreError::io("read", &path, error)),
    }
}

/// The file of an open store.
#[derive(Debug)]
pub(super) struct Marker {
    dir: PathBuf,
    /// Of the open database.
    id: String,
    /// What was found when the store was opened.
    found: Option<MarkerContent>,
    /// Open for as long as it is overwritten: closing it would tell watchers of the directory
    /// that something happened. `None`: the file is not there, or another database's.
    file: Option<File>,
    /// What it says of this database.
    newest: Option<Recorded>,
    /// Whether it says something that is not on disk yet.
    is_dirty: bool,
}

impl Marker {
    /// Reads the file in the directory of an open database, and writes it if there is none.
    ///
    /// # Errors
    /// [`StoreError::Emptied`]: the database is empty, and one was filled; failures to read and
    /// write.
    pub(super) fn open(dir: &Path, conn: &Connection, path: &Path) -> Result<Self, StoreError> {
        let found = read(dir)?;
        let newest = newest(conn, path)?;
        let id = id(conn, path)?.unwrap_or_default();
        let mut marker = Self {
            dir: dir.to_path_buf(),
            id,
            newest: None,
            found: found.clone(),
            file: None,
            is_dirty: false,
        };
        match found {
            Some(found)
                if newest.is_none() && (found.id != marker.id || found.newest.is_some()) =>
            {
                Err(StoreError::Emptied {
                    path: path.to_path_buf(),
                    marker: self::path(dir),
                    what: "empty",
                })
            }
            Some(found) if found.id == marker.id => {
                marker.newest = found.newest;
                marker.file = marker.reopen()?;
                Ok(marker)
            }
            // Another database's: it stays until this one is adopted.
            Some(_) => Ok(marker),
            // Filled before there were such files, or the file was removed.
            None if newest.is_some() => marker.write(newest).map(|()| marker),
            None => Ok(marker),
        }
    }

    /// What the store that was in use last had reached, as far as that is known.
    pub(super) fn found(&self) -> Option<&MarkerContent> {
        self.found.as_ref()
    }

    /// The id of the open database.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether nothing says that this database is filled.
    pub(super) fn is_missing(&self) -> bool {
        self.file.is_none()
    }

    /// Says that the database is filled, before it is for the first time.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn fill(&mut self) -> Result<(), StoreError> {
        self.write(None)
    }

    /// Says that this is the newest revision, which is committed. At best: what is not written
    /// now is by [`Self::settle`].
    pub(super) fn record(&mut self, newest: Recorded) {
        self.newest = Some(newest);
        self.is_dirty = true;
        if let Some(file) = &self.file {
            let _ = file.write_all_at(self.head().as_bytes(), 0);
        }
    }

    /// Makes durable what was recorded.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        if !self.is_dirty {
            return Ok(());
        }
        let path = path(&self.dir);
        let is_own = |file: &File| {
            let (own, found) = (file.metadata().ok()?, fs::symlink_metadata(&path).ok()?);
            Some((own.dev(), own.ino()) == (found.dev(), found.ino()))
        };
        let file = self.file.as_ref();
        match file.filter(|file| is_own(file) == Some(true)) {
            None => self.write(self.newest),
            Some(file) => {
                let head = self.head();
                file.write_all_at(head.as_bytes(), 0)
                    .and_then(|()| file.sync_data())
                    .map_err(|source| StoreError::io("write", &path, source))?;
                self.is_dirty = false;
                Ok(())
            }
        }
    }

    /// Says that the open database is the one in use from now on. Durable when it returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn adopt(&mut self, newest: Option<Recorded>) -> Result<(), StoreError> {
        let is_known = self.file.is_some() && self.newest == newest && !self.is_dirty;
        if !is_known && newest.is_some() {
            self.write(newest)?;
        }
        self.found = None;
        Ok(())
    }

    fn head(&self) -> String {
        let content = MarkerContent {
            id: self.id.clone(),
            newest: self.newest,
        };
        content.head()
    }

    fn reopen(&self) -> Result<Option<File>, StoreError> {
        let path = path(&self.dir);
        match OpenOptions::new().write(true).open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("open", &path, error)),
        }
    }

    /// Writes all of it, at one instant.
    fn write(&mut self, newest: Option<Recorded>) -> Result<(), StoreError> {
        self.newest = newest;
        let path = path(&self.dir);
        let new = self.dir.join(format!("{FILE_NAME}.new"));
        let written = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(
                format!(
                    "{}netpolicy's state is in state.db next to this file. While this file is here, \
                     the agent does not start if state.db is missing or empty: an empty state would \
                     let every source in. `netpolicy store reset` removes both.\n",
                    self.head()
                )
                .as_bytes(),
            )?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.dir)?.sync_all()?;
            Ok(file)
        })();
        let file = written.map_err(|source| StoreError::io("write", &path, source))?;
        self.file = Some(file);
        self.is_dirty = false;
        Ok(())
    }
}

/// The id that the database was given when it was made; `None`: it never was given one.
///
/// # Errors
/// It cannot be read.
pub(super) fn id(conn: &Connection, path: &Path) -> Result<Option<String>, StoreError> {
    conn.query_row(
        "SELECT value FROM settings WHERE key = 'store_id'",
        [],
        |row| row.get(0),
    )
    .optional()
    .map_err(fault("read the store's id", path))
}

/// The newest revision of a database, and its state's hash.
///
/// # Errors
/// It cannot be read.
pub(super) fn newest(conn: &Connection, path: &Path) -> Result<Option<Recorded>, StoreError> {
    let db = Db { conn, path };
    let newest = revision::newest(db)?;
    Ok(newest.map(|(revision, state)| Recorded { revision, state }))
}

/// The hash of a revision's state; `None`: that revision is not there.
///
/// # Errors
/// It cannot be read.
pub(super) fn state_of(
    conn: &Connection,
    path: &Path,
    revision: u64,
) -> Result<Option<ObjectId>, StoreError> {
    let found: Option<Vec<u8>> = conn
        .query_row(
            "SELECT state FROM revisions WHERE revision = ?1",
            params![i64::try_from(revision).unwrap_or(i64::MAX)],
            |row| row.get(0),
        )
        .optional()
        .map_err(fault("look a revision up", path))?;
    let db = Db { conn, path };
    found.map(|state| revision::id(db, &state)).transpose()
}

/// Whether the database comes out of a backup, and no agent has run with it.
///
/// # Errors
/// It cannot be read.
pub(super) fn is_restored(conn: &Connection, path: &Path) -> Result<bool, StoreError> {
    conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM settings WHERE key = 'restored')",
        [],
        |row| row.get(0),
    )
    .map_err(fault("look whether it was restored", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(revision: u64, byte: u8) -> MarkerContent {
        MarkerContent {
            id: "0123456789abcdef".to_owned(),
            newest: ObjectId::from_slice(&[byte; 32]).map(|state| Recorded { revision, state }),
        }
    }

    #[test]
    fn record_is_read_back_and_its_lines_keep_their_length() {
        let none = MarkerContent {
            newest: None,
            ..content(1, 1)
        };
        let all = [none.clone(), content(1, 1), content(u64::MAX, 255)];
        for content in all {
            let head = content.head();
            assert_eq!(head.len(), none.head().len());
            assert_eq!(MarkerContent::parse(&head), content);
        }
    }

    #[test]
    fn record_of_two_writes_names_no_revision() {
        let (old, new) = (content(1, 1).head(), content(2, 2).head());
        for cut in 0..=old.len() {
            let mixed = format!("{}{}", &new[..cut], &old[cut..]);
            let read = MarkerContent::parse(&mixed).newest;
            let is_whole = mixed == old || mixed == new;
            assert_eq!(read.is_some(), is_whole, "{mixed}");
        }
        // As earlier versions wrote it.
        let read =
            MarkerContent::parse("0123\nnetpolicy's state is in state.db next to this file.\n");
        assert_eq!((read.id.as_str(), read.newest), ("0123", None));
    }
}
