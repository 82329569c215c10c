//! Where on an interface the program is attached: the hooks that are tried, and one hook put in
//! place of another.

use std::{os::fd::AsFd, time::Duration};

use super::{Held, Inner, pin};
use crate::{
    datapath::{
        AttachedInterface, DatapathError, Hook, LinkLayer,
        attach::{asking, found_on},
        device::link_layer,
        hook,
        sys::link::Kind,
        tie::{Tie, Vantage},
    },
    netdev::{Device, Offloads},
};

/// The longest that a packet takes from one hook of its interface to the next.
const ON_THE_WAY: Duration = Duration::from_millis(100);

impl Inner {
    /// See [`super::Links::attach`].
    pub(super) fn attach(&mut self, name: &str) -> Result<AttachedInterface, DatapathError> {
        let (device, layer) = self.filterable(name)?;
        // Where pins cannot be listed, attaching still comes first.
        let _ = self.adopt();
        self.run_ours(&device, layer)?;
        if self.hooks_on(&device).is_empty() {
            let driver = self.netdevs.driver(&device);
            self.attach_first(&device, layer, hook::candidates(self.choice, &driver))?;
        }
        self.attached_to(&device)
    }

    /// The program that an interface runs at the first hook that is tried.
    pub(super) fn need(&mut self, name: &str) -> Option<(Kind, LinkLayer)> {
        let (device, layer) = self.filterable(name).ok()?;
        let driver = self.netdevs.driver(&device);
        let first = hook::candidates(self.choice, &driver).first()?;
        Some((first.kind(), layer))
    }

    /// See [`super::Links::settle`].
    pub(super) fn settle(&mut self, name: &str) -> Result<(), DatapathError> {
        let (device, layer) = self.filterable(name)?;
        self.adopt()?;
        let driver = self.netdevs.driver(&device);
        let candidates = hook::candidates(self.choice, &driver);
        let rank = |hook: Hook| candidates.iter().position(|c| *c == hook);
        let rank = |hook: Hook| rank(hook).unwrap_or(candidates.len());
        let on = self.hooks_on(&device);
        let Some(mut best) = on.iter().copied().map(rank).min() else {
            // Attaching is for the one who looks for what is missing.
            return Ok(());
        };
        // Native and generic XDP exclude each other: tc is the bridge from the one to the other,
        // and may be the hook that was looked for.
        let is_xdp = |hook: &Hook| hook.kind() == Kind::Xdp;
        if candidates[..best].iter().any(is_xdp) && on.iter().any(is_xdp) {
            let bridge = match on.iter().find(|hook| !is_xdp(hook)) {
                Some(there) => *there,
                None => self.attach_first(&device, layer, &[Hook::Tcx, Hook::Clsact])?,
            };
            self.end_others(&device, bridge)?;
            best = rank(bridge);
        }
        let better = &candidates[..best];
        let found = match (better, candidates.get(best)) {
            ([], Some(there)) => *there,
            (_, there) => match (self.attach_first(&device, layer, better), there) {
                (Ok(hook), _) => hook,
                // None of those before it is to be had.
                (Err(_), Some(there)) => *there,
                // Of what was asked for nothing is; it stays filtered where it is.
                (Err(error), None) => return Err(error),
            },
        };
        if !on.contains(&found) {
            tell(&device, found);
        }
        self.end_others(&device, found)
    }

    fn filterable(&mut self, name: &str) -> Result<(Device, LinkLayer), DatapathError> {
        let device = self.netdevs.by_name(name).map_err(asking)?;
        let name = || name.to_owned();
        let device = device.ok_or_else(|| DatapathError::NoInterface { name: name() })?;
        if device.is_loopback {
            return Err(DatapathError::Loopback { name: name() });
        }
        let layer = link_layer(&device)?;
        Ok((device, layer))
    }

    /// The hooks at which links of ours are on an interface.
    fn hooks_on(&mut self, device: &Device) -> Vec<Hook> {
        let Some(device) = self.as_it_is(device) else {
            return Vec::new();
        };
        let mut here = Vantage {
            pins: &self.pins,
            namespace: self.namespace,
            netdevs: &mut self.netdevs,
        };
        let held = self.held.iter();
        held.filter_map(|held| held.is_on(&device, &mut here))
            .collect()
    }

    /// An interface with the programs that it runs by now.
    fn as_it_is(&mut self, device: &Device) -> Option<Device> {
        self.netdevs.by_index(device.index).ok().flatten()
    }

