//! The links of an agent: made, held, pinned, moved to another program, ended.
//!
//! A descriptor of each link is held. A pin that is removed detaches nothing then, and is
//! put back; without an agent the pins alone keep the links. Only what is asked to detach
//! ends a link.

use std::{
    io,
    os::fd::AsFd,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    AttachedInterface, DatapathError, Hook, LinkLayer,
    attach::{Link, asking, behind, detach_pinned, found_on, namespace, netdevs, pinned},
    device::link_layer,
    pins::{LinkPin, Pins},
    program::{self, Programs},
    sys::link::Kind,
    tie::{Tie, Vantage},
};
use crate::{
    config::HookChoice,
    netdev::{Device, Netdevs},
};

mod answering;
mod place;

/// The links of one agent, and the programs that they run. Clones are the same.
#[derive(Clone)]
pub struct Links(Arc<Mutex<Inner>>);

struct Inner {
    pins: Pins,
    choice: HookChoice,
    namespace: u64,
    netdevs: Netdevs,
    programs: Option<Programs>,
    held: Vec<Held>,
}

struct Held {
    tie: Tie,
    id: u64,
    hook: Hook,
    /// Why it is at none of the hooks that were tried before.
    refused: Option<String>,
    /// Offloads that attaching changed.
    offloads: Vec<String>,
}

/// What [`Links::keep`] did.
#[derive(Debug, Default)]
pub struct Kept {
    /// Links whose pin was gone and is back: the indices of their interfaces.
    pub pinned_again: Vec<u32>,
}

impl Links {
    /// Takes over the links that are pinned.
    ///
    /// # Errors
    /// The pins cannot be listed; no netlink socket.
    pub(super) fn open(pins: &Pins, choice: HookChoice) -> Result<Self, DatapathError> {
        let mut inner = Inner {
            pins: pins.clone(),
            choice,
            namespace: namespace()?,
            netdevs: netdevs()?,
            programs: None,
            held: Vec::new(),
        };
        inner.adopt()?;
        inner.adopt_unpinned()?;
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing is left half done that is not looked at again.
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A thread in another network namespace asks about that one. Where this cannot be
        // found out, no file can be opened: the agent's threads are all in one.
        if let Ok(here) = namespace()
            && here != inner.namespace
            && let Ok(netdevs) = netdevs()
        {
            inner.netdevs = netdevs;
            inner.namespace = here;
        }
        inner
    }

    /// Makes every link run the one of `programs` that reads its interface's frames, now and
    /// from now on: each from one packet to the next, with none in between unfiltered.
    ///
    /// # Errors
    /// A link refuses it.
    pub(super) fn replace(&self, programs: Programs) -> Result<(), DatapathError> {
        self.lock().replace(programs)
    }

    /// Makes links that are attached from now on run one of `programs`; those that there are
    /// go on as they do.
    pub(super) fn begin_with(&self, programs: Programs) {
        self.lock().programs = Some(programs);
    }

    /// Attaches the program that reads an interface's frames, unless it is already, at the first
    /// of the hooks of the choice that can be had.
    ///
    /// # Errors
    /// No such interface, loopback, frames that no program reads, another program there, or the
    /// driver's refusal.
    pub fn attach(&self, interface: &str) -> Result<AttachedInterface, DatapathError> {
        let mut inner = self.lock();
        let attached = inner.attach(interface)?;
        // Filtered it is in any case; `keep` tries again, and says what is wrong.
        let _ = inner.tell_answering();
        Ok(attached)
    }

    /// Which programs these interfaces run at the first hook that is tried; those that cannot be
    /// filtered are left out.
    pub(super) fn needs(&self, interfaces: &[String]) -> Vec<(Kind, LinkLayer)> {
        let mut inner = self.lock();
        let mut needed: Vec<_> = interfaces.iter().filter_map(|i| inner.need(i)).collect();
        needed.dedup();
        needed
    }

    /// Where an interface is filtered at another hook than the choice would have it, attaches
    /// there, and then ends the other link: no packet is judged by neither. Those that pass in
    /// between are judged, and counted, by both.
    ///
    /// # Errors
    /// It cannot be attached there, and stays filtered as it was.
    pub fn settle(&self, interface: &str) -> Result<(), DatapathError> {
        self.lock().settle(interface)
    }

