//! What ties the program to an interface: a `bpf_link`, or a filter of clsact where the kernel has
//! no links for tc.
//!
//! A filter belongs to its interface and needs neither descriptor nor pin to stay. Its pin, a pin
//! of the program, only says where it is. It ends with the interface, also when that moves to
//! another network namespace, and can be seen in its own alone.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use aya::programs::{ProgramInfo, loaded_programs};

use super::{
    Hook,
    pins::{LinkPin, Pins},
    sys::link::{self, Kind, LinkInfo},
};
use crate::netdev::Netdevs;

/// See the module.
pub(super) enum Tie {
    Link(OwnedFd),
    Filter {
        namespace: u64,
        ifindex: u32,
        /// What is pinned.
        program: OwnedFd,
        /// Its id, as the pin said: what is known of a filter of another namespace.
        pinned: u32,
    },
}

/// What a tie is now.
#[derive(Clone, Copy, Debug)]
pub(super) struct TieInfo {
    /// What no other has until the next boot.
    pub(super) id: u64,
    /// What the attached program is for.
    pub(super) kind: Kind,
    /// Whether it is a filter.
    pub(super) is_filter: bool,
    /// Whether it can be in the namespace that was asked in: a link may be in any.
    pub(super) may_be_here: bool,
    /// The attached program.
    pub(super) program: u32,
    /// The interface's index in the network namespace where it is now; 0: it has no effect, for
    /// the interface is gone or it was detached.
    pub(super) ifindex: u32,
}

impl TieInfo {
    /// Of a filter: beyond all ids of links.
    fn filter_id(ifindex: u32) -> u64 {
        1 << 32 | u64::from(ifindex)
    }

    fn of_link(info: LinkInfo) -> Self {
        Self {
            id: u64::from(info.id),
            kind: info.kind,
            is_filter: false,
            may_be_here: true,
            program: info.program,
            ifindex: info.ifindex,
        }
    }
}

/// The network namespace that the kernel is asked from, a socket to ask by, and whose ties it is
/// about.
pub(super) struct Vantage<'a> {
    pub(super) pins: &'a Pins,
    pub(super) namespace: u64,
    pub(super) netdevs: &'a mut Netdevs,
}

/// The name of the filters of an agent: it tells them from those of an agent with other pins.
fn filter_name(pins: &Pins) -> String {
    let path = pins.root().to_string_lossy();
    // The kernel takes 255 bytes (CLS_BPF_NAME_LEN).
    let end = (0..=path.len().min(200))
        .rev()
        .find(|at| path.is_char_boundary(*at));
    format!("netpolicy {}", &path[..end.unwrap_or_default()])
}

impl Vantage<'_> {
    /// The program of the filter on an interface, if there is one of these pins' agent.
    fn filter_on(&mut self, ifindex: u32) -> io::Result<Option<u32>> {
        let name = filter_name(self.pins);
        let filters = self.netdevs.filters(ifindex)?.into_iter();
        let mut ours = filters.filter(|filter| filter.is_ours && filter.name == name);
        Ok(ours.next().map(|filter| filter.program))
    }
}

impl Tie {
    /// Filters of this namespace that no pin tells of, apart from those of known ids: their agent
    /// was killed before it could pin them, or the pins were removed. Unlike a link, a filter
    /// stays.
    pub(super) fn unpinned(
        known: &[u64],
        here: &mut Vantage<'_>,
    ) -> io::Result<Vec<(Self, TieInfo)>> {
        let mut found = Vec::new();
        for device in here.netdevs.all()? {
            let ifindex = device.index;
            if known.contains(&TieInfo::filter_id(ifindex)) {
                continue;
            }
            // One that is gone meanwhile has none.
            let Ok(Some(id)) = here.filter_on(ifindex) else {
                continue;
            };
            let mut programs = loaded_programs().flatten();
            let program = programs.find(|program| program.id() == id);
            let Some(Ok(program)) = program.map(|program| program.fd()) else {
                continue;
            };
            let tie = Self::Filter {
                namespace: here.namespace,
                ifindex,
                program: program.as_fd().try_clone_to_owned()?,
                pinned: 0,
            };
            let info = tie.info(here)?;
            found.push((tie, info));
        }
        Ok(found)
    }

