//! Where things are pinned, and the file operations on it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustix::fs::statfs;

use super::{DatapathError, Hook};

/// `BPF_FS_MAGIC` of `linux/magic.h`.
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// The usual mount point.
const SYS_BPFFS: &str = "/sys/fs/bpf";

/// The pin of the program at interfaces with Ethernet headers in a map directory.
pub(super) const PROGRAM: &str = "PROGRAM";

/// The pin of the program at interfaces without a link-layer header.
pub(super) const PROGRAM_IP: &str = "PROGRAM_IP";

/// The pin of [`PROGRAM`] at tc ingress.
pub(super) const TC: &str = "TC";

/// The pin of [`PROGRAM_IP`] at tc ingress.
pub(super) const TC_IP: &str = "TC_IP";

/// The pin of [`PROGRAM`] as it is asked.
pub(super) const PROBE: &str = "PROBE";

/// Pins that former versions made.
pub(super) const FORMER: [&str; 1] = ["PROBE_IP"];

/// The layout under one bpffs directory.
#[derive(Clone, Debug)]
pub(super) struct Pins {
    root: PathBuf,
}

impl Pins {
    /// Does not touch anything.
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
        }
    }

    /// Makes the directory, mounting a BPF file system if there is none.
    pub(super) fn create(root: &Path) -> Result<Self, DatapathError> {
        if !is_on_bpffs(root) {
            mount_for(root)?;
        }
        let pins = Self::new(root);
        pins.make_links()?;
        Ok(pins)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What is in force.
    pub(super) fn live(&self) -> PathBuf {
        self.root.join("live")
    }

    /// When the map of counters was pinned, by the wall clock of then.
    pub(super) fn counting_since(&self) -> Option<SystemTime> {
        let map = fs::metadata(self.live().join("CPUS")).ok()?;
        map.modified().ok()
    }

    /// What is being built.
    pub(super) fn next(&self) -> PathBuf {
        self.root.join("next")
    }

    /// The links, by interface.
    pub(super) fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// Makes the directory for links, which may have been removed.
    pub(super) fn make_links(&self) -> Result<(), DatapathError> {
        make_dir(&self.links())
    }

    /// Begins building next to what is in force; what a crash left there goes.
    pub(super) fn begin_next(&self) -> Result<PathBuf, DatapathError> {
        let next = self.next();
        remove_dir(&next)?;
        make_dir(&next)?;
        Ok(next)
    }

    /// Removes what was being built. What cannot be removed goes when the next begins.
    pub(super) fn remove_next(&self) {
        let _ = remove_dir(&self.next());
    }

    /// What was built becomes what is in force. A crash in between leaves no `live`,
    /// which the next start takes for an unknown one: it rebuilds and replaces
    /// the programs of the links, which work on until then.
    pub(super) fn promote_next(&self) -> Result<(), DatapathError> {
        remove_dir(&self.live())?;
        fs::rename(self.next(), self.live()).map_err(|source| DatapathError::Pins {
            action: "rename",
            path: self.next(),
            source,
        })
    }

    /// Pins of links: path, interface index and hook.
    pub(super) fn link_pins(&self) -> Result<Vec<LinkPin>, DatapathError> {
        let dir = self.links();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => {
                return Err(DatapathError::Pins {
                    action: "list",
                    path: dir,
                    source,
                });
            }
        };
        Ok(entries
            .filter_map(|entry| LinkPin::parse(&entry.ok()?.path()))
            .collect())
    }
}

/// The pin of a link. Its name says what the kernel's link information does not: the
/// network namespace, without which an interface's index means nothing, and the hook.
#[derive(Clone, Debug)]
pub(super) struct LinkPin {
    pub(super) path: PathBuf,
    pub(super) namespace: u64,
    /// The interface's index when it was attached.
    pub(super) ifindex: u32,
    pub(super) hook: Hook,
}

impl LinkPin {
    pub(super) fn new(pins: &Pins, namespace: u64, ifindex: u32, hook: Hook) -> Self {
        let name = format!("{namespace}-{ifindex}-{}", hook.name());
        Self {
            path: pins.links().join(name),
            namespace,
            ifindex,
            hook,
        }
    }

    /// The same with the link's id, for where the name is taken.
    pub(super) fn of_link(&self, id: u64) -> Self {
        let mut path = self.path.clone().into_os_string();
        path.push(format!("-{id}"));
        Self {
            path: path.into(),
            ..*self
        }
    }

    fn parse(path: &Path) -> Option<Self> {
        let mut parts = path.file_name()?.to_str()?.splitn(4, '-');
        let namespace = parts.next()?.parse().ok()?;
        let ifindex = parts.next()?.parse().ok()?;
        let hook = Hook::from_name(parts.next()?)?;
        Some(Self {
            path: path.to_path_buf(),
            namespace,
            ifindex,
            hook,
        })
    }

    pub(super) fn remove(&self) -> Result<(), DatapathError> {
        fs::remove_file(&self.path).map_err(|source| DatapathError::Pins {
            action: "remove",
            path: self.path.clone(),
            source,
        })
    }
}

/// Whether the path, or the nearest of its ancestors that exists, is on a bpffs.
pub(super) fn is_on_bpffs(path: &Path) -> bool {
    path.ancestors()
        .find_map(|ancestor| statfs(ancestor).ok())
        .is_some_and(|stat| stat.f_type == BPF_FS_MAGIC)
}

/// Mounts a bpffs at the usual place if the path belongs there, else at the path.
fn mount_for(path: &Path) -> Result<(), DatapathError> {
    let at = if path.starts_with(SYS_BPFFS) {
        Path::new(SYS_BPFFS)
    } else {
        path
    };
    let failed = |source| DatapathError::NoBpffs {
        path: at.to_path_buf(),
        source,
    };
    fs::create_dir_all(at).map_err(failed)?;
    rustix::mount::mount(
        "bpf",
        at,
        "bpf",
        rustix::mount::MountFlags::empty(),
        Some(c"mode=0700"),
    )
    .map_err(|errno| failed(errno.into()))?;
    tracing::info!(path = %at.display(), "mounted a BPF file system");
    Ok(())
}

fn make_dir(path: &Path) -> Result<(), DatapathError> {
    fs::create_dir_all(path).map_err(|source| DatapathError::Pins {
        action: "create",
        path: path.to_path_buf(),
        source,
    })
}

fn remove_dir(path: &Path) -> Result<(), DatapathError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DatapathError::Pins {
            action: "remove",
            path: path.to_path_buf(),
            source: error,
        }),
        _ => Ok(()),
    }
}
