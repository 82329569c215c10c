//! Links: which interfaces the program is attached to.

use aya::programs::{
    Xdp, XdpMode,
    links::{FdLink, PinnedLink},
    xdp::XdpLink,
};

use super::{
    DatapathError, LinkLayer, device,
    pins::{LinkPin, Pins},
    program::Programs,
    sys,
};
use crate::{api::Attachment, config::XdpChoice};

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
}

/// The interfaces behind the pinned links, sorted by index. Links whose interface is
/// gone are left out.
pub(super) fn attached(pins: &Pins) -> Result<Vec<AttachedInterface>, DatapathError> {
    let mut interfaces = Vec::new();
    let here = namespace()?;
    for pin in pins.link_pins()? {
        let Ok(info) = sys::xdp_link_info(&pin.path) else {
            continue;
        };
        if info.ifindex == 0 {
            continue;
        }
        let is_here = pin.namespace == here;
        let name = if is_here {
            let Some(name) = interface_name(info.ifindex) else {
                continue;
            };
            name
        } else {
            format!("index {} of another network namespace", info.ifindex)
        };
        interfaces.push(AttachedInterface {
            name,
            index: info.ifindex,
            is_here,
            attachment: if pin.native {
                Attachment::Native
            } else {
                Attachment::Generic
            },
            program: info.program,
        });
    }
    interfaces.sort_by_key(|interface| interface.index);
    Ok(interfaces)
}

/// Refuses pins that filter another network namespace: what is configured here would
/// not be filtered, and what is filtered there would change.
pub(super) fn check_namespace(pins: &Pins) -> Result<(), DatapathError> {
    if attached(pins)?.iter().all(|interface| interface.is_here) {
        Ok(())
    } else {
        Err(DatapathError::OtherNamespace {
            path: pins.root().to_path_buf(),
        })
    }
}

fn namespace() -> Result<u64, DatapathError> {
    sys::network_namespace().map_err(|source| DatapathError::System {
        call: "getsockopt SO_NETNS_COOKIE",
        source,
    })
}

/// The name of the interface with this index; `None` when there is none any more.
#[must_use]
pub fn interface_name(index: u32) -> Option<String> {
    let name = nix::net::if_::if_indextoname(index).ok()?;
    // nix takes the null pointer of a failure for success, and returns "".
    (!name.is_empty()).then(|| name.to_string_lossy().into_owned())
}

/// Loopback's index, the same in every network namespace (`include/net/flow.h`).
const LOOPBACK_IFINDEX: u32 = 1;

/// Attaches the program that reads the interface's frames, unless it is already.
pub(super) fn attach(
    pins: &Pins,
    programs: &mut Programs,
    name: &str,
    choice: XdpChoice,
) -> Result<AttachedInterface, DatapathError> {
    let index = nix::net::if_::if_nametoindex(name).map_err(|_| DatapathError::NoInterface {
        name: name.to_owned(),
    })?;
    if index == LOOPBACK_IFINDEX {
        return Err(DatapathError::Loopback {
            name: name.to_owned(),
        });
    }
    let link_layer = device::link_layer(name)?;
    remove_dead_links(pins)?;
    if let Some(there) = attached(pins)?
        .into_iter()
        .find(|there| there.is_here && there.index == index)
    {
        if there.program != programs.id(link_layer)? {
            replace_programs(pins, programs)?;
        }
        return Ok(there);
    }
    let program = programs.at(link_layer);
    let native = match choice {
        XdpChoice::Native => {
            link(pins, program, name, index, true)?;
            true
        }
        XdpChoice::Generic => {
            link(pins, program, name, index, false)?;
            false
        }
        XdpChoice::Auto => match link(pins, program, name, index, true) {
            Ok(()) => true,
            Err(DatapathError::Attach { source, .. }) => {
                tracing::warn!(
                    interface = name,
                    reason = %error_chain(&source),
                    "no native XDP: filtering in the generic hook, which costs several times as \
                     much for each packet"
                );
                link(pins, program, name, index, false)?;
                false
            }
            Err(other) => return Err(other),
        },
    };
    let attachment = if native {
        Attachment::Native
    } else {
        Attachment::Generic
    };
    let program = program.info().map(|info| info.id()).unwrap_or_default();
    Ok(AttachedInterface {
        name: name.to_owned(),
        index,
        is_here: true,
        attachment,
        program,
    })
}

