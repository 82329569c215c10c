//! What root can do without an agent: read what the kernel enforces, and use the kill
//! switch.
//!
//! The command line's only way to the datapath. Changes nothing but links and the
//! [marker](DETACHED_MARKER).

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use ipnet::IpNet;
use jiff::Timestamp;
use netpolicy_common::{Action, HOST_SCOPE};

use crate::{
    api::{
        Cause, CounterRow, Counters, Enforcement, EnforcementState, EngineName, KernelVerdict,
        PacketAction, ProbeView, Status,
    },
    arrival::Origin,
    clock::Clock,
    compiler::{self, Doors, Exempt, compile},
    config::{Config, DETACHED_MARKER},
    datapath::{
        CounterSnapshot, DatapathError, Reader, counters_at, detach_pins, packet, program_name,
        running,
    },
    detach_marker::{self, Unrecorded},
    exposure,
    model::{Bypass, State},
    netdev::Netdevs,
    selection::may_be_unfiltered,
};

/// The port that stands for "a port of no service and not failsafe" when asking the
/// program: 0 is never either.
const NO_PORT: u16 = 0;

/// The message in a network namespace whose interfaces are not those that the pins filter.
const ELSEWHERE: &str = "what is pinned filters interfaces of another network namespace: repeat \
                         the command there (`nsenter --net=/run/netns/NAME`)";

/// What the pins say, and the interfaces. What they should say is not known here, so a
/// configured interface that is not filtered is known only as one of the others.
///
/// Where the pins cannot be read, it still reports which interfaces run a program of
/// netpolicy's name. `unasked`: why the agent was not queried.
///
/// # Errors
/// Nothing can be read and nothing is filtered, or not permitted to look.
pub fn status(config: &Config, unasked: Vec<String>) -> anyhow::Result<Status> {
    let Config {
        bpffs_dir,
        state_dir,
        ..
    } = config;
    let reader = match Reader::open(bpffs_dir) {
        Ok(reader) => reader,
        Err(error) => return without_pins(error, unasked),
    };
    let enforced = reader.enforced()?;
    let attached = reader.interfaces()?;
    let mut faults = unasked;
    let is_attached = attached.iter().any(|i| i.is_here);
    let detached = detach_marker::read(&marker(state_dir)).filter(|_| attached.is_empty());
    let state = match &detached {
        Some(detached) => {
            faults.push(detached.in_words());
            EnforcementState::Detached
        }
        None if is_attached => EnforcementState::Attached,
        None if !attached.is_empty() => {
            faults.push(ELSEWHERE.to_owned());
            EnforcementState::NotAttached
        }
        None => {
            faults.push("the program is attached to no interface: nothing is filtered".to_owned());
            EnforcementState::NotAttached
        }
    };
    let devices = Netdevs::open().and_then(|mut netdevs| netdevs.all())?;
    let others = exposure::others(&devices, &attached, &[], |device| {
        may_be_unfiltered(config, device)
    });
    let interfaces: Vec<_> = attached.into_iter().map(exposure::interface).collect();
    if state == EnforcementState::Attached {
        faults.extend(exposure::faults(&others));
        faults.extend(exposure::overtaken(&interfaces));
    }
    Ok(Status {
        agent: None,
        enforcement: Enforcement {
            state,
            detached,
            engine: enforced.engine.map(EngineName::from),
            generation: enforced.generation,
            revision: enforced.revision,
            digest: hex(&enforced.digest),
            entries: enforced.entries,
            abi: enforced.abi,
            interfaces,
            others,
        },
        faults,
    })
}

/// What interfaces say when the pins do not: they may have been removed or unmounted while
/// an agent holds the links, or be those of another version.
fn without_pins(error: DatapathError, unasked: Vec<String>) -> anyhow::Result<Status> {
    let devices = Netdevs::open().and_then(|mut netdevs| netdevs.all());
    let devices = devices.unwrap_or_default();
    let found = exposure::running(&devices, running, |id| {
        program_name(id).is_some_and(|name| name.starts_with("netpolicy"))
    });
    if found.is_empty() {
        return Err(error.into());
    }
    let mut faults = unasked;
    faults.push(format!(
        "what is in force cannot be read: {}",
        chain(&error)
    ));
    faults.extend(found.iter().map(|(interface, program)| {
        format!(
            "interface {} runs program {program} of netpolicy: it is filtered, by rules that \
             cannot be read",
            interface.name
        )
    }));
    Ok(Status {
        agent: None,
        enforcement: Enforcement {
            state: EnforcementState::Unknown,
            detached: None,
            engine: None,
            generation: 0,
            revision: 0,
            digest: String::new(),
            entries: 0,
            abi: netpolicy_common::ABI_VERSION,
            interfaces: found.into_iter().map(|(i, _)| i).collect(),
            others: Vec::new(),
        },
        faults,
    })
}

/// The networks of this host's interfaces, each with its interface's name; none where the
/// kernel cannot be queried.
#[must_use]
pub fn own_networks() -> Vec<(IpNet, String)> {
    let devices = Netdevs::open().and_then(|mut netdevs| netdevs.all());
    exposure::own_networks(&devices.unwrap_or_default())
}

