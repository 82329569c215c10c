//! Whether what is committed will be found again: the files that are open are the ones that
//! their paths name, and hold what netpolicy wrote.
//!
//! SQLite goes on to write to a database that was deleted, moved, cut short or overwritten, and
//! reports success. Must not write anything itself.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, TryLockError};

use crate::store::StoreError;

/// Which file it is: device and inode.
type Id = (u64, u64);

/// The files of an open database.
#[derive(Debug)]
pub(super) struct Witness {
    path: PathBuf,
    /// The database. To be closed after its connections: closing any descriptor of a file ends
    /// all locks that the process holds on it (fcntl(2)), SQLite's too.
    file: File,
    id: Id,
    /// The write-ahead log and its index.
    others: Vec<(PathBuf, Id)>,
    content: Mutex<DatabaseState>,
}

/// What is in the database file, as far as its attributes tell. Only checkpoints write to it.
#[derive(Debug)]
struct DatabaseState {
    len: u64,
    /// `None`: not known, and so not compared.
    modified: Option<(i64, i64)>,
    /// What was found to be wrong with it, which nothing puts right.
    lost: Option<String>,
}

impl Witness {
    /// Opens the database file, before any connection is.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let fault = |source| StoreError::io("open", path, source);
        let file = File::open(path).map_err(fault)?;
        let found = file.metadata().map_err(fault)?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            id: (found.dev(), found.ino()),
            others: Vec::new(),
            content: Mutex::new(DatabaseState {
                len: found.len(),
                modified: Some((found.mtime(), found.mtime_nsec())),
                lost: None,
            }),
        })
    }

    /// Notes the log's files, once they are there, and what opening wrote.
    ///
    /// # Errors
    /// [`StoreError::Lost`] if one of the files is not there.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        for suffix in ["-wal", "-shm"] {
            let path = sibling(&self.path, suffix);
            let id = id_of(&path)
                .ok()
                .flatten()
                .ok_or_else(|| self.lost(gone(&path)))?;
            self.others.push((path, id));
        }
        let content = self.content.get_mut();
        read_content(&self.file, content.unwrap_or_else(PoisonError::into_inner));
        self.check()
    }

    /// Makes sure that what is written is kept.
    ///
    /// # Errors
    /// [`StoreError::Lost`] says what happened to the files.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.displaced() {
            Some(why) => Err(self.lost(why)),
            None => self.check_content_now(),
        }
    }

    /// Makes sure that what was just committed is kept. Where that cannot be looked at, it is:
    /// the commit succeeded, and reporting it as failed would be wrong.
    ///
    /// # Errors
    /// As [`Self::check`], of what was found.
    pub(super) fn check_committed(&self) -> Result<(), StoreError> {
        match self.find_displaced() {
            Ok(Some(why)) => Err(self.lost(why)),
            Ok(None) if self.file.metadata().is_ok() => self.check_content_now(),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    fn check_content_now(&self) -> Result<(), StoreError> {
        match self.content.try_lock() {
            Ok(mut content) => self.check_content(&mut content),
            Err(TryLockError::Poisoned(content)) => self.check_content(&mut content.into_inner()),
            // A checkpoint writes to it just now, and looked before that.
            Err(TryLockError::WouldBlock) => Ok(()),
        }
    }

    /// Lets `write` change the database file, unless it was changed by another program: that
    /// one's pages and ours would make a file that is neither.
    pub(super) fn writing<T>(&self, write: impl FnOnce() -> T) -> Result<T, StoreError> {
        let content = self.content.lock();
        let mut content = content.unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = self.displaced() {
            return Err(self.lost(why));
        }
        self.check_content(&mut content)?;
        let written = write();
        read_content(&self.file, &mut content);
        Ok(written)
    }

    /// Notes that the content is not what was written, for good.
    pub(super) fn condemn(&self, why: &str) -> StoreError {
        let content = self.content.lock();
        let mut content = content.unwrap_or_else(PoisonError::into_inner);
        let why = content.lost.get_or_insert_with(|| why.to_owned()).clone();
        self.lost(why)
    }

    /// Whether the content is not what was written.
    pub(super) fn condemned(&self) -> bool {
        let content = self.content.lock();
        let mut content = content.unwrap_or_else(PoisonError::into_inner);
        self.check_content(&mut content).is_err()
    }

    /// The log's path, if the file there is still the one that is open.
    pub(super) fn own_log(&self) -> Option<&Path> {
        let (path, id) = self.others.first()?;
        let is_own = id_of(path).is_ok_and(|found| found == Some(*id));
        is_own.then_some(&**path)
    }

    /// Which of the files is not where it should be, or cannot be looked at.
    fn displaced(&self) -> Option<String> {
        self.find_displaced().unwrap_or_else(Some)
    }

    /// Which of the files is not where it should be; an error: which cannot be looked at.
    fn find_displaced(&self) -> Result<Option<String>, String> {
        let files = self.others.iter().map(|(path, id)| (&**path, id));
        let files = std::iter::once((&*self.path, &self.id)).chain(files);
        for (path, id) in files {
            match id_of(path) {
                Ok(Some(found)) if found == *id => {}
                Ok(Some(_)) => {
                    return Ok(Some(format!("{} is another file now", path.display())));
                }
                Ok(None) => return Ok(Some(gone(path))),
                Err(error) => return Err(format!("{}: {error}", path.display())),
            }
        }
        Ok(None)
    }

    fn check_content(&self, content: &mut DatabaseState) -> Result<(), StoreError> {
        if content.lost.is_none() {
            // What cannot be looked at now may be whole the next time.
            let found = self.file.metadata();
            let found = found.map_err(|error| self.lost(error.to_string()))?;
            content.lost = if found.len() < content.len {
                Some(format!(
                    "it was cut from {} to {} bytes",
                    content.len,
                    found.len()
                ))
            } else if content
                .modified
                .is_some_and(|modified| modified != (found.mtime(), found.mtime_nsec()))
            {
                Some("another program wrote to it".to_owned())
            } else {
                None
            };
        }
        match &content.lost {
            Some(why) => Err(self.lost(why.clone())),
            None => Ok(()),
        }
    }

    fn lost(&self, why: String) -> StoreError {
        StoreError::Lost {
            path: self.path.clone(),
            why,
        }
    }
}

fn read_content(file: &File, content: &mut DatabaseState) {
    let found = file.metadata().ok();
    content.len = found.as_ref().map_or(0, fs::Metadata::len);
    content.modified = found.map(|found| (found.mtime(), found.mtime_nsec()));
}

fn id_of(path: &Path) -> io::Result<Option<Id>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
        Err(error) => Err(error),
    }
}

fn gone(path: &Path) -> String {
    format!("{} was deleted or moved", path.display())
}

/// The path of a file next to the database: its name with a suffix.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
