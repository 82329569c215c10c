//! Which interfaces the program is told to answer at.
//!
//! The map says it by index, and for each what its own frames are addressed to: of an interface
//! that is not there the program answers nothing.

use std::collections::BTreeMap;

use aya::maps::MapError;
use netpolicy_common::Answering;

use super::Inner;
use crate::{
    datapath::{AttachedInterface, DatapathError, attach::asking, maps},
    netdev::{Device, Netdevs},
};

impl Inner {
    /// Tells the program of the interfaces that are attached, and of their addresses. Nothing
    /// pinned: nothing is told.
    pub(super) fn tell_answering(&mut self) -> Result<(), DatapathError> {
        let live = self.pins.live();
        if !live.join(maps::ANSWERING).exists() {
            return Ok(());
        }
        let attached = self.attached()?;
        let wanted = wanted(&attached, &mut self.netdevs)?;
        let mut map = maps::open_answering(&live)?;
        let mut known = BTreeMap::new();
        for entry in map.iter() {
            let (index, answering) = entry.map_err(failed("read"))?;
            known.insert(index, answering);
        }
        for index in known.keys().filter(|index| !wanted.contains_key(index)) {
            map.remove(index).map_err(failed("remove from"))?;
        }
        for (index, answering) in &wanted {
            if known.get(index) != Some(answering) {
                map.insert(index, answering, 0).map_err(failed("set"))?;
            }
        }
        Ok(())
    }
}

fn failed(action: &'static str) -> impl Fn(MapError) -> DatapathError {
    move |source| DatapathError::map(action, maps::ANSWERING)(source)
}

/// By index.
fn wanted(
    attached: &[AttachedInterface],
    netdevs: &mut Netdevs,
) -> Result<BTreeMap<u32, Answering>, DatapathError> {
    let mut wanted = BTreeMap::new();
    for interface in attached {
        if !interface.is_here || interface.unanswered.is_some() {
            continue;
        }
        let Some(device) = netdevs.by_index(interface.index).map_err(asking)? else {
            continue;
        };
        let master = match device.master {
            Some(master) => netdevs.by_index(master).map_err(asking)?,
            None => None,
        };
        wanted.insert(interface.index, answering(&device, master.as_ref()));
    }
    Ok(wanted)
}

/// Frames to a port are addressed to itself, or to the bridge or bond above it.
fn answering(device: &Device, master: Option<&Device>) -> Answering {
    let own = device.link_address.unwrap_or_default();
    let above = master.and_then(|master| master.link_address);
    Answering {
        addresses: [own, above.unwrap_or(own)],
        reserved: [0; 4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_answers_frames_to_itself_and_to_what_is_above_it() {
        let device = |last| Device {
            link_address: Some([2, 0, 0, 0, 0, last]),
            ..Device::default()
        };
        let (port, bridge) = (device(1), device(2));
        let of = |master| answering(&port, master).addresses.map(|address| address[5]);
        assert_eq!(of(None), [1, 1]);
        assert_eq!(of(Some(&bridge)), [1, 2]);
        // One without Ethernet addresses, such as a VRF's or a tunnel.
        assert_eq!(of(Some(&Device::default())), [1, 1]);
        assert_eq!(answering(&Device::default(), None), Answering::default());
    }
}
