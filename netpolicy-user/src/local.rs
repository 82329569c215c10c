//! What can be done as root without an agent: look at what the kernel enforces, and
//! pull the emergency brake.
//!
//! The command line's only way to the datapath. Changes nothing but links and the
//! [marker](DETACHED_MARKER).

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use netpolicy_common::{Action, HOST_SCOPE};

use crate::{
    api::{CounterRow, Counters, Enforcement, EnforcementState, Interface, KernelVerdict, Status},
    config::DETACHED_MARKER,
    datapath::{CounterSnapshot, Reader, detach_pins, packet},
};

/// The port that stands for "a port of no service and not failsafe" when asking the
/// program: 0 is never either.
const NO_PORT: u16 = 0;

/// What the pins say. There is nobody to tell what they should say, so an interface
/// that is missing goes unnoticed.
///
/// # Errors
/// Nothing is pinned, or not permitted to look.
pub fn status(bpffs_dir: &Path) -> anyhow::Result<Status> {
    let reader = Reader::open(bpffs_dir)?;
    let enforced = reader.enforced()?;
    let interfaces: Vec<Interface> = reader
        .interfaces()?
        .into_iter()
        .map(|attached| Interface {
            name: attached.name,
            index: attached.index,
            attachment: attached.attachment,
        })
        .collect();
    let mut faults = vec!["no agent answers: changes and repairs wait for one".to_owned()];
    let state = if interfaces.is_empty() {
        faults.push("the program is attached to no interface: nothing is filtered".to_owned());
        EnforcementState::NotAttached
    } else {
        EnforcementState::Attached
    };
    Ok(Status {
        agent: None,
        enforcement: Enforcement {
            state,
            engine: enforced.engine.to_owned(),
            generation: enforced.generation,
            revision: enforced.revision,
            digest: hex(&enforced.digest),
            entries: enforced.entries,
            abi: enforced.abi,
            interfaces,
        },
        faults,
    })
}

/// The program's counters; services appear by their scope's number.
///
/// # Errors
/// Nothing is pinned, or not permitted to look.
pub fn counters(bpffs_dir: &Path) -> anyhow::Result<Counters> {
    let CounterSnapshot { rows, events } = Reader::open(bpffs_dir)?.counters();
    let rows = rows
        .into_iter()
        .map(|(scope, reason, packets)| CounterRow {
            scope: if scope == HOST_SCOPE {
                "host".to_owned()
            } else {
                format!("scope {scope}")
            },
            reason: reason.name().to_owned(),
            action: action_name(reason.action()).to_owned(),
            packets,
        })
        .collect();
    Ok(Counters {
        rows,
        events_sent: events.sent,
        events_limited: events.limited,
        events_overflowed: events.overflowed,
    })
}

/// Asks the loaded program about a SYN from `source`.
///
/// # Errors
/// Nothing is pinned, not permitted, or the kernel refuses to run the program.
pub fn probe(bpffs_dir: &Path, source: IpAddr, port: Option<u16>) -> anyhow::Result<KernelVerdict> {
    let frame = packet::syn(source, port.unwrap_or(NO_PORT));
    let (action, reason) = Reader::open(bpffs_dir)?.probe(&frame)?;
    Ok(KernelVerdict {
        verdict: action_name(action).to_owned(),
        reason: reason.name().to_owned(),
    })
}

/// The emergency brake: leaves the marker, then removes every link. Returns the names
/// of the interfaces that were filtered.
///
/// # Errors
/// A link cannot be removed; or the marker cannot be written: then it is detached, but
/// only until an agent looks again.
pub fn detach(bpffs_dir: &Path, state_dir: &Path) -> anyhow::Result<Vec<String>> {
    // First, so that an agent does not attach again what is being detached.
    let marked = set_marker(state_dir);
    let names = detach_pins(bpffs_dir)?;
    marked.context("detached, but an agent will attach again")?;
    Ok(names)
}

/// Keeps agents from attaching.
///
/// # Errors
/// The state directory cannot be written.
pub fn set_marker(state_dir: &Path) -> anyhow::Result<()> {
    let path = marker(state_dir);
    fs::create_dir_all(state_dir)
        // Its being there is what counts: text would find no room on a full disk.
        .and_then(|()| fs::File::create(&path).map(drop))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Lets agents attach again.
///
/// # Errors
/// The marker cannot be removed.
pub fn attach_marker_clear(state_dir: &Path) -> anyhow::Result<()> {
    let path = marker(state_dir);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Whether agents are kept from attaching.
#[must_use]
pub fn is_detached(state_dir: &Path) -> bool {
    marker(state_dir).exists()
}

fn marker(state_dir: &Path) -> PathBuf {
    state_dir.join(DETACHED_MARKER)
}

fn action_name(action: Action) -> &'static str {
    match action {
        Action::Pass => "pass",
        Action::Drop => "drop",
    }
}

fn hex(digest: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_stays_until_it_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        assert!(!is_detached(&state));
        attach_marker_clear(&state).unwrap();
        set_marker(&state).unwrap();
        set_marker(&state).unwrap();
        assert!(is_detached(&state));
        attach_marker_clear(&state).unwrap();
        assert!(!is_detached(&state));
    }

    #[test]
    fn the_brake_is_pulled_even_if_the_marker_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let links = dir.path().join("links");
        fs::create_dir(&links).unwrap();
        let pin = links.join("1-4294967295-native");
        fs::write(&pin, "").unwrap();
        let error = detach(dir.path(), &pin.join("state")).unwrap_err();
        assert!(
            format!("{error:#}").starts_with("detached, but an agent will attach again: cannot"),
            "{error:#}"
        );
        assert!(!pin.exists());
    }

    #[test]
    fn a_digest_prints_as_hexadecimal() {
        assert_eq!(hex(&[0xab; 32]), "ab".repeat(32));
    }
}