fn chain(error: &DatapathError) -> String {
    use std::error::Error;
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

/// The program's counters; services appear by their scope's number.
///
/// # Errors
/// Nothing is pinned, or not permitted to look.
pub fn counters(bpffs_dir: &Path) -> anyhow::Result<Counters> {
    let CounterSnapshot {
        rows,
        events,
        resets,
        since,
    } = counters_at(bpffs_dir)?;
    let rows = rows
        .into_iter()
        .map(|(scope, reason, packets)| CounterRow {
            scope: if scope == HOST_SCOPE {
                "host".to_owned()
            } else {
                format!("scope {scope}")
            },
            reason: reason.into(),
            action: reason.action().into(),
            packets,
            // Services may have come later; without the agent that is not known.
            since: since
                .filter(|_| scope == HOST_SCOPE)
                .and_then(|since| since.try_into().ok()),
        })
        .collect();
    Ok(Counters {
        rows,
        events_sent: events.sent,
        events_limited: events.limited,
        events_overflowed: events.overflowed,
        resets_sent: resets.sent,
        resets_limited: resets.limited,
        resets_withheld: resets.withheld,
        recent: None,
    })
}

/// Asks the loaded program about a SYN from `source`, and whether it is attached where
/// `origin` says that the source arrives.
///
/// # Errors
/// Nothing is pinned, not permitted, or the kernel refuses to run the program.
pub fn explain(
    bpffs_dir: &Path,
    state_dir: &Path,
    source: IpAddr,
    port: Option<u16>,
    origin: &Origin,
) -> anyhow::Result<ProbeView> {
    let reader = Reader::open(bpffs_dir)?;
    let frame = packet::syn(source, port.unwrap_or(NO_PORT));
    let (action, reason) = reader.probe(&frame)?;
    let interfaces = reader.interfaces()?;
    let here = interfaces.iter().filter(|i| i.is_here);
    let attached: Vec<u32> = here.map(|i| i.index).collect();
    let filtering = origin.filtering(&attached);
    let detached = detach_marker::read(&marker(state_dir)).filter(|_| interfaces.is_empty());
    let elsewhere = attached.is_empty() && !interfaces.is_empty();
    let unfiltered = match (detached, filtering.unfiltered) {
        (Some(detached), _) => Some(detached.in_words()),
        (None, Some(why)) if elsewhere => Some(format!("{why}; {ELSEWHERE}")),
        (None, why) => why,
    };
    let observed = reason.is_denial() && action == Action::Pass;
    let kernel = KernelVerdict {
        verdict: action.into(),
        reason: reason.into(),
    };
    Ok(ProbeView {
        interface: filtering.interface,
        arrival: filtering.arrival,
        enforced: unfiltered.is_none() && !observed,
        verdict: match unfiltered {
            Some(_) => PacketAction::Pass,
            None => kernel.verdict,
        },
        reason: match unfiltered {
            Some(_) => Cause::NotFiltered,
            None => kernel.reason,
        },
        sentence: unfiltered,
        kernel,
    })
}

/// What the rules of a state and its bypasses open to every source against what is in force in
/// the kernel; `None`: nothing is in force.
///
/// # Errors
/// What is in force cannot be read.
pub fn openings(
    bpffs_dir: &Path,
    state: &State,
    bypasses: &[Bypass],
) -> anyhow::Result<Option<Vec<crate::api::Opening>>> {
    let in_force = match Reader::open(bpffs_dir) {
        Err(DatapathError::NothingPinned { .. }) => return Ok(None),
        reader => reader?.in_force()?,
    };
    let old = Doors {
        rules: &in_force.rules,
        exempt: &Exempt::new(&in_force.bypasses),
    };
    let new = Doors {
        rules: &compile(state),
        exempt: &Exempt::at(bypasses, state, Clock::system().now()),
    };
    Ok(Some(compiler::openings(old, new)))
}

/// The kill switch: leaves the marker, then removes every link. Returns the names
/// of the interfaces that were filtered.
///
/// # Errors
/// A link cannot be removed; or the marker cannot be written: then it is detached, but
/// only until an agent looks again.
pub fn detach(bpffs_dir: &Path, state_dir: &Path) -> anyhow::Result<Vec<String>> {
    let marker = marker(state_dir);
    // First, so that an agent does not attach again what is being detached.
    let marked = fs::create_dir_all(state_dir)
        .and_then(|()| detach_marker::write(&marker, &actor(), Timestamp::now()));
    let names = detach_pins(bpffs_dir)?;
    marked.with_context(|| {
        format!(
            "detached, but an agent will attach again: cannot write {}",
            marker.display()
        )
    })?;
    leave_unrecorded(&marker, "detach");
    Ok(names)
}

/// Whether agents are kept from attaching.
#[must_use]
pub fn is_detached(state_dir: &Path) -> bool {
    detach_marker::read(&state_dir.join(DETACHED_MARKER)).is_some()
}

/// Lets agents attach again.
///
/// # Errors
/// The marker cannot be removed.
pub fn clear_marker(state_dir: &Path) -> anyhow::Result<()> {
    let marker = marker(state_dir);
    let was_there = detach_marker::read(&marker).is_some();
    detach_marker::remove(&marker)
        .with_context(|| format!("cannot remove {}", marker.display()))?;
    if was_there {
        leave_unrecorded(&marker, "attach");
    }
    Ok(())
}

/// For the audit log of the next agent. On a full disk it is left out: that must not keep
/// anyone from detaching.
fn leave_unrecorded(marker: &Path, action: &str) {
    let action = Unrecorded {
        action: action.to_owned(),
        actor: actor(),
        uid: rustix::process::geteuid().as_raw(),
        time: Timestamp::now(),
    };
    if let Err(error) = detach_marker::leave_unrecorded(marker, &action) {
        tracing::warn!(%error, "it will not be in the audit log");
    }
}

/// The name of the user that this process runs as.
fn actor() -> String {
    let uid = nix::unistd::geteuid();
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {uid}"),
    }
}

fn marker(state_dir: &Path) -> PathBuf {
    state_dir.join(DETACHED_MARKER)
}

fn hex(digest: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detach_removes_links_even_if_the_marker_cannot_be_written() {
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
    fn digest_is_printed_as_hexadecimal() {
        assert_eq!(hex(&[0xab; 32]), "ab".repeat(32));
    }
}