/// Makes every pinned link run the program that reads its interface's frames: each from one
/// packet to the next, with none in between unfiltered.
pub(super) fn replace_programs(pins: &Pins, programs: &mut Programs) -> Result<(), DatapathError> {
    remove_dead_links(pins)?;
    let here = namespace()?;
    for pin in pins.link_pins()? {
        // Of an interface elsewhere nothing is known: most have Ethernet headers.
        let name = (pin.namespace == here).then(|| interface_name(pin.ifindex));
        let link_layer = name
            .flatten()
            .and_then(|name| device::link_layer(&name).ok())
            .unwrap_or(LinkLayer::Ethernet);
        let ours = programs.id(link_layer)?;
        if sys::xdp_link_info(&pin.path).is_ok_and(|info| info.program == ours) {
            continue;
        }
        let program = programs.at(link_layer);
        let index = pin.ifindex;
        let foreign = |what: String| DatapathError::ForeignPin {
            path: pin.path.clone(),
            what,
        };
        let pinned = PinnedLink::from_pin(&pin.path).map_err(|error| foreign(error.to_string()))?;
        let link =
            XdpLink::try_from(FdLink::from(pinned)).map_err(|error| foreign(error.to_string()))?;
        let failed = |source| DatapathError::Replace { index, source };
        let id = program.attach_to_link(link).map_err(failed)?;
        // Closes our descriptor; the pin holds the link.
        drop(program.take_link(id).map_err(failed)?);
    }
    Ok(())
}

/// Removes the link of one interface, which detaches the program from it.
pub(super) fn detach(pins: &Pins, name: &str) -> Result<bool, DatapathError> {
    let index = nix::net::if_::if_nametoindex(name).unwrap_or(0);
    let here = namespace()?;
    for pin in pins.link_pins()? {
        if index != 0 && pin.ifindex == index && pin.namespace == here {
            pin.remove()?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes all links. Returns the names of the interfaces that were filtered.
pub(super) fn detach_all(pins: &Pins) -> Result<Vec<String>, DatapathError> {
    let names = attached(pins)?
        .into_iter()
        .map(|interface| interface.name)
        .collect();
    // One that stays must not keep the others.
    let mut result = Ok(names);
    for pin in pins.link_pins()? {
        if let Err(error) = pin.remove() {
            result = Err(error);
        }
    }
    result
}

fn remove_dead_links(pins: &Pins) -> Result<(), DatapathError> {
    for pin in pins.link_pins()? {
        if sys::xdp_link_info(&pin.path).is_ok_and(|info| info.ifindex == 0) {
            pin.remove()?;
        }
    }
    Ok(())
}

fn link(
    pins: &Pins,
    program: &mut Xdp,
    name: &str,
    index: u32,
    native: bool,
) -> Result<(), DatapathError> {
    let mode = if native {
        XdpMode::Driver
    } else {
        XdpMode::Skb
    };
    let failed = |source: aya::programs::ProgramError| {
        if is_busy(&source) {
            return DatapathError::InterfaceBusy {
                name: name.to_owned(),
            };
        }
        let mode = if native { "native" } else { "generic" };
        DatapathError::Attach {
            name: name.to_owned(),
            mode,
            source,
        }
    };
    pins.make_links()?;
    let id = program.attach_to_if_index(index, mode).map_err(failed)?;
    let link = program.take_link(id).map_err(failed)?;
    // Where the kernel has no link for XDP, `aya` attaches by netlink, which would
    // end with this process; dropping it detaches.
    let link = FdLink::try_from(link).map_err(|_| DatapathError::NoLink {
        name: name.to_owned(),
    })?;
    let pin = LinkPin::new(pins, namespace()?, index, native);
    link.pin(&pin.path).map_err(|source| DatapathError::Pin {
        path: pin.path.clone(),
        source,
    })?;
    Ok(())
}

fn is_busy(error: &aya::programs::ProgramError) -> bool {
    use std::error::Error;
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return matches!(io.raw_os_error(), Some(libc::EBUSY | libc::EEXIST));
        }
        next = error.source();
    }
    false
}

fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}
