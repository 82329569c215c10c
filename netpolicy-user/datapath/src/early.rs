//! The last confirmed ruleset as a compiled snapshot: written behind each change, and in force
//! again at boot before there is a store, an agent or a network.
//!
//! The file is in the state directory, with that of the bans next to it. It holds no bypasses; what it is worth is said by
//! [`datapath::ImageReader`]. The agent that starts later takes over what it finds, and replaces
//! what is older than its store.

pub mod bans;

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::compiler::Ruleset;
use crate::config::{Config, DETACHED_MARKER, EngineChoice};
use crate::datapath::{
    self, DatapathError, ImageError, ImageHead, ImageOrigin, ImageReader, Options, PinnedBuild,
};
use crate::detach_marker;
use crate::selection;

/// The file's name in the state directory.
const FILE: &str = "early.snapshot";

/// What is being written, until it is whole.
const DRAFT: &str = "early.snapshot.new";

/// What tells this installation of an operating system from others; machine-id(5).
const MACHINE_ID: &str = "/etc/machine-id";

/// Separates this use of the machine's id, which is not to be handed on as it is.
const CONTEXT: &str = "netpolicy 2026-11-30 host of a snapshot";

/// Bytes that are written at once.
const BUFFER: usize = 1 << 20;

/// Why nothing is in force by the snapshot.
#[derive(Debug, thiserror::Error)]
pub enum EarlyError {
    /// The snapshot cannot be used.
    #[error("the snapshot {} is not used: {source}", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<ImageError>,
    },
    /// The interfaces cannot be listed.
    #[error("the interfaces cannot be listed")]
    Interfaces(#[source] io::Error),
    /// The kernel refuses.
    #[error(transparent)]
    Datapath(#[from] DatapathError),
}

impl EarlyError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Snapshot { source, .. } => match source.as_ref() {
                ImageError::Kernel(error) => error.hint(),
                _ => Some(
                    "nothing has to be done: the agent reads its store instead, which takes longer, \
                     and writes another snapshot"
                        .to_owned(),
                ),
            },
            Self::Interfaces(_) => None,
            Self::Datapath(error) => error.hint(),
        }
    }
}

/// What [`enforce`] did.
#[derive(Debug)]
pub enum Early {
    /// The snapshot is in force; with each interface its failure, if it is not filtered.
    InForce(ImageHead, Vec<(String, Option<DatapathError>)>),
    /// The detach marker is there: nothing is filtered, in these words.
    Detached(String),
    /// Something is pinned already, which may be newer.
    Pinned,
    /// No snapshot was written yet.
    NoSnapshot,
    /// The engine of the configuration has none.
    NoneForEngine,
}

/// The snapshot in a state directory.
#[must_use]
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// Tells this host from others. All without an id are one.
#[must_use]
pub fn this_host() -> [u8; 32] {
    let id = fs::read_to_string(MACHINE_ID).unwrap_or_default();
    blake3::derive_key(CONTEXT, id.trim().as_bytes())
}

/// What the snapshot of a state directory says of itself; its digest is not checked.
///
/// # Errors
/// There is none, or it is not for this host and version.
pub fn head(state_dir: &Path) -> Result<ImageHead, ImageError> {
    let image = ImageReader::open(&path(state_dir), &this_host())?;
    Ok(image.head().clone())
}

/// What a snapshot says of itself, all of which was read; `None`: it is not of use.
#[must_use]
pub fn checked_head(state_dir: &Path) -> Option<ImageHead> {
    let mut image = ImageReader::open(&path(state_dir), &this_host()).ok()?;
    image.check().ok()?;
    Some(image.head().clone())
}

/// Makes the directory of the pins, which the caller locks then.
///
/// # Errors
/// Not permitted, or no BPF file system that outlives this process.
pub fn prepare(config: &Config) -> Result<(), EarlyError> {
    datapath::prepare_dir(&config.bpffs_dir, config.bpffs)?;
    Ok(())
}

/// Puts the snapshot in force and attaches to the configured interfaces, unless anything is
/// pinned, or the operator detached. The caller holds the lock of the pins.
///
/// # Errors
/// The snapshot cannot be used, or the kernel refuses. Nothing has changed.
pub fn enforce(config: &Config) -> Result<Early, EarlyError> {
    let marker = config.state_dir.join(DETACHED_MARKER);
    if let Some(detached) = detach_marker::read(&marker) {
        return Ok(Early::Detached(detached.in_words()));
    }
    if datapath::pinned_build(&config.bpffs_dir) != PinnedBuild::None {
        return Ok(Early::Pinned);
    }
    if config.engine != EngineChoice::Flat {
        return Ok(Early::NoneForEngine);
    }
    let path = path(&config.state_dir);
    let failed = |source| EarlyError::Snapshot {
        path: path.clone(),
        source: Box::new(source),
    };
    let image = match ImageReader::open(&path, &this_host()) {
        Err(ImageError::Read(error)) if error.kind() == ErrorKind::NotFound => {
            return Ok(Early::NoSnapshot);
        }
        image => image.map_err(failed)?,
    };
    let selected = selection::selected(&config.interfaces).map_err(EarlyError::Interfaces)?;
    let options = Options {
        bpffs_dir: config.bpffs_dir.clone(),
        hook: config.hook,
        engine: config.engine,
        keep: false,
        // Without them the snapshot is better than nothing.
        bans: bans::read(&config.state_dir, wall_ms()).map(Arc::new),
        keep_bans: false,
    };
    let head = image.head().clone();
    let instead = |unfiltered: &[String]| selected.instead_of(unfiltered);
    let attached = datapath::enforce_image(&options, image, &selected.names, &instead);
    let attached = attached.map_err(failed)?;
    if let Some(detached) = detach_marker::read(&marker) {
        // The operator was faster.
        datapath::detach_pins(&config.bpffs_dir)?;
        return Ok(Early::Detached(detached.in_words()));
    }
    Ok(Early::InForce(head, attached))
}

/// The wall clock, milliseconds since 1970.
fn wall_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Writes the snapshot of a ruleset, whole or not at all. `written`: seconds since 1970.
///
/// # Errors
/// The file cannot be written. The former one is as it was.
pub fn write(state_dir: &Path, ruleset: &Ruleset, revision: u64, written: i64) -> io::Result<()> {
    let draft = state_dir.join(DRAFT);
    let origin = ImageOrigin {
        revision,
        host: this_host(),
        written,
    };
    let done = write_draft(&draft, ruleset, &origin).and_then(|()| {
        fs::rename(&draft, path(state_dir))?;
        File::open(state_dir)?.sync_all()
    });
    if done.is_err() {
        // On a full disk it would be in the store's way.
        let _ = fs::remove_file(&draft);
    }
    done
}

fn write_draft(draft: &Path, ruleset: &Ruleset, origin: &ImageOrigin) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut out = BufWriter::with_capacity(BUFFER, options.open(draft)?);
    datapath::write_image(ruleset, origin, &mut out)?;
    out.flush()?;
    out.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()
}

/// Removes the snapshot, if there is one: what it holds is not to be in force at the next boot.
///
/// # Errors
/// It cannot be removed.
pub fn remove(state_dir: &Path) -> io::Result<()> {
    match fs::remove_file(path(state_dir)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
