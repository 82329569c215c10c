//! Which interfaces the program is attached to.
//!
//! An attachment is what the interface says: the id of its XDP program (`RTM_GETLINK`),
//! together with the link's own interface. A pin's name does not prove it: the
//! interface may have moved to another network namespace, and another of its name and
//! index may have come.

use nix::errno::Errno;
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use super::{
    DatapathError, LinkLayer, device,
    pins::{LinkPin, Pins},
    sys::{
        self,
        link::{self, LinkInfo},
    },
};
use crate::{
    api::Attachment,
    netdev::{Mode, Netdevs},
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
    /// Native or generic.
    pub attachment: Attachment,
    /// Id of the attached program.
    pub program: u32,
    /// What its frames begin with; `None`: that is not known, as of one in another network
    /// namespace.
    pub link_layer: Option<LinkLayer>,
}

/// A link, and how its pin says that it was attached.
pub(super) struct Link {
    pub(super) info: LinkInfo,
    pub(super) native: bool,
}

/// The interfaces behind links, sorted by index. Links whose interface is gone are left
/// out.
pub(super) fn behind(
    links: &[Link],
    netdevs: &mut Netdevs,
) -> Result<Vec<AttachedInterface>, DatapathError> {
    let mut interfaces: Vec<AttachedInterface> = Vec::new();
    for Link { info, native } in links {
        if info.ifindex == 0 {
            continue;
        }
        let device = netdevs.by_index(info.ifindex).map_err(asking)?;
        // Two links may say the same index, each of its own namespace.
        let is_taken = interfaces
            .iter()
            .any(|i| i.is_here && i.index == info.ifindex);
        let here = device.and_then(|device| {
            let mode = device.runs(info.program)?;
            let link_layer = device::link_layer(&device).ok();
            (!is_taken).then_some((device.name, mode, link_layer))
        });
        let is_here = here.is_some();
        let (name, mode, link_layer) = here.unwrap_or_else(|| {
            let mode = if *native { Mode::Native } else { Mode::Generic };
            let name = format!("index {} of another network namespace", info.ifindex);
            (name, mode, None)
        });
        interfaces.push(AttachedInterface {
            name,
            index: info.ifindex,
            is_here,
            attachment: mode.into(),
            program: info.program,
            link_layer,
        });
    }
    interfaces.sort_by_key(|interface| (interface.index, !interface.is_here));
    Ok(interfaces)
}

impl From<Mode> for Attachment {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Native => Self::Native,
            Mode::Generic => Self::Generic,
        }
    }
}

/// The pinned links. What is pinned there and is no link is left out.
pub(super) fn pinned(pins: &Pins) -> Result<Vec<(LinkPin, OwnedFd, LinkInfo)>, DatapathError> {
    let mut links = Vec::new();
    for pin in pins.link_pins()? {
        let opened = link::open(&pin.path).and_then(|fd| {
            let info = link::info(fd.as_fd())?;
            Ok((fd, info))
        });
        match opened {
            Ok((fd, info)) => links.push((pin, fd, info)),
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
    let links = pinned(pins)?.into_iter().map(|(pin, _, info)| Link {
        info,
        native: pin.native,
    });
    behind(&links.collect::<Vec<_>>(), &mut netdevs()?)
}

/// Refuses pins of an agent of another network namespace: what is configured here would
/// not be filtered, and what is filtered there would change.
pub(super) fn check_namespace(pins: &Pins) -> Result<(), DatapathError> {
    let here = namespace()?;
    let is_another_s =
        |(pin, _, info): &(LinkPin, OwnedFd, LinkInfo)| pin.namespace != here && info.ifindex != 0;
    if pinned(pins)?.iter().any(is_another_s) {
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
    let mut result = names;
    // One that stays must not keep the others.
    for pin in pins.link_pins()? {
        if let Ok(link) = link::open(&pin.path) {
            // An agent may hold the link too. One that is detached already says so.
            let _ = link::detach(link.as_fd());
        }
        if let Err(error) = pin.remove() {
            result = Err(error);
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
