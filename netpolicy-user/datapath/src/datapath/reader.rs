//! Reading what is in force, with or without an agent.

use std::path::Path;

use aya::maps::{Array, MapData};
use netpolicy_common::{
    ABI_VERSION, Action, Build, Engine, EventStats, Reason, SlotInfo, reason::Probe, slot_of,
};

use super::{
    AttachedInterface, CounterSnapshot, DatapathError, attach, counters,
    maps::{self, Maps},
    pins::Pins,
    program::{self, Program, Programs},
    read_back::{self, EnforcedRules},
    slots::Slots,
    sys::ControlPage,
};
use crate::compiler::{Extent, Ruleset};

/// What the kernel says is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforced {
    /// Generation in force; 0: none yet.
    pub generation: u64,
    /// The store revision that it was compiled from.
    pub revision: u64,
    /// Prefixes in all lists together.
    pub entries: u64,
    /// BLAKE3 of the ruleset.
    pub digest: [u8; 32],
    /// ABI version of the pins.
    pub abi: u32,
    /// The engine; `None`: one of another version.
    pub engine: Option<Engine>,
    /// Whether the loaded program is the one of this build.
    pub is_own_program: bool,
}

/// Looks at what is pinned and changes nothing.
pub struct Reader {
    pins: Pins,
    maps: Maps,
    programs: Programs,
    probe: Program,
}

impl Reader {
    /// Opens what is pinned under a bpffs directory.
    ///
    /// # Errors
    /// Nothing there, or pins of another ABI, which are not read.
    pub fn open(bpffs_dir: &Path) -> Result<Self, DatapathError> {
        let pins = own_pins(bpffs_dir)?;
        let live = pins.live();
        let maps = Maps::open(&live, false)?;
        let programs = Programs::open(&live)?;
        let probe = program::open_probe(&live)?;
        Ok(Self {
            pins,
            maps,
            programs,
            probe,
        })
    }

    /// What is in force.
    ///
    /// # Errors
    /// When the maps cannot be read.
    pub fn enforced(&self) -> Result<Enforced, DatapathError> {
        enforced(&self.maps)
    }

    /// Reads the lists in force back, as far as the extent goes, and names what differs from
    /// `expected`; then what is in force. Of use only if that is the generation of
    /// `expected`: another one may have been written over what was read.
    ///
    /// # Errors
    /// When the maps cannot be read.
    pub fn verify(
        &self,
        expected: &Ruleset,
        extent: Extent,
    ) -> Result<(Vec<String>, Enforced), DatapathError> {
        let build = self.maps.build.get(&0, 0);
        let build = build.map_err(DatapathError::map("read", "BUILD"))?;
        let engine = Engine::from_u32(build.engine).unwrap_or(Engine::Flat);
        let differences = Slots::verify_pinned(engine, &self.maps, expected, extent)?;
        Ok((differences, self.enforced()?))
    }

    /// All rules and bypasses in force, in full. The caller sees to it that nothing changes
    /// them meanwhile.
    ///
    /// # Errors
    /// When the maps cannot be read, or hold what no ruleset is written as.
    pub fn in_force(&self) -> Result<EnforcedRules, DatapathError> {
        let build = self.maps.build.get(&0, 0);
        let build = build.map_err(DatapathError::map("read", "BUILD"))?;
        let engine = Engine::from_u32(build.engine).unwrap_or(Engine::Flat);
        read_back::read(&self.maps, engine)
    }

    /// The interfaces that the program is attached to. A link that was made to run
    /// another program filters nothing.
    ///
    /// # Errors
    /// When the pins cannot be listed.
    pub fn interfaces(&self) -> Result<Vec<AttachedInterface>, DatapathError> {
        let mut filtered = Vec::new();
        for interface in attach::attached(&self.pins)? {
            let kind = interface.hook.kind();
            if self
                .programs
                .is_right(kind, interface.link_layer, interface.program)?
            {
                filtered.push(interface);
            }
        }
        Ok(filtered)
    }

    /// All counters.
    #[must_use]
    pub fn counters(&self) -> CounterSnapshot {
        CounterSnapshot {
            since: self.pins.counting_since(),
            ..counters::read(&self.maps)
        }
    }

    /// As [`Datapath::probe`](super::Datapath::probe).
    ///
    /// # Errors
    /// When the kernel refuses the frame.
    pub fn probe(&self, frame: &[u8]) -> Result<(Action, Reason), DatapathError> {
        probe(&self.probe, frame, None)
    }
}

