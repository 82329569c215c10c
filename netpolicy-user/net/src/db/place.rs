//! The file with the lines: one of its own that `pg_hba.conf` includes, or a marked block at the head
//! of `pg_hba.conf` itself.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::order::Order;

/// The directory next to `pg_hba.conf` that it has to include.
const DIRECTORY: &str = "netpolicy.d";
/// The file in it.
const FILE: &str = "50-netpolicy.conf";

const HEAD: &str = "# Written by netpolicy, which undoes edits: policies of this server's users.\n";
const BEGIN: &str =
    "# netpolicy: begin. What stands here is written by netpolicy, which undoes edits.";
const END: &str = "# netpolicy: end";

/// The largest file that is read: a `pg_hba.conf` has some kilobytes.
const LARGEST: u64 = 64 << 20;

/// Where the lines stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a file of their own.
    Own(PathBuf),
    /// At the head of this file.
    Head(PathBuf),
}

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "{} has netpolicy's first mark and not its last, \"{END}\": restore it, or remove both marks and what stands between them",
        .0.display()
    )]
    HalfBlock(PathBuf),
    #[error("{} has more than {LARGEST} bytes; expected a pg_hba.conf", .0.display())]
    Large(PathBuf),
}

impl Place {
    /// Where an order's lines belong: where it says; else in the directory that `hba_file`
    /// includes, if it does; else at its head.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn of(order: &Order, hba_file: &Path) -> Result<Self, PlaceError> {
        if let Some(dir) = &order.hba_dir {
            return Ok(Self::Own(Path::new(dir).join(FILE)));
        }
        if let Some(file) = &order.hba_conf {
            return Ok(Self::Head(PathBuf::from(file)));
        }
        let text = read(hba_file)?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let includes = |line: &str| {
            let mut words = line.split_whitespace();
            let name = words.next() == Some("include_dir");
            name && words.next().map(|word| word.trim_matches('"')) == Some(DIRECTORY)
        };
        let directory = hba_file.parent().unwrap_or(Path::new("/"));
        Ok(match text.lines().any(includes) {
            true => Self::Own(directory.join(DIRECTORY).join(FILE)),
            false => Self::Head(hba_file.to_owned()),
        })
    }

    /// The file.
    pub(super) fn file(&self) -> &Path {
        match self {
            Self::Own(path) | Self::Head(path) => path,
        }
    }

    /// What the file holds now; `None`: it is not there.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>, PlaceError> {
        read(self.file())
    }

    /// When the file was last changed, seconds since 1970; `None`: it is not there. The change of
    /// the inode, since a rename leaves the time of the content.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn changed(&self) -> Result<Option<f64>, PlaceError> {
        let path = self.file();
        match fs::metadata(path) {
            Ok(found) => {
                let nanoseconds = i32::try_from(found.ctime_nsec()).unwrap_or_default();
                let seconds = Duration::from_secs(u64::try_from(found.ctime()).unwrap_or_default());
                Ok(Some(seconds.as_secs_f64() + f64::from(nanoseconds) / 1e9))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PlaceError::Io {
                what: "read",
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// What the file has to hold for these lines; of a file of the administrator's the rest stays.
    ///
    /// # Errors
    /// The marks are not in order.
    pub(super) fn composed(
        &self,
        now: Option<&[u8]>,
        lines: &[String],
    ) -> Result<Composed, PlaceError> {
        let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
        match self {
            Self::Own(_) => Ok(Composed {
                bytes: format!("{HEAD}{body}").into_bytes(),
                lines: 2..2 + lines.len(),
            }),
            Self::Head(path) => {
                let rest = without_block(now.unwrap_or_default())
                    .ok_or_else(|| PlaceError::HalfBlock(path.clone()))?;
                let mut bytes = match lines.is_empty() {
                    true => Vec::new(),
                    false => format!("{BEGIN}\n{body}{END}\n").into_bytes(),
                };
                bytes.extend(rest);
                Ok(Composed {
                    bytes,
                    lines: 2..2 + lines.len(),
                })
            }
        }
    }

    /// Replaces the file by rename: whoever reads it has the old or the new.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write(&self, bytes: Option<&[u8]>) -> Result<(), PlaceError> {
        let path = self.file();
        // Behind a symbolic link is the file itself.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let failed = |what| {
            let path = target.clone();
            move |source| PlaceError::Io { what, path, source }
        };
        let directory = target.parent().unwrap_or(Path::new("/"));
        let Some(bytes) = bytes else {
            return match fs::remove_file(&target) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(failed("remove")(error))
                }
                _ => Ok(()),
            };
        };
        if let Self::Own(_) = self
            && !directory.exists()
        {
            fs::create_dir(directory).map_err(failed("make the directory of"))?;
        }
        let old = fs::metadata(&target).ok();
        let sibling = target.with_extension(format!("netpolicy-{}", std::process::id()));
        let written = (|| {
            let mut file = File::create(&sibling)?;
            let mode = old.as_ref().map_or(0o600, |old| old.mode() & 0o777);
            file.set_permissions(Permissions::from_mode(mode))?;
            if let Some(old) = &old {
                // The group may be another than this process's; the owner is its own.
                let _ = chown(&sibling, None, Some(old.gid()));
            }
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&sibling, &target)?;
            File::open(directory)?.sync_all()
        })();
        written.map_err(|error| {
            let _ = fs::remove_file(&sibling);
            failed("write")(error)
        })
    }
}

