//! The agent's view of the kernel: five small traits, which the datapath implements.
//!
//! The supervisor and the API are written against these, so that they can be
//! tested without a kernel; [`super::datapath`] is what they are in real life.

use std::net::IpAddr;
use std::sync::Arc;

use netpolicy_common::{Action, Event, EventStats, Reason};

use crate::agent::error::EnforcerError;
use crate::arrival::{ArrivalError, Origin};
use crate::compiler::{Extent, Ruleset};
use crate::datapath::{
    AttachedInterface, BanLists, BypassEntry, CounterSnapshot, Enforced, EnforcedRules,
    PreparedBans, PreparedSlot,
};
use crate::netdev::Device;

/// Writes: there is one, and the supervisor's thread owns it.
pub trait Enforcer: Send + 'static {
    /// Relies no longer on what the kernel was known to hold: the next
    /// [`Self::prepare`] writes everything again.
    fn distrust(&mut self);

    /// Fills the idle slot; nothing in force changes.
    ///
    /// # Errors
    /// The kernel does not take it. Nothing in force has changed.
    fn prepare(
        &mut self,
        ruleset: &Arc<Ruleset>,
        revision: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<PreparedSlot, EnforcerError>;

    /// Puts it into force at one instant; the new generation.
    fn commit(&mut self, prepared: PreparedSlot) -> u64;

    /// Whether what is pinned is what the agent works on.
    fn is_pinned(&self) -> bool;

    /// Reinstalls after the pins were lost, with `ruleset` in force; the
    /// generation. Links that are held run what is installed.
    ///
    /// # Errors
    /// The kernel refuses.
    fn reinstall(&mut self, ruleset: &Arc<Ruleset>, revision: u64) -> Result<u64, EnforcerError>;

    /// Opens the events. There should be one reader.
    ///
    /// # Errors
    /// The ring buffer cannot be opened.
    fn events(&mut self) -> Result<Box<dyn EventSource>, EnforcerError>;

    /// The program's links.
    fn links(&self) -> Arc<dyn LinkSet>;

    /// Why pins, and filtering with them, end with the agent's mount namespace; `None`:
    /// they do not.
    fn private_pins(&self) -> Option<&str>;

    /// What is in force, as the kernel says.
    ///
    /// # Errors
    /// The maps cannot be read.
    fn enforced(&self) -> Result<Enforced, EnforcerError>;

    /// All rules and bypasses in force, in full.
    ///
    /// # Errors
    /// The maps cannot be read.
    fn in_force(&self) -> Result<EnforcedRules, EnforcerError>;

    /// Reads the lists in force back, as far as the extent goes, and names what differs
    /// from `ruleset`.
    ///
    /// # Errors
    /// The maps cannot be read.
    fn verify(&self, ruleset: &Ruleset, extent: Extent) -> Result<Vec<String>, EnforcerError>;

    /// Makes the bypasses exactly these.
    ///
    /// # Errors
    /// The kernel does not take them.
    fn set_bypasses(&mut self, entries: &[BypassEntry]) -> Result<(), EnforcerError>;

    /// Makes bans ready; nothing that is banned changes, but that the LPM engine bans what is
    /// new at once.
    ///
    /// # Errors
    /// The kernel does not take them.
    fn prepare_bans(&mut self, bans: &Arc<BanLists>) -> Result<PreparedBans, EnforcerError>;

    /// Puts them in force.
    ///
    /// # Errors
    /// The kernel holds more than these.
    fn commit_bans(&mut self, prepared: PreparedBans) -> Result<(), EnforcerError>;

    /// Reads the bans in force back, as far as the extent goes, and names what differs.
    ///
    /// # Errors
    /// The maps cannot be read.
    fn verify_bans(&self, bans: &BanLists, extent: Extent) -> Result<Vec<String>, EnforcerError>;
}

