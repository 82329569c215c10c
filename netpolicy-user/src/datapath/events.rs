//! Reading the program's events.

use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::{MapData, RingBuf};
use netpolicy_common::Event;

use super::{DatapathError, counters, maps, pins::Pins, sys::ControlPage};

/// The ring buffer of denied attempts. There is one read position for all readers:
/// two of them share the events between them.
pub struct EventReader {
    ring: RingBuf<MapData>,
    control: ControlPage,
}

impl EventReader {
    pub(super) fn open(pins: &Pins) -> Result<Self, DatapathError> {
        let (ring, control) = maps::open_events(&pins.live())?;
        Ok(Self { ring, control })
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

    /// Lets every CPU write this many events more; the rest of the last allowance is dropped.
    pub fn grant(&mut self, per_cpu: u64) {
        counters::grant(&self.control, per_cpu);
    }

    /// Lets every CPU send this many resets a second from now on.
    pub fn limit_resets(&mut self, per_second: u64) {
        self.control.set_resets_per_second(per_second);
    }
}

impl AsFd for EventReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}
