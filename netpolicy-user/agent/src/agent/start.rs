//! From a configuration to a writer whose kernel enforces what the store says.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Instant;

use tokio::sync::mpsc;

use crate::agent::bans::StoredBans;
use crate::agent::confirm::pending;
use crate::agent::error::AgentError;
use crate::agent::held;
use crate::agent::http::socket::{ListeningSocket, SocketError};
use crate::agent::kernel::EventSource;
use crate::agent::kernel::Kernel;
use crate::agent::upkeep::lock::{self, Lock, LockError};
use crate::agent::writer::{Settings, Writer};
use crate::clock::Clock;
use crate::compiler::Compilation;
use crate::config::{Config, DETACHED_MARKER};
use crate::datapath::{self, DatapathError, Enforced, Links, Opened, Options, Reader, enforced_at};
use crate::detach_marker;
use crate::early;
use crate::selection;
use crate::store::{self, StoreError, begin_without_policy};

/// Why the agent does not start. What is in force stays in force.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another agent has the directories.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// No socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The kernel refuses.
    #[error(transparent)]
    Datapath(#[from] DatapathError),
    /// The store is new, but something is enforced: perhaps it is the wrong one.
    #[error(
        "the state in {} is empty, but the pins in {} enforce revision {revision} of another: \
         starting would open the host to every source",
        state_dir.display(), bpffs_dir.display()
    )]
    StateLost {
        /// Where the state was looked for.
        state_dir: PathBuf,
        /// What enforces.
        bpffs_dir: PathBuf,
        /// What is in force.
        revision: u64,
    },
    /// The kernel cannot be taken over.
    #[error(transparent)]
    Kernel(#[from] AgentError),
}

impl StartError {
    /// What to do about it, where one sentence helps.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Lock(e) => e.hint().map(str::to_owned),
            Self::Socket(_) => None,
            Self::Store(e) => e.hint().map(str::to_owned),
            Self::Datapath(e) => e.hint(),
            Self::StateLost { .. } => Some(
                concat!(
                    "restore a backup with `netpolicy restore FILE`, or name the right directory \
                     (NETPOLICY_STATE_DIR); ",
                    begin_without_policy!()
                )
                .to_owned(),
            ),
            Self::Kernel(e) => e.hint(),
        }
    }
}

/// What only one agent can have.
#[derive(Debug)]
pub struct Exclusive {
    /// Listens; connections wait until they are served.
    pub socket: ListeningSocket,
    /// Held as long as the agent runs.
    pub locks: [Lock; 2],
}

/// Claims directories and socket. To be called on a tokio runtime.
///
/// # Errors
/// Another agent has them, or the system refuses.
pub fn claim(config: &Config) -> Result<Exclusive, StartError> {
    // Before anything else, so that a user other than root gets this error and none about files.
    datapath::check_system()?;
    let state = lock::state(&config.state_dir)?;
    // A lock taken before the file system is mounted would lock another directory.
    datapath::prepare_dir(&config.bpffs_dir, config.bpffs)?;
    let pins = lock::pins(&config.bpffs_dir)?;
    let socket = ListeningSocket::bind(&config.socket)?;
    Ok(Exclusive {
        socket,
        locks: [state, pins],
    })
}

