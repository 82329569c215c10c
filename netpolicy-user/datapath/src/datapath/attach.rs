//! Which interfaces the program is attached to.
//!
//! An attachment is what the interface says: the id of its XDP program (`RTM_GETLINK`), its tcx
//! chain (`BPF_PROG_QUERY`) or its filters, together with the link's own interface. A pin's name
//! does not prove it: the
//! interface may have moved to another network namespace, and another of its name and
//! index may have come.

use nix::errno::Errno;
use std::io;

use super::{
    DatapathError, Hook, LinkLayer, device, hook,
    pins::{LinkPin, Pins},
    program::program_name,
    sys::{
        self,
        link::{self, Kind},
    },
    tie::{Tie, TieInfo, Vantage},
};
use crate::{
    config::HookChoice,
    netdev::{Device, Netdevs},
};

/// An interface that the program is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedInterface {
    /// Its name; of one in another network namespace only what is known of it.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Whether it is in the calling thread's network namespace.
    pub is_here: bool,
    /// Where it is attached.
    pub hook: Hook,
    /// Id of the attached program.
    pub program: u32,
    /// Programs before it at tc ingress, each by name and id: what they accept is not judged.
    pub ahead: Vec<String>,
    /// What its frames begin with; `None`: that is not known, as of one in another network
    /// namespace.
    pub link_layer: Option<LinkLayer>,
    /// Why it is attached at this hook; empty: not known.
    pub reason: String,
    /// Offloads that attaching changed, where this process attached.
    pub offloads: Vec<String>,
    /// Why denied attempts are not answered here; `None`: they can be.
    pub unanswered: Option<&'static str>,
}

/// A link, and where its pin says that it was attached.
pub(super) struct Link {
    pub(super) info: TieInfo,
    pub(super) hook: Hook,
    /// Why it is at none of the hooks that were tried before.
    pub(super) refused: Option<String>,
    pub(super) offloads: Vec<String>,
}

/// Where on an interface a link of this namespace attaches its program, and what runs before it
/// there; `None`: it is another interface, or the link has ended.
pub(super) fn found_on(
    device: &Device,
    info: &TieInfo,
    netdevs: &mut Netdevs,
) -> Option<(Hook, Vec<String>)> {
    if info.ifindex != device.index || !info.may_be_here {
        return None;
    }
    if info.kind == Kind::Xdp {
        return Some((device.runs(info.program)?.into(), Vec::new()));
    }
    // In the order in which they run: the tcx chain, then filters.
    let chain = link::chain(device.index).unwrap_or_default();
    let in_chain: Vec<u32> = chain.iter().map(|entry| entry.program).collect();
    if !info.is_filter {
        let at = chain.iter().position(|e| u64::from(e.link) == info.id)?;
        return Some((Hook::Tcx, ahead(&in_chain[..at])));
    }
    let filters = netdevs.filters(device.index).ok()?;
    let at = filters.iter().position(|filter| filter.is_ours)?;
    let mut before = ahead(&in_chain);
    for filter in &filters[..at] {
        match filter.kind.as_str() {
            "bpf" => before.extend(ahead(&[filter.program])),
            kind => before.push(format!("a filter of kind {kind}")),
        }
    }
    Some((Hook::Clsact, before))
}

/// Of the programs before ours those that may end the chain, by name and id: not those of another
/// agent's.
fn ahead(programs: &[u32]) -> Vec<String> {
    let named = programs.iter().map(|id| {
        let name = program_name(*id).unwrap_or_default();
        (name, id)
    });
    named
        .filter(|(name, _)| !name.starts_with("netpolicy_tc"))
        .map(|(name, id)| match name.as_str() {
            "" => format!("a program without a name (id {id})"),
            name => format!("{name} (id {id})"),
        })
        .collect()
}

/// The programs at an interface of this thread's network namespace, by id: of XDP, of the tcx
/// chain, and of filters.
#[must_use]
pub fn running(device: &Device) -> Vec<(Hook, u32)> {
    let xdp = device.xdp.iter().map(|xdp| (xdp.mode.into(), xdp.program));
    let chain = link::chain(device.index).unwrap_or_default();
    let tcx = chain.iter().map(|entry| (Hook::Tcx, entry.program));
    let filters = Netdevs::open().and_then(|mut netdevs| netdevs.filters(device.index));
    let filters = filters.unwrap_or_default().into_iter();
    let filters = filters.map(|filter| (Hook::Clsact, filter.program));
    xdp.chain(tcx).chain(filters).collect()
}

/// The interfaces behind links, sorted by index. Links whose interface is gone are left
/// out.
pub(super) fn behind(
    links: &[Link],
    choice: Option<HookChoice>,
    netdevs: &mut Netdevs,
) -> Result<Vec<AttachedInterface>, DatapathError> {
    let mut interfaces: Vec<AttachedInterface> = Vec::new();
    for link in links {
        let Link { info, hook, .. } = link;
        if info.ifindex == 0 {
            continue;
        }
        let device = netdevs.by_index(info.ifindex).map_err(asking)?;
        let here = device.and_then(|device| {
            let (hook, ahead) = found_on(&device, info, netdevs)?;
            // Two links may say the same index, each of its own namespace; and the same
            // program may be at two hooks while one replaces the other.
            let same = |i: &&AttachedInterface| i.is_here && i.index == info.ifindex;
            let is_taken = interfaces.iter().any(|i| same(&i) && i.hook == hook);
            (!is_taken).then_some((device, hook, ahead))
        });
        interfaces.push(match here {
            Some((device, hook, ahead)) => AttachedInterface {
                reason: hook::reason(
                    choice,
                    &netdevs.driver(&device),
                    hook,
                    link.refused.as_deref(),
                ),
                unanswered: hook::unanswered(&netdevs.driver(&device), hook),
                link_layer: device::link_layer(&device).ok(),
                name: device.name,
                index: info.ifindex,
                is_here: true,
                hook,
                program: info.program,
                ahead,
                offloads: link.offloads.clone(),
            },
            None => AttachedInterface {
                name: format!("index {} of another network namespace", info.ifindex),
                index: info.ifindex,
                is_here: false,
                hook: *hook,
                program: info.program,
                ahead: Vec::new(),
                link_layer: None,
                reason: String::new(),
                offloads: Vec::new(),
                unanswered: Some("it is in another network namespace"),
            },
        });
    }
    interfaces.sort_by_key(|interface| (interface.index, !interface.is_here));
    Ok(interfaces)
}