    /// Opens what is pinned.
    pub(super) fn open(pin: &LinkPin) -> io::Result<Self> {
        let fd = link::open(&pin.path)?;
        Ok(match pin.hook {
            Hook::Clsact => Self::Filter {
                namespace: pin.namespace,
                ifindex: pin.ifindex,
                program: fd,
                pinned: ProgramInfo::from_pin(&pin.path).map_or(0, |info| info.id()),
            },
            Hook::Native | Hook::Generic | Hook::Tcx => Self::Link(fd),
        })
    }

    /// Attaches a program to an interface of this namespace.
    pub(super) fn create(
        program: BorrowedFd<'_>,
        ifindex: u32,
        hook: Hook,
        here: &mut Vantage<'_>,
    ) -> io::Result<Self> {
        let at = match hook {
            Hook::Native => link::AttachPoint::Driver,
            Hook::Generic => link::AttachPoint::Generic,
            Hook::Tcx => link::AttachPoint::Tcx,
            Hook::Clsact => {
                let name = filter_name(here.pins);
                here.netdevs.set_filter(ifindex, program, &name, false)?;
                return Ok(Self::Filter {
                    namespace: here.namespace,
                    ifindex,
                    program: program.try_clone_to_owned()?,
                    pinned: 0,
                });
            }
        };
        link::create(program, ifindex, at).map(Self::Link)
    }

    /// What it is now.
    pub(super) fn info(&self, here: &mut Vantage<'_>) -> io::Result<TieInfo> {
        let (namespace, ifindex, pinned) = match self {
            Self::Link(link) => return link::info(link.as_fd()).map(TieInfo::of_link),
            Self::Filter {
                namespace,
                ifindex,
                pinned,
                ..
            } => (*namespace, *ifindex, *pinned),
        };
        let mut info = TieInfo {
            id: TieInfo::filter_id(ifindex),
            kind: Kind::Tc,
            is_filter: true,
            may_be_here: namespace == here.namespace,
            program: pinned,
            ifindex,
        };
        if info.may_be_here {
            match here.filter_on(ifindex)? {
                Some(program) => info.program = program,
                None => info.ifindex = 0,
            }
        }
        Ok(info)
    }

    /// Makes it run another program, from one packet to the next.
    pub(super) fn update(
        &mut self,
        program: BorrowedFd<'_>,
        here: &mut Vantage<'_>,
    ) -> io::Result<()> {
        match self {
            Self::Link(link) => link::update(link.as_fd(), program),
            Self::Filter {
                ifindex,
                program: held,
                ..
            } => {
                let name = filter_name(here.pins);
                here.netdevs.set_filter(*ifindex, program, &name, true)?;
                *held = program.try_clone_to_owned()?;
                Ok(())
            }
        }
    }

    /// Detaches it from its interface, whatever still holds it.
    ///
    /// # Errors
    /// The kernel's; `EXDEV`: it is a filter of another network namespace.
    pub(super) fn detach(&self, here: &mut Vantage<'_>) -> io::Result<()> {
        match self {
            Self::Link(link) => link::detach(link.as_fd()),
            Self::Filter { namespace, .. } if *namespace != here.namespace => {
                Err(io::Error::from_raw_os_error(libc::EXDEV))
            }
            Self::Filter { ifindex, .. } => match here.filter_on(*ifindex)? {
                Some(_) => here.netdevs.remove_filter(*ifindex),
                None => Err(io::Error::from_raw_os_error(libc::ENOENT)),
            },
        }
    }

    /// Pins it, or what says where it is.
    pub(super) fn pin(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Link(link) => link::pin(link.as_fd(), path),
            Self::Filter { program, .. } => link::pin(program.as_fd(), path),
        }
    }
}
