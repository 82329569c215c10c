//! Which fleet the host is in, and whose signatures count: files of root's.
//!
//! Read whenever it is needed, so that a key that is removed is not trusted any more.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use netpolicy_fleet::{FleetName, HostId, KeyError, Keyring, NameError};
use serde::Deserialize;

/// Where the keys are unless the settings name another directory.
const KEYS: &str = "/etc/netpolicy/fleet.d";

/// How the name of a key's file ends.
const KEY: &str = "pub";

/// The largest file, bytes.
const LARGEST: u64 = 64 << 10;

/// Others than the owner that may write.
const WRITABLE: u32 = 0o022;

/// Which fleet the host is in, and which keys it trusts.
#[derive(Debug)]
pub struct Membership {
    /// The fleet.
    pub fleet: FleetName,
    /// The host's name in it.
    pub host: HostId,
    /// Whose signatures count.
    pub keys: Keyring,
}

/// Why the host trusts no fleet.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It is in none.
    #[error("this host is in no fleet: {} does not say which, or is not there", .0.display())]
    NoMember(PathBuf),
    /// There is no key.
    #[error("no key is trusted: there is no *.{KEY} in {}", .0.display())]
    NoKey(PathBuf),
    /// Others than root may have written it.
    #[error("{} is not trusted: {why}; expected a {expected} of root that no other user can write", path.display())]
    NotOfRoot {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// "file", "directory".
        expected: &'static str,
    },
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not say what it should.
    #[error("{}: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It holds no key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// What the agent reads of the settings: where etcd is, and how to reach it, is the fleet
/// process's.
#[derive(Deserialize)]
struct FleetFile {
    fleet: Option<String>,
    host: Option<String>,
    keys: Option<PathBuf>,
}

/// Reads the settings of the fleet, and the keys in the directory that they name.
///
/// # Errors
/// See [`TrustError`].
pub fn read(path: &Path) -> Result<Membership, TrustError> {
    let no_member = || TrustError::NoMember(path.to_path_buf());
    let malformed = |why: String| TrustError::Malformed {
        path: path.to_path_buf(),
        why: why.trim().replace('\n', ", "),
    };
    let text = text(path)?.ok_or_else(no_member)?;
    let file: FleetFile = toml::from_str(&text).map_err(|e| malformed(e.message().to_owned()))?;
    let (Some(fleet), Some(host)) = (file.fleet, file.host) else {
        return Err(no_member());
    };
    let wrong = |error: NameError| malformed(error.to_string());
    Ok(Membership {
        fleet: fleet.parse().map_err(wrong)?,
        host: host.parse().map_err(wrong)?,
        keys: keyring(&file.keys.unwrap_or_else(|| KEYS.into()))?,
    })
}

fn keyring(dir: &Path) -> Result<Keyring, TrustError> {
    let mut keys = Keyring::default();
    match fs::metadata(dir) {
        Ok(found) => of_root(dir, &found, found.is_dir(), "directory")?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(TrustError::NoKey(dir.to_path_buf()));
        }
        Err(source) => return Err(unreadable(dir)(source)),
    }
    for path in key_files(dir)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(text) = text(&path)? {
            keys.add(&name, &text)?;
        }
    }
    match keys.is_empty() {
        true => Err(TrustError::NoKey(dir.to_path_buf())),
        false => Ok(keys),
    }
}

fn key_files(dir: &Path) -> Result<Vec<PathBuf>, TrustError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable(dir))? {
        let path = entry.map_err(unreadable(dir))?.path();
        if path.extension().is_some_and(|extension| extension == KEY) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The text of a file of root's; `None`: there is none.
fn text(path: &Path) -> Result<Option<String>, TrustError> {
    let mut open = OpenOptions::new();
    // No link, which would be as good as whoever may change what it leads to.
    let file: File = match open.read(true).custom_flags(libc::O_NOFOLLOW).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(unreadable(path)(source)),
    };
    let found = file.metadata().map_err(unreadable(path))?;
    of_root(path, &found, found.is_file(), "file")?;
    let mut text = String::new();
    let read = file.take(LARGEST).read_to_string(&mut text);
    read.map_err(unreadable(path))?;
    Ok(Some(text))
}