/// The pinned links. What is pinned there and is no link is left out.
pub(super) fn pinned(
    pins: &Pins,
    here: &mut Vantage<'_>,
) -> Result<Vec<(LinkPin, Tie, TieInfo)>, DatapathError> {
    let mut links = Vec::new();
    for pin in pins.link_pins()? {
        let opened = Tie::open(&pin).and_then(|tie| {
            let info = tie.info(here)?;
            Ok((tie, info))
        });
        match opened {
            Ok((tie, info)) => links.push((pin, tie, info)),
            // Of a link that cannot be read it is not known that it filters nothing.
            Err(source) if lacks_resources(&source) => {
                return Err(DatapathError::Pins {
                    action: "read",
                    path: pin.path,
                    source,
                });
            }
            Err(_) => {}
        }
    }
    Ok(links)
}

/// Whether a system call failed for want of descriptors or memory, not for its object.
fn lacks_resources(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM))
}

/// The interfaces behind the pinned links, sorted by index.
pub(super) fn attached(pins: &Pins) -> Result<Vec<AttachedInterface>, DatapathError> {
    let (namespace, mut netdevs) = (namespace()?, netdevs()?);
    let mut here = Vantage {
        pins,
        namespace,
        netdevs: &mut netdevs,
    };
    let pinned = pinned(pins, &mut here)?;
    let known: Vec<u64> = pinned.iter().map(|(.., info)| info.id).collect();
    let unpinned = Tie::unpinned(&known, &mut here).map_err(asking)?;
    let unpinned = unpinned.into_iter().map(|(_, info)| (Hook::Clsact, info));
    let pinned = pinned.into_iter().map(|(pin, _, info)| (pin.hook, info));
    let links = pinned.chain(unpinned).map(|(hook, info)| Link {
        info,
        hook,
        refused: None,
        offloads: Vec::new(),
    });
    behind(&links.collect::<Vec<_>>(), None, &mut netdevs)
}

/// Refuses pins of an agent of another network namespace: what is configured here would
/// not be filtered, and what is filtered there would change.
pub(super) fn check_namespace(pins: &Pins) -> Result<(), DatapathError> {
    let (namespace, mut netdevs) = (namespace()?, netdevs()?);
    let mut here = Vantage {
        pins,
        namespace,
        netdevs: &mut netdevs,
    };
    // A filter there cannot be seen from here: it may have ended long ago.
    let is_another_s = |(pin, _, info): &(LinkPin, Tie, TieInfo)| {
        pin.namespace != namespace && info.ifindex != 0 && !info.is_filter
    };
    if pinned(pins, &mut here)?.iter().any(is_another_s) {
        return Err(DatapathError::OtherNamespace {
            path: pins.root().to_path_buf(),
        });
    }
    Ok(())
}

pub(super) fn namespace() -> Result<u64, DatapathError> {
    sys::network_namespace().map_err(|source| DatapathError::System {
        call: "getsockopt SO_NETNS_COOKIE",
        source,
    })
}

pub(super) fn netdevs() -> Result<Netdevs, DatapathError> {
    Netdevs::open().map_err(asking)
}

pub(super) fn asking(source: io::Error) -> DatapathError {
    DatapathError::System {
        call: "asking rtnetlink for interfaces",
        source,
    }
}

/// Removes every pinned link, which detaches the program. Returns the names of the
/// interfaces that were filtered.
pub(super) fn detach_pinned(pins: &Pins) -> Result<Vec<String>, DatapathError> {
    let names = attached(pins).map(|attached| attached.into_iter().map(|i| i.name).collect());
    let mut result = names.map(|mut names: Vec<String>| {
        names.dedup();
        names
    });
    let (namespace, mut netdevs) = (namespace()?, netdevs()?);
    let mut here = Vantage {
        pins,
        namespace,
        netdevs: &mut netdevs,
    };
    // One that stays must not keep the others.
    for pin in pins.link_pins()? {
        if let Ok(tie) = Tie::open(&pin) {
            // An agent may hold the link too. One that is detached already says so.
            match tie.detach(&mut here) {
                Err(error) if error.raw_os_error() == Some(libc::EXDEV) => {
                    let path = pins.root().to_path_buf();
                    result = Err(DatapathError::FilterElsewhere { path });
                    continue;
                }
                _ => {}
            }
        }
        if let Err(error) = pin.remove() {
            result = Err(error);
        }
    }
    for (tie, _) in Tie::unpinned(&[], &mut here).map_err(asking)? {
        if let Err(source) = tie.detach(&mut here) {
            result = Err(DatapathError::System {
                call: "detaching a filter",
                source,
            });
        }
    }
    result
}

/// The name of the interface with this index; `None` when there is none any more.
#[must_use]
pub fn interface_name(index: u32) -> Option<String> {
    let name = nix::net::if_::if_indextoname(index).ok()?;
    // nix takes the null pointer of a failure for success, and returns "".
    (!name.is_empty()).then(|| name.to_string_lossy().into_owned())
}
