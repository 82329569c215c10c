//! Reading the program's events.

use aya::maps::{MapData, RingBuf};
use netpolicy_common::{CpuState, Event};

use super::{
    CounterSnapshot, DatapathError, counters, maps,
    pins::Pins,
    sys::{ControlPage, Mapped},
};

/// The ring buffer of judged attempts. There is one read position for all readers:
/// two of them share the events between them.
pub struct EventReader {
    ring: RingBuf<MapData>,
    control: ControlPage,
    cpus: Mapped<CpuState>,
}

impl EventReader {
    pub(super) fn open(pins: &Pins) -> Result<Self, DatapathError> {
        let (ring, control, cpus) = maps::open_events(&pins.live())?;
        Ok(Self {
            ring,
            control,
            cpus,
        })
    }

    /// The next event, if there is one. The program wakes no reader: look again after a while.
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

    /// Lets every CPU write this many events more, of denied attempts and of those that pass;
    /// the rest of the last allowance is dropped.
    pub fn grant(&mut self, denied: u64, passed: u64) {
        counters::grant(&self.control, denied, passed);
    }

    /// What is counted of all that is judged, reported or not.
    #[must_use]
    pub fn counters(&self) -> CounterSnapshot {
        counters::read_pages(&self.cpus, &self.control)
    }

    /// Lets every CPU send this many resets a second from now on.
    pub fn limit_resets(&mut self, per_second: u64) {
        self.control.set_resets_per_second(per_second);
    }
}