/// Reads the store, compiles, and makes the kernel enforce it, taking over what is
/// pinned; the writer, and the program's links. `guard`: see [`Settings::guard`]. Takes
/// seconds for millions of rules.
///
/// # Errors
/// The store cannot be read, or the kernel refuses.
pub fn start(
    config: &Config,
    sources: mpsc::UnboundedSender<Box<dyn EventSource>>,
    guard: Option<&[OsString]>,
) -> Result<(Writer, Links), StartError> {
    let begun = Instant::now();
    let options = Options {
        bpffs_dir: config.bpffs_dir.clone(),
        hook: config.hook,
        engine: config.engine,
        keep: false,
        bans: None,
        keep_bans: false,
    };
    let was_filtering = is_filtering(config);
    attach_first(config, &options)?;
    let clock = Clock::system();
    let mut store = store::open(&config.state_dir, clock.clone())?;
    let stored = store.load()?;
    let mut compiled = Compilation::new(&stored.state);
    let found = stored.revision;
    let found_in_force = in_force(config);
    let mut held = held::at_start(
        &mut *store,
        &stored,
        &compiled.ruleset().digest(),
        found_in_force.as_ref(),
    )?;
    // A rollback would make an older store as new as what is in force.
    let stored = match held {
        Some(_) => stored,
        None => pending::at_start(&mut *store, stored, &clock)?,
    };
    if stored.revision != found {
        compiled = Compilation::new(&stored.state);
    }
    tracing::info!(
        revision = stored.revision,
        policies = stored.state.policies.len(),
        rules = stored.state.rule_count(),
        "state loaded"
    );
    let ruleset = compiled.ruleset();
    if stored.revision == 0 && was_filtering {
        refuse_to_open(config, &ruleset.digest())?;
    }
    let mut bans = StoredBans::read(&mut *store, &stored, &clock)?;
    tracing::info!(bans = bans.len(), "bans loaded");
    let options = Options {
        keep: held.is_some_and(|held| held.keeps),
        bans: Some(bans.lists(&stored.state)),
        // Of an older store some may have been ended since: those in force stay.
        keep_bans: held.is_some(),
        ..options
    };
    let (kernel, opened) = Kernel::open(options, config.bpffs, ruleset, stored.revision)?;
    match opened {
        Opened::Adopted => tracing::info!("took over what was in force, untouched"),
        Opened::Updated => {
            let was = found_in_force.map(|enforced| (enforced.revision, enforced.digest));
            let head = early::head(&config.state_dir).ok();
            match was
                .zip(head)
                .filter(|((_, digest), head)| *digest == head.digest)
            {
                Some(((snapshot, _), _)) => tracing::warn!(
                    snapshot,
                    store = stored.revision,
                    "took over; the ruleset of the snapshot was in force, replaced by the store's"
                ),
                None => tracing::warn!("took over; another ruleset was in force, replaced"),
            }
        }
        Opened::Upgraded => tracing::info!("took over; the program was replaced by this version's"),
        Opened::Installed(why) => {
            tracing::info!("installed: {why}");
            // Nothing was left to be kept.
            if let Some(held) = &mut held {
                held.keeps = false;
            }
        }
    }
    let is_restored = stored.restored;
    match held {
        Some(held) => tracing::error!("{}", held.in_words(stored.revision)),
        // Not before the kernel enforces it: an agent that is killed until here finds the
        // same again.
        None => match store.adopt() {
            // What was restored would be put in force by every start.
            Err(error) if is_restored => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "it could not be noted that this store is in use"),
            Ok(()) => {}
        },
    }
    let settings = Settings {
        interfaces: config.interfaces.clone(),
        limits: config.limits,
        verify_interval: config.verify_interval,
        marker: config.state_dir.join(DETACHED_MARKER),
        fleet_file: config.fleet_file.clone(),
        clock,
        never_banned: config.bans.never_banned(),
        ban_burst: config.bans.burst,
        guard: guard.map(<[_]>::to_vec),
    };
    let links = kernel.held_links();
    let kernel = Box::new(kernel);
    let mut writer = Writer::new(kernel, store, (stored, bans), compiled, settings, sources);
    writer.hold(held);
    writer.take_over()?;
    let took_ms = begun.elapsed().as_millis();
    let snapshot = writer.published().borrow().clone();
    if snapshot.detached.is_none() && !snapshot.interfaces.is_empty() {
        tracing::info!(took_ms, "in force; {}", snapshot.filtering());
    } else {
        tracing::warn!(took_ms, "in force nowhere: {}", snapshot.filtering());
    }
    Ok((writer, links))
}

/// Interfaces that lost their link while no agent ran, or came meanwhile, are filtered by
/// what is pinned, which was last in force: reading the store and compiling it may take
/// seconds.
fn attach_first(config: &Config, options: &Options) -> Result<(), DatapathError> {
    let marker = config.state_dir.join(DETACHED_MARKER);
    if detach_marker::read(&marker).is_some() {
        return Ok(());
    }
    let selected = selection::selected(&config.interfaces);
    let selected = selected.map_err(|source| DatapathError::System {
        call: "listing the interfaces",
        source,
    })?;
    let instead = |unfiltered: &[String]| selected.instead_of(unfiltered);
    for (interface, error) in datapath::attach_pinned(options, &selected.names, &instead)? {
        match error {
            None => tracing::info!(interface, "filtered by what was pinned, for now"),
            // It is tried again, and told, once the ruleset is in force.
            Some(error) => tracing::debug!(interface, %error, "not attached yet"),
        }
    }
    if detach_marker::read(&marker).is_some() {
        // The operator was faster.
        datapath::detach_pins(&config.bpffs_dir)?;
    }
    Ok(())
}

/// What is in force. What cannot be read is in force no longer; opening it says what is wrong.
fn in_force(config: &Config) -> Option<Enforced> {
    let enforced = enforced_at(&config.bpffs_dir).ok()?;
    (enforced.generation > 0).then_some(enforced)
}

/// Whether what is pinned is attached to any interface. What cannot be read is not known to
/// filter; opening it says what is wrong.
fn is_filtering(config: &Config) -> bool {
    let interfaces = Reader::open(&config.bpffs_dir).and_then(|reader| reader.interfaces());
    interfaces.is_ok_and(|interfaces| !interfaces.is_empty())
}

/// An empty state takes the place of nothing that filters: a directory that is mistyped
/// or not mounted would open the host without a word.
fn refuse_to_open(config: &Config, empty: &[u8; 32]) -> Result<(), StartError> {
    // What cannot be read is not known to filter; opening it says what is wrong.
    let Ok(enforced) = enforced_at(&config.bpffs_dir) else {
        return Ok(());
    };
    if enforced.revision == 0 || enforced.digest == *empty {
        return Ok(());
    }
    Err(StartError::StateLost {
        state_dir: config.state_dir.clone(),
        bpffs_dir: config.bpffs_dir.clone(),
        revision: enforced.revision,
    })
}