    /// Detaches from one interface; `false` if it was not attached.
    ///
    /// # Errors
    /// The kernel refuses, or the pin cannot be removed.
    pub fn detach(&self, interface: &str) -> Result<bool, DatapathError> {
        self.lock().detach(interface)
    }

    /// Detaches from all interfaces and names them.
    ///
    /// # Errors
    /// A pin cannot be removed.
    pub fn detach_all(&self) -> Result<Vec<String>, DatapathError> {
        self.lock().detach_all()
    }

    /// The interfaces that there are links to, as they say, whatever the links run.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub(super) fn attached(&self) -> Result<Vec<AttachedInterface>, DatapathError> {
        self.lock().attached()
    }

    /// The interfaces that run the program that reads their frames, as they say. A link that
    /// was made to run another program filters nothing.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn filtered(&self) -> Result<Vec<AttachedInterface>, DatapathError> {
        self.lock().filtered()
    }

    /// Lets go of links that have ended, and puts pins back that were removed. Tells the program
    /// at which interfaces it can answer.
    ///
    /// # Errors
    /// The pins cannot be listed or made: filtering ends with this process then.
    pub fn keep(&self) -> Result<Kept, DatapathError> {
        let mut inner = self.lock();
        let kept = inner.keep()?;
        if let Err(error) = inner.tell_answering() {
            tracing::debug!(%error, "denied attempts may not be answered");
        }
        Ok(kept)
    }

    /// The interface of this name in the network namespace of the agent.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn device(&self, name: &str) -> Result<Option<Device>, DatapathError> {
        self.lock().netdevs.by_name(name).map_err(asking)
    }

    /// All interfaces of the network namespace of the agent, with their addresses.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn devices(&self) -> Result<Vec<Device>, DatapathError> {
        self.lock().netdevs.all().map_err(asking)
    }
}

impl Inner {
    /// Holds the links that are pinned, and removes pins whose link has ended.
    fn adopt(&mut self) -> Result<(), DatapathError> {
        let mut here = Vantage {
            pins: &self.pins,
            namespace: self.namespace,
            netdevs: &mut self.netdevs,
        };
        self.held
            .retain(|held| held.tie.info(&mut here).is_ok_and(|info| info.ifindex != 0));
        for (pin, tie, info) in pinned(&self.pins, &mut here)? {
            if info.ifindex == 0 {
                pin.remove()?;
            } else if !self.held.iter().any(|held| held.id == info.id) {
                self.held.push(Held {
                    tie,
                    id: info.id,
                    hook: pin.hook,
                    refused: None,
                    offloads: Vec::new(),
                });
            }
        }
        Ok(())
    }

    /// Holds filters that no pin tells of: [`Self::keep`] pins them.
    fn adopt_unpinned(&mut self) -> Result<(), DatapathError> {
        let mut here = Vantage {
            pins: &self.pins,
            namespace: self.namespace,
            netdevs: &mut self.netdevs,
        };
        let known: Vec<u64> = self.held.iter().map(|held| held.id).collect();
        let unpinned = Tie::unpinned(&known, &mut here).map_err(asking)?;
        self.held
            .extend(unpinned.into_iter().map(|(tie, info)| Held {
                tie,
                id: info.id,
                hook: Hook::Clsact,
                refused: None,
                offloads: Vec::new(),
            }));
        Ok(())
    }

    fn keep(&mut self) -> Result<Kept, DatapathError> {
        self.adopt()?;
        let mut here = Vantage {
            pins: &self.pins,
            namespace: self.namespace,
            netdevs: &mut self.netdevs,
        };
        let pins: Vec<u64> = pinned(&self.pins, &mut here)?
            .iter()
            .map(|(.., info)| info.id)
            .collect();
        let mut kept = Kept::default();
        for held in &self.held {
            let Ok(info) = held.tie.info(&mut here) else {
                continue;
            };
            if info.ifindex != 0 && !pins.contains(&held.id) {
                pin(&self.pins, here.namespace, held, info.ifindex)?;
                kept.pinned_again.push(info.ifindex);
            }
        }
        Ok(kept)
    }

    fn programs(&self) -> Result<&Programs, DatapathError> {
        let programs = self.programs.as_ref();
        programs.ok_or(DatapathError::IncompleteObject("loaded program"))
    }

