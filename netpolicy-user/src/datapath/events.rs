//! Reading the program's events.

use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::{MapData, PerCpuArray, RingBuf};
use netpolicy_common::Event;

use super::{DatapathError, counters::on_every_cpu, maps, pins::Pins};

/// The ring buffer of denied attempts. There is one read position for all readers:
/// two of them share the events between them.
pub struct EventReader {
    ring: RingBuf<MapData>,
    allowance: PerCpuArray<MapData, u64>,
}

impl EventReader {
    pub(super) fn open(pins: &Pins) -> Result<Self, DatapathError> {
        let (ring, allowance) = maps::open_events(&pins.live())?;
        Ok(Self { ring, allowance })
    }

    /// The next event, if there is one. Wait for more by polling the descriptor.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let item = self.ring.next()?;
            if item.len() == size_of::<Event>() {
                // SAFETY: as many bytes as an event has, every bit pattern is one, and
                // the read asks for no alignment.
                return Some(unsafe { std::ptr::read_unaligned(item.as_ptr().cast::<Event>()) });
            }
        }
    }

    /// Lets every CPU write this many events more; what it had left is forgotten.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn grant(&mut self, per_cpu: u64) -> Result<(), DatapathError> {
        self.allowance
            .set(0, on_every_cpu(per_cpu)?, 0)
            .map_err(DatapathError::map("set", "EVENT_ALLOWANCE"))
    }
}

impl AsFd for EventReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}