    /// Removes the links of ours on an interface that are at such hooks from the held ones.
    pub(super) fn extract(&mut self, device: &Device, at: impl Fn(Hook) -> bool) -> Vec<Held> {
        let Some(device) = self.as_it_is(device) else {
            return Vec::new();
        };
        let mut here = Vantage {
            pins: &self.pins,
            namespace: self.namespace,
            netdevs: &mut self.netdevs,
        };
        let is_it = |held: &mut Held| held.is_on(&device, &mut here).is_some_and(&at);
        self.held.extract_if(.., is_it).collect()
    }

    fn attached_to(&mut self, device: &Device) -> Result<AttachedInterface, DatapathError> {
        let mut attached = self.attached()?.into_iter();
        let found = attached.find(|i| i.is_here && i.index == device.index);
        found.ok_or_else(|| DatapathError::NoInterface {
            name: device.name.clone(),
        })
    }

    /// Links of ours on an interface that were made to run another program are made to run ours.
    fn run_ours(&mut self, device: &Device, layer: LinkLayer) -> Result<(), DatapathError> {
        let programs = self.programs.as_ref();
        let programs = programs.ok_or(DatapathError::IncompleteObject("loaded program"))?;
        let mut here = Vantage {
            pins: &self.pins,
            namespace: self.namespace,
            netdevs: &mut self.netdevs,
        };
        for held in &mut self.held {
            let Some(hook) = held.is_on(device, &mut here) else {
                continue;
            };
            let Ok(info) = held.tie.info(&mut here) else {
                continue;
            };
            if programs.id(hook.kind(), layer)? == info.program {
                continue;
            }
            let program = programs.at(hook.kind(), layer)?;
            let fd = program.fd().map_err(DatapathError::Verify)?;
            let updated = held.tie.update(fd.as_fd(), &mut here);
            updated.map_err(|source| DatapathError::Replace {
                index: info.ifindex,
                source,
            })?;
        }
        Ok(())
    }

    /// Attaches at the first of these hooks that can be had.
    fn attach_first(
        &mut self,
        device: &Device,
        layer: LinkLayer,
        hooks: &[Hook],
    ) -> Result<Hook, DatapathError> {
        let mut refusals: Vec<(Hook, DatapathError)> = Vec::new();
        for &hook in hooks {
            let refused = refusals.first().map(|(hook, error)| why_not(*hook, error));
            match self.link_at(device, layer, hook, refused) {
                Ok(()) => {
                    for (hook, error) in &refusals {
                        tracing::info!(
                            interface = device.name,
                            "not filtered by {}: {}",
                            hook.name(),
                            why_not(*hook, error)
                        );
                    }
                    return Ok(hook);
                }
                Err(
                    error @ (DatapathError::Attach { .. } | DatapathError::InterfaceBusy { .. }),
                ) => refusals.push((hook, error)),
                Err(other) => return Err(other),
            }
        }
        // Not logged here: the caller, who tries again every half second, logs what changes.
        let first = refusals.into_iter().next();
        Err(first.map_or(
            DatapathError::IncompleteObject("hook to try"),
            |(_, error)| error,
        ))
    }

    /// Attaches, holds and pins. A link that cannot be pinned is held nevertheless:
    /// [`Self::keep`] says what is wrong, and tries again.
    fn link_at(
        &mut self,
        device: &Device,
        layer: LinkLayer,
        hook: Hook,
        refused: Option<String>,
    ) -> Result<(), DatapathError> {
        let before = self.offloads(device, hook);
        let programs = self.programs.as_ref();
        let programs = programs.ok_or(DatapathError::IncompleteObject("loaded program"))?;
        let program = programs.at(hook.kind(), layer)?;
        let fd = program.fd().map_err(DatapathError::Verify)?;
        let mut here = Vantage {
            pins: &self.pins,
            namespace: self.namespace,
            netdevs: &mut self.netdevs,
        };
        let tied = Tie::create(fd.as_fd(), device.index, hook, &mut here);
        let tie = tied.map_err(|source| {
            let name = device.name.clone();
            match source.raw_os_error() {
                Some(libc::EBUSY | libc::EEXIST) => DatapathError::InterfaceBusy {
                    name,
                    hook: hook.in_words(),
                },
                Some(libc::ENODEV) => DatapathError::NoInterface { name },
                // Of another kind, or for one protocol alone.
                Some(libc::EINVAL) if hook == Hook::Clsact => DatapathError::InterfaceBusy {
                    name,
                    hook: hook.in_words(),
                },
                _ => DatapathError::Attach {
                    name,
                    hook: hook.in_words(),
                    source,
                },
            }
        })?;
        let info = tie
            .info(&mut here)
            .map_err(|source| DatapathError::System {
                call: "BPF_OBJ_GET_INFO_BY_FD",
                source,
            })?;
        let offloads = changes(&before, &self.offloads(device, hook));
        if !offloads.is_empty() {
            tracing::warn!(
                interface = device.name,
                "attaching changed offloads: {}",
                offloads.join("; ")
            );
        }
        let held = Held {
            tie,
            id: info.id,
            hook,
            refused,
            offloads,
        };
        if let Err(error) = pin(&self.pins, self.namespace, &held, device.index) {
            tracing::error!(
                interface = device.name,
                %error,
                "filtered, but the link cannot be pinned, trying again: filtering ends with the \
                 agent until then"
            );
        }
        self.held.push(held);
        Ok(())
    }