/// The program's links: any thread may ask and change them, also while the writer is at
/// work.
pub trait LinkSet: Send + Sync + 'static {
    /// Attaches to an interface, or sees that it is attached.
    ///
    /// # Errors
    /// It does not exist, or the kernel refuses.
    fn attach(&self, interface: &str) -> Result<(), EnforcerError>;

    /// Moves a filtered interface to the hook that the configuration would have, if it is at
    /// another, without a gap.
    ///
    /// # Errors
    /// It stays where it is.
    fn settle(&self, interface: &str) -> Result<(), EnforcerError>;

    /// Detaches from an interface; `false` if it was not attached.
    ///
    /// # Errors
    /// The kernel refuses.
    fn detach(&self, interface: &str) -> Result<bool, EnforcerError>;

    /// Detaches from all interfaces; their names.
    ///
    /// # Errors
    /// The kernel refuses.
    fn detach_all(&self) -> Result<Vec<String>, EnforcerError>;

    /// Puts removed pins back; the names or indices of their interfaces.
    ///
    /// # Errors
    /// The links cannot be pinned: filtering ends with the agent.
    fn keep(&self) -> Result<Vec<u32>, EnforcerError>;

    /// Where the agent's program is attached, as the interfaces say.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    fn attached(&self) -> Result<Vec<AttachedInterface>, EnforcerError>;

    /// The index of the interface of this name in the agent's network namespace, if
    /// there is one.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    fn index_of(&self, interface: &str) -> Result<Option<u32>, EnforcerError>;

    /// All interfaces of the agent's network namespace, with their addresses.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    fn devices(&self) -> Result<Vec<Device>, EnforcerError>;
}

/// Reads, from any thread, also while the supervisor is at work.
pub trait Inspector: Send + Sync + 'static {
    /// What is in force.
    ///
    /// # Errors
    /// The maps cannot be read.
    fn enforced(&self) -> Result<Enforced, EnforcerError>;

    /// Where the agent's program is attached, as the interfaces say.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    fn attached(&self) -> Result<Vec<AttachedInterface>, EnforcerError>;

    /// All interfaces of the agent's network namespace, with their addresses.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    fn devices(&self) -> Result<Vec<Device>, EnforcerError>;

    /// Reads all lists in force back and names what differs from `ruleset`; then what is in
    /// force. If that is another generation than the ruleset's, a change came between, and
    /// the differences say nothing.
    ///
    /// # Errors
    /// The maps cannot be read.
    fn verify(&self, ruleset: &Ruleset) -> Result<(Vec<String>, Enforced), EnforcerError>;

    /// All counters.
    ///
    /// # Errors
    /// The maps cannot be read.
    fn counters(&self) -> Result<CounterSnapshot, EnforcerError>;

    /// What became of events, all CPUs together.
    ///
    /// # Errors
    /// The map cannot be read.
    fn event_stats(&self) -> Result<EventStats, EnforcerError>;

    /// What the loaded program says of a packet.
    ///
    /// # Errors
    /// The program cannot be run.
    fn probe(&self, packet: &[u8]) -> Result<(Action, Reason), EnforcerError>;

    /// Where attempts of a source arrive: on the named interface, else on that of the
    /// route to it. For a thread of tokio's that may block.
    ///
    /// # Errors
    /// There is no such interface, or the kernel cannot be asked.
    fn origin(&self, source: IpAddr, interface: Option<&str>) -> Result<Origin, ArrivalError>;
}

/// The kill switch: works at any time, on any thread.
pub trait KillSwitch: Send + Sync + 'static {
    /// The names of the interfaces that are filtered.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    fn filtered(&self) -> Result<Vec<String>, EnforcerError>;

    /// Detaches from all interfaces; their names.
    ///
    /// # Errors
    /// The kernel refuses.
    fn detach_all(&self) -> Result<Vec<String>, EnforcerError>;
}

/// The ring buffer of events.
pub trait EventSource: Send + 'static {
    /// The next event, if there is one.
    fn next(&mut self) -> Option<Event>;

    /// Allows every CPU this from now on, replacing what is left of the last allowance.
    ///
    /// # Errors
    /// The map cannot be written.
    fn grant(&mut self, allowance: Allowance) -> Result<(), EnforcerError>;

    /// What is counted of all that is judged, whether it is reported or not. What an event was
    /// written for before is counted in it.
    fn counters(&mut self) -> CounterSnapshot;
}

/// What a CPU's programs may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Events of denied attempts until the next allowance.
    pub denied: u64,
    /// Events of attempts that pass until the next allowance.
    pub passed: u64,
    /// Resets a second; this holds on without an agent.
    pub resets_per_second: u64,
}