/// The pins under a bpffs directory, if they are there and of this build's ABI.
fn own_pins(bpffs_dir: &Path) -> Result<Pins, DatapathError> {
    let pins = Pins::new(bpffs_dir);
    let live = pins.live();
    let path = bpffs_dir.to_path_buf();
    match maps::is_there(&live) {
        Ok(true) => {}
        _ if !rustix::process::geteuid().is_root() => return Err(DatapathError::NotPermitted),
        Ok(false) => return Err(DatapathError::NothingPinned { path }),
        Err(source) => {
            return Err(DatapathError::Pins {
                action: "look into",
                path: live,
                source,
            });
        }
    }
    let build = maps::build(&live)?;
    if build.abi != ABI_VERSION {
        return Err(DatapathError::OtherAbi {
            path,
            found: build.abi,
            ours: ABI_VERSION,
        });
    }
    Ok(pins)
}

/// As [`Reader::enforced`]; opens only what that needs, as the others do.
///
/// # Errors
/// As those of [`Reader::open`], and when a map cannot be read.
pub fn enforced_at(bpffs_dir: &Path) -> Result<Enforced, DatapathError> {
    let live = own_pins(bpffs_dir)?.live();
    let (control, slot_info, build) = maps::open_enforced(&live)?;
    read_enforced(&control, &slot_info, &build)
}

/// As [`Reader::counters`].
///
/// # Errors
/// As those of [`Reader::open`].
pub fn counters_at(bpffs_dir: &Path) -> Result<CounterSnapshot, DatapathError> {
    let pins = own_pins(bpffs_dir)?;
    let (control, cpus) = maps::open_counters(&pins.live())?;
    Ok(CounterSnapshot {
        since: pins.counting_since(),
        ..counters::read_pages(&cpus, &control)
    })
}

/// What became of events.
///
/// # Errors
/// As those of [`Reader::open`].
pub fn event_stats_at(bpffs_dir: &Path) -> Result<EventStats, DatapathError> {
    let (control, cpus) = maps::open_counters(&own_pins(bpffs_dir)?.live())?;
    Ok(counters::event_stats(&cpus, &control))
}

/// As [`Datapath::probe`](super::Datapath::probe).
///
/// # Errors
/// As those of [`Reader::open`], and when the kernel refuses the frame.
pub fn probe_at(bpffs_dir: &Path, frame: &[u8]) -> Result<(Action, Reason), DatapathError> {
    let program = program::open_probe(&own_pins(bpffs_dir)?.live())?;
    probe(&program, frame, None)
}

/// The kill switch: removes every link under a bpffs directory, and with it the
/// program from the interfaces, whose names it returns. Maps stay, so that an agent
/// can attach again at once.
///
/// # Errors
/// When a pin cannot be removed.
pub fn detach_pins(bpffs_dir: &Path) -> Result<Vec<String>, DatapathError> {
    attach::detach_pinned(&Pins::new(bpffs_dir))
}

pub(super) fn enforced(maps: &Maps) -> Result<Enforced, DatapathError> {
    read_enforced(&maps.control, &maps.slot_info, &maps.build)
}

fn read_enforced(
    control: &ControlPage,
    slot_info: &Array<MapData, SlotInfo>,
    build: &Array<MapData, Build>,
) -> Result<Enforced, DatapathError> {
    let generation = control.generation();
    let info = slot_info
        .get(&slot_of(generation), 0)
        .map_err(DatapathError::map("read", "SLOT_INFO"))?;
    let build = build
        .get(&0, 0)
        .map_err(DatapathError::map("read", "BUILD"))?;
    Ok(Enforced {
        generation,
        revision: info.revision,
        entries: info.entries,
        digest: info.digest,
        abi: build.abi,
        engine: Engine::from_u32(build.engine),
        is_own_program: build.program == program::digest(),
    })
}

pub(super) fn probe(
    program: &Program,
    frame: &[u8],
    context: Option<&[u8]>,
) -> Result<(Action, Reason), DatapathError> {
    let answer = program
        .ask(frame, context)
        .map_err(|error| DatapathError::Probe(error.to_string()))?;
    let unknown = || DatapathError::Probe(format!("it answers {answer:#x}"));
    let answer = Probe(answer);
    let reason = answer.reason().ok_or_else(unknown)?;
    // enum xdp_action of linux/bpf.h.
    let action = match answer.xdp_action() {
        1 => Action::Drop,
        2 => Action::Pass,
        _ => return Err(unknown()),
    };
    Ok((action, reason))
}