/// What a file has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Composed {
    pub(super) bytes: Vec<u8>,
    /// The numbers of its lines that are netpolicy's, from 1.
    pub(super) lines: Range<usize>,
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, PlaceError> {
    let failed = |source| PlaceError::Io {
        what: "read",
        path: path.to_owned(),
        source,
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(found) if found.len() > LARGEST => return Err(PlaceError::Large(path.to_owned())),
        Ok(_) => {}
    }
    fs::read(path).map(Some).map_err(failed)
}

/// A text without the marked block; `None`: only one of the marks is there.
fn without_block(text: &[u8]) -> Option<Vec<u8>> {
    let mut rest = Vec::with_capacity(text.len());
    let mut inside = false;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let bare = line.trim_ascii_end();
        if bare == BEGIN.as_bytes() {
            if inside {
                return None;
            }
            inside = true;
        } else if bare == END.as_bytes() {
            if !inside {
                return None;
            }
            inside = false;
        } else if !inside {
            rest.extend(line);
        }
    }
    (!inside).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_file_counts_as_changed_at_its_rename() {
        let name = format!("netpolicy-place-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let place = Place::Own(directory.join(FILE));
        assert_eq!(place.changed().unwrap(), None);
        place.write(Some(b"# one\n")).unwrap();
        let first = place.changed().unwrap().unwrap();
        std::thread::sleep(Duration::from_millis(30));
        place.write(Some(b"# one\n")).unwrap();
        assert!(place.changed().unwrap().unwrap() > first);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn block_stands_at_the_head_and_the_rest_stays() {
        let place = Place::Head("/x/pg_hba.conf".into());
        let own = b"# mine\r\nlocal all all peer\n\xff\n".to_vec();
        let lines = ["host a reject".to_owned(), "host b reject".to_owned()];
        let first = place.composed(Some(&own), &lines).unwrap();
        assert_eq!(first.lines, 2..4);
        assert!(first.bytes.ends_with(&own));
        let again = place.composed(Some(&first.bytes), &lines).unwrap();
        assert_eq!(again, first);
        let none = place.composed(Some(&first.bytes), &[]).unwrap();
        assert_eq!(none.bytes, own);
        let half: Vec<u8> = first.bytes.iter().copied().take(60).collect();
        let half = String::from_utf8(half)
            .unwrap()
            .lines()
            .next()
            .map(str::to_owned);
        assert_eq!(half.as_deref().map(str::len), Some(60));
        let half = format!("{BEGIN}\nhost a reject\nlocal all all peer\n");
        assert!(place.composed(Some(half.as_bytes()), &[]).is_err());
        let behind = format!("{END}\nlocal all all peer\n");
        assert!(place.composed(Some(behind.as_bytes()), &[]).is_err());
    }
}