    fn replace(&mut self, programs: Programs) -> Result<(), DatapathError> {
        self.adopt()?;
        let mut here = Vantage {
            pins: &self.pins,
            namespace: self.namespace,
            netdevs: &mut self.netdevs,
        };
        for held in &mut self.held {
            let Ok(info) = held.tie.info(&mut here) else {
                continue;
            };
            if info.ifindex == 0 || (info.is_filter && !info.may_be_here) {
                continue;
            }
            let device = here.netdevs.by_index(info.ifindex).map_err(asking)?;
            let device = device.filter(|device| found_on(device, &info, here.netdevs).is_some());
            let layer = device.and_then(|device| link_layer(&device).ok());
            if programs.is_right(info.kind, layer, info.program)? {
                continue;
            }
            // Elsewhere it runs what was right when it was here; most have Ethernet headers.
            let layer = layer.or_else(|| program::reads(info.program));
            let program = programs.at(info.kind, layer.unwrap_or(LinkLayer::Ethernet))?;
            let fd = program.fd().map_err(DatapathError::Verify)?;
            match held.tie.update(fd.as_fd(), &mut here) {
                // The interface has gone meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => {}
                done => done.map_err(|source| DatapathError::Replace {
                    index: info.ifindex,
                    source,
                })?,
            }
        }
        self.programs = Some(programs);
        Ok(())
    }

    fn filtered(&mut self) -> Result<Vec<AttachedInterface>, DatapathError> {
        let mut filtered = Vec::new();
        for interface in self.attached()? {
            let programs = self.programs()?;
            if programs.is_right(
                interface.hook.kind(),
                interface.link_layer,
                interface.program,
            )? {
                filtered.push(interface);
            }
        }
        Ok(filtered)
    }

    fn attached(&mut self) -> Result<Vec<AttachedInterface>, DatapathError> {
        // What is held is known whether the pins can be listed or not.
        let _ = self.adopt();
        let mut here = Vantage {
            pins: &self.pins,
            namespace: self.namespace,
            netdevs: &mut self.netdevs,
        };
        let links: Vec<Link> = self
            .held
            .iter()
            .filter_map(|held| {
                Some(Link {
                    info: held.tie.info(&mut here).ok()?,
                    hook: held.hook,
                    refused: held.refused.clone(),
                    offloads: held.offloads.clone(),
                })
            })
            .collect();
        behind(&links, Some(self.choice), &mut self.netdevs)
    }

    fn detach(&mut self, name: &str) -> Result<bool, DatapathError> {
        let Some(device) = self.netdevs.by_name(name).map_err(asking)? else {
            return Ok(false);
        };
        self.adopt()?;
        let ended = self.extract(&device, |_| true);
        let any = !ended.is_empty();
        self.end(&ended)?;
        Ok(any)
    }

    fn detach_all(&mut self) -> Result<Vec<String>, DatapathError> {
        let names = self.attached();
        let mut here = Vantage {
            pins: &self.pins,
            namespace: self.namespace,
            netdevs: &mut self.netdevs,
        };
        for held in self.held.drain(..) {
            // One that has ended already says so.
            let _ = held.tie.detach(&mut here);
        }
        detach_pinned(&self.pins)?;
        let mut names: Vec<_> = names?.into_iter().map(|i| i.name).collect();
        // One that was at two hooks.
        names.dedup();
        Ok(names)
    }
}

/// Pins a link. A name that is taken belongs to an interface that has moved to another network
/// namespace, and is filtered there: this link takes another.
fn pin(pins: &Pins, namespace: u64, held: &Held, ifindex: u32) -> Result<(), DatapathError> {
    pins.make_links()?;
    let pin = LinkPin::new(pins, namespace, ifindex, held.hook);
    let failed = |path: &Path, source| DatapathError::Pins {
        action: "pin a link as",
        path: path.to_path_buf(),
        source,
    };
    match held.tie.pin(&pin.path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let path = pin.of_link(held.id).path;
            held.tie.pin(&path).map_err(|source| failed(&path, source))
        }
        done => done.map_err(|source| failed(&pin.path, source)),
    }
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").finish_non_exhaustive()
    }
}