/// Refuses what others than root may have written.
fn of_root(
    path: &Path,
    found: &Metadata,
    is_kind: bool,
    expected: &'static str,
) -> Result<(), TrustError> {
    let why = if !is_kind {
        "it is something else".to_owned()
    } else if found.uid() != 0 {
        format!("user id {} owns it", found.uid())
    } else if found.mode() & WRITABLE != 0 {
        format!("its mode is {:04o}", found.mode() & 0o7777)
    } else {
        return Ok(());
    };
    Err(TrustError::NotOfRoot {
        path: path.to_path_buf(),
        why,
        expected,
    })
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> TrustError {
    let path = path.to_path_buf();
    move |source| TrustError::Unreadable {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    /// A key as `minisign -G` writes it.
    const TEXT: &str = "untrusted comment: minisign public key E7620F1842B4E81F\n\
                        RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n";

    fn directory() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("fleet.d");
        fs::create_dir(&keys).unwrap();
        mode(&keys, 0o755);
        member(
            &dir,
            "host = \"db-1\"\nendpoints = [\"https://192.0.2.1:2379\"]",
        );
        fs::write(keys.join("alice.pub"), TEXT).unwrap();
        dir
    }

    fn member(dir: &tempfile::TempDir, lines: &str) {
        let keys = dir.path().join("fleet.d");
        let text = format!("fleet = \"prod\"\nkeys = \"{}\"\n{lines}\n", keys.display());
        fs::write(dir.path().join("fleet.toml"), text).unwrap();
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn of(dir: &tempfile::TempDir) -> Result<Membership, TrustError> {
        read(&dir.path().join("fleet.toml"))
    }

    fn refused(dir: &tempfile::TempDir) -> String {
        of(dir).unwrap_err().to_string()
    }

    #[test]
    fn settings_name_fleet_host_and_keys() {
        let dir = directory();
        let found = of(&dir).unwrap();
        assert_eq!(
            (found.fleet.as_str(), found.host.as_str()),
            ("prod", "db-1")
        );
        assert_eq!(found.keys.names().collect::<Vec<_>>(), ["alice.pub"]);
        fs::remove_file(dir.path().join("fleet.d/alice.pub")).unwrap();
        assert!(refused(&dir).contains("no key is trusted"));
        // An operator's settings name no host.
        member(&dir, "");
        assert!(refused(&dir).contains("in no fleet"));
        fs::remove_file(dir.path().join("fleet.toml")).unwrap();
        assert!(refused(&dir).contains("in no fleet"));
    }

    #[test]
    fn what_others_may_write_is_not_trusted() {
        let dir = directory();
        let (keys, file) = (dir.path().join("fleet.d"), dir.path().join("fleet.toml"));
        let key = keys.join("alice.pub");
        mode(&key, 0o664);
        assert!(refused(&dir).contains("alice.pub is not trusted: its mode is 0664"));
        mode(&key, 0o644);
        mode(&keys, 0o777);
        assert!(refused(&dir).contains("its mode is 0777"));
        mode(&keys, 0o755);
        mode(&file, 0o666);
        assert!(refused(&dir).contains("fleet.toml is not trusted: its mode is 0666"));
        mode(&file, 0o644);
        std::os::unix::fs::chown(&key, Some(65_534), None).unwrap();
        assert!(refused(&dir).contains("user id 65534 owns it"));
        fs::rename(&key, keys.join("other")).unwrap();
        symlink("other", &key).unwrap();
        assert!(refused(&dir).contains("alice.pub"));
        fs::remove_file(&key).unwrap();
        fs::write(&key, "no key").unwrap();
        assert!(refused(&dir).contains("alice.pub: no public key"));
        fs::write(&key, TEXT).unwrap();
        member(&dir, "host = \"DB 1\"");
        assert!(refused(&dir).contains("'DB 1' is no name"));
    }
}