    /// The offloads of an interface, and of a veth's peer in this namespace, where attaching may
    /// change them.
    fn offloads(&mut self, device: &Device, hook: Hook) -> Vec<Offloads> {
        if hook.kind() == Kind::Tc {
            return Vec::new();
        }
        let peer = device.lower.and_then(|index| {
            let peer = self.netdevs.by_index(index).ok().flatten()?;
            (device.kind.as_deref() == Some("veth")).then_some(peer)
        });
        let both = [Some(device), peer.as_ref()].into_iter().flatten();
        both.filter_map(|device| self.netdevs.offloads(device).ok())
            .collect()
    }

    /// Ends the links of ours on an interface at other hooks than this one.
    fn end_others(&mut self, device: &Device, stays: Hook) -> Result<(), DatapathError> {
        let ended = self.extract(device, |hook| hook != stays);
        if ended.is_empty() {
            return Ok(());
        }
        if stays.kind() == Kind::Xdp {
            // What had passed that hook before is still on its way to the other one.
            std::thread::sleep(ON_THE_WAY);
        }
        self.end(&ended)
    }

    /// Detaches links, and removes their pins.
    pub(super) fn end(&mut self, ended: &[Held]) -> Result<(), DatapathError> {
        let mut here = Vantage {
            pins: &self.pins,
            namespace: self.namespace,
            netdevs: &mut self.netdevs,
        };
        for held in ended {
            let detached = held.tie.detach(&mut here);
            detached.map_err(|source| DatapathError::System {
                call: "detaching a link or filter",
                source,
            })?;
        }
        // Those of filters are known no more by what they say.
        for pin in self.pins.link_pins()? {
            let Ok(tie) = Tie::open(&pin) else { continue };
            let id = tie.info(&mut here).map(|info| info.id);
            if ended.iter().any(|held| id.as_ref().ok() == Some(&held.id)) {
                pin.remove()?;
            }
        }
        Ok(())
    }
}

impl Held {
    /// The hook of an interface that it is at.
    pub(super) fn is_on(&self, device: &Device, here: &mut Vantage<'_>) -> Option<Hook> {
        let info = self.tie.info(here).ok()?;
        found_on(device, &info, here.netdevs).map(|(hook, _)| hook)
    }
}

/// Logs that an interface is filtered at another hook.
fn tell(device: &Device, hook: Hook) {
    tracing::info!(
        interface = device.name,
        hook = hook.name(),
        "the hook is another from now on"
    );
}

/// Why a hook was not to be had.
fn why_not(hook: Hook, error: &DatapathError) -> String {
    match error {
        DatapathError::InterfaceBusy { .. } => {
            format!("another program is attached by {}", hook.in_words())
        }
        DatapathError::Attach { source, .. } => {
            format!("{} is refused: {source}", hook.in_words())
        }
        other => other.to_string(),
    }
}

/// What of offloads changed, a line for each interface and direction.
fn changes(before: &[Offloads], after: &[Offloads]) -> Vec<String> {
    let pairs = before.iter().zip(after);
    let lines = pairs.flat_map(|(before, after)| {
        [(true, "off"), (false, "on")].map(|(was_on, now)| {
            let changed = before.changed(after, was_on);
            let names = changed.join(", ");
            (!changed.is_empty()).then(|| format!("{}: {names} {now}", before.interface))
        })
    });
    lines.flatten().collect()
}
