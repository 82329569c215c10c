//! Taking over what is pinned, or reinstalling, without a gap.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use netpolicy_common::{ABI_VERSION, Action, Build, Engine, Reason};

use super::{
    AttachedInterface, BanLists, BypassEntry, CounterSnapshot, DatapathError, Enforced,
    EventReader, Hook, LinkLayer, Links, PreparedBans, PreparedSlot, attach,
    bans::BanSets,
    bpffs, bypass, counters,
    maps::{self, Maps},
    pins::Pins,
    program::{self, Program, Subset},
    reader,
    requirements::{check_privileges, check_system},
    slots::Slots,
    sys::link::Kind,
};
use crate::{
    compiler::{Extent, Ruleset},
    config::{BpffsChoice, EngineChoice, HookChoice},
};

/// Where and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory for pins; a BPF file system is mounted if there is none.
    pub bpffs_dir: PathBuf,
    /// Where to attach to interfaces.
    pub hook: HookChoice,
    /// How the kernel is to hold lists.
    pub engine: EngineChoice,
    /// Leaves another ruleset than the one that is wanted in force, where the pins allow it.
    pub keep: bool,
    /// The addresses that are banned; `None`: those that are in force stay.
    pub bans: Option<Arc<BanLists>>,
    /// Leaves the bans that are in force, where the pins allow it.
    pub keep_bans: bool,
}

/// Makes the directory for pins, mounting a BPF file system if there is none;
/// [`Datapath::open`] does so itself.
///
/// # Errors
/// When there is none and none can be mounted, or it would end with this mount namespace
/// and `choice` does not accept that.
pub fn prepare_dir(bpffs_dir: &Path, choice: BpffsChoice) -> Result<(), DatapathError> {
    check_privileges()?;
    bpffs::check(bpffs_dir, choice)?;
    Pins::create(bpffs_dir).map(drop)
}

/// What [`Datapath::open`] found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// What was pinned is this program enforcing this ruleset: nothing was touched.
    Adopted,
    /// What was pinned is this program; it enforced another ruleset.
    Updated,
    /// Another build of the program was replaced; its maps stay in use.
    Upgraded,
    /// Nothing usable was pinned; this says why.
    Installed(String),
}

/// The one writer of the pinned maps and links.
pub struct Datapath {
    pins: Pins,
    maps: Maps,
    links: Links,
    engine: Engine,
    probe: Program,
    /// Programs that were loaded to be asked, by kind and link layer.
    asked: Mutex<Vec<((Kind, LinkLayer), Program)>>,
    slots: Slots,
    bans: BanSets,
}

impl Datapath {
    /// Takes over what is pinned, or reinstalls, and makes it enforce `ruleset`.
    /// Programs of existing links are replaced from one packet to the next.
    ///
    /// # Errors
    /// Whatever is wrong with privileges, kernel, bpffs or pins. What was in force
    /// stays in force.
    pub fn open(
        options: &Options,
        ruleset: &Arc<Ruleset>,
        revision: u64,
    ) -> Result<(Self, Opened), DatapathError> {
        check_system()?;
        let pins = Pins::create(&options.bpffs_dir)?;
        attach::check_namespace(&pins)?;
        let links = Links::open(&pins, options.hook)?;
        Self::open_with(pins, links, options, ruleset, revision)
    }

    /// Installs again after pins were lost, as [`Self::open`] does. The links that are held
    /// go on filtering, and run what is installed.
    ///
    /// # Errors
    /// As those of [`Self::open`].
    pub fn reopen(
        &mut self,
        options: &Options,
        ruleset: &Arc<Ruleset>,
        revision: u64,
    ) -> Result<(), DatapathError> {
        let pins = Pins::create(&options.bpffs_dir)?;
        let links = self.links.clone();
        (*self, _) = Self::open_with(pins, links, options, ruleset, revision)?;
        Ok(())
    }

    fn open_with(
        pins: Pins,
        links: Links,
        options: &Options,
        ruleset: &Arc<Ruleset>,
        revision: u64,
    ) -> Result<(Self, Opened), DatapathError> {
        let live = pins.live();
        let why = match maps::read_build(&live) {
            None => "nothing was pinned".to_owned(),
            Some(build) if build.abi != ABI_VERSION => {
                format!("the pins were of ABI {}, this is {ABI_VERSION}", build.abi)
            }
            Some(build) if Engine::from_u32(build.engine) != Some(options.engine.into()) => {
                let name = Engine::from_u32(build.engine).map_or("another", Engine::name);
                format!("the pins were of the {name} engine")
            }
            Some(build) => match Self::adopt(&pins, &links, options, build, ruleset, revision) {
                Ok(adopted) => return Ok(adopted),
                Err(DatapathError::ForeignPin { path, what }) => {
                    format!("the pin {} was damaged: {what}", path.display())
                }
                Err(other) => return Err(other),
            },
        };
        let datapath = Self::install(pins, links, options, ruleset, revision)?;
        Ok((datapath, Opened::Installed(why)))
    }

    fn adopt(
        pins: &Pins,
        links: &Links,
        options: &Options,
        build: Build,
        ruleset: &Arc<Ruleset>,
        revision: u64,
    ) -> Result<(Self, Opened), DatapathError> {
        let engine = options.engine.into();
        let live = pins.live();
        let mut maps = Maps::open(&live, true)?;
        maps::open_events(&live)?;
        let same_program = build.program == program::digest();
        let mut opened = Opened::Adopted;
        if same_program {
            program::clear(&live);
        } else {
            program::load(engine, &live, Subset::All)?;
            // While pins are replaced, they are of no build: whatever a crash leaves of two, the
            // next agent of either replaces again.
            set_build(&mut maps, engine, NO_PROGRAM)?;
            program::put_in_place(&live, Subset::All)?;
            opened = Opened::Upgraded;
        }
        let (programs, probe) = program::open_over(&live, engine, &maps)?;
        links.replace(programs)?;
        if !same_program {
            set_build(&mut maps, engine, program::digest())?;
        }
        let in_force = reader::enforced(&maps)?;
        let is_current = in_force.generation > 0 && in_force.digest == ruleset.digest();
        let slots = Slots::adopted(engine, &mut maps, is_current.then_some(ruleset))?;
        let bans = BanSets::adopted(engine, &maps)?;
        let mut datapath = Self {
            pins: pins.clone(),
            maps,
            links: links.clone(),
            engine,
            probe,
            asked: Mutex::default(),
            slots,
            bans,
        };
        let keeps_bans = options.keep_bans && in_force.generation > 0;
        let bans = options.bans.as_ref().filter(|_| !keeps_bans);
        let bans = bans.map(|bans| datapath.prepare_bans(bans)).transpose()?;
        let stays = is_current || (options.keep && in_force.generation > 0);
        if !stays {
            let prepared = datapath.prepare(ruleset, revision, &mut |_, _| {})?;
            datapath.commit(&prepared);
            if opened == Opened::Adopted {
                opened = Opened::Updated;
            }
        }
        // Their scopes' numbers are the ruleset's.
        if let Some(bans) = bans {
            datapath.commit_bans(&bans)?;
        }
        Ok((datapath, opened))
    }

    fn install(
        pins: Pins,
        links: Links,
        options: &Options,
        ruleset: &Arc<Ruleset>,
        revision: u64,
    ) -> Result<Self, DatapathError> {
        let engine = options.engine.into();
        let next = pins.begin_next()?;
        program::load(engine, &next, Subset::All)?;
        program::put_in_place(&next, Subset::All)?;
        let mut maps = Maps::open(&next, true)?;
        let (programs, probe) = program::open_over(&next, engine, &maps)?;
        let mut slots = Slots::empty(engine, &mut maps)?;
        let prepared = slots.prepare(&mut maps, ruleset, revision, &mut |_, _| {})?;
        slots.commit(&maps, &prepared);
        let mut bans = BanSets::adopted(engine, &maps)?;
        if let Some(banned) = &options.bans {
            let prepared = bans.prepare(&mut maps, banned)?;
            bans.commit(&mut maps, &prepared)?;
        }
        set_build(&mut maps, engine, program::digest())?;
        links.replace(programs)?;
        pins.promote_next()?;
        Ok(Self {
            pins,
            maps,
            links,
            engine,
            probe,
            asked: Mutex::default(),
            slots,
            bans,
        })
    }

    /// Fills the idle slot with `ruleset`. Nothing is different in force until
    /// [`Self::commit`]. `progress` is told how many entries of how many are written.
    ///
    /// # Errors
    /// The kernel's; `ENOMEM` only after some patience.
    pub fn prepare(
        &mut self,
        ruleset: &Arc<Ruleset>,
        revision: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<PreparedSlot, DatapathError> {
        self.slots
            .prepare(&mut self.maps, ruleset, revision, progress)
    }

    /// Relies no longer on what the kernel was known to hold: the next
    /// [`Self::prepare`] writes everything again. For the repair of what another process
    /// changed.
    pub fn distrust(&mut self) {
        self.slots.forget();
        self.bans.forget();
    }

    /// Makes these bans ready. Nothing is different in force until [`Self::commit_bans`], but
    /// that the LPM engine adds what is new at once.
    ///
    /// # Errors
    /// They do not fit; or the kernel's.
    pub fn prepare_bans(&mut self, bans: &Arc<BanLists>) -> Result<PreparedBans, DatapathError> {
        self.bans.prepare(&mut self.maps, bans)
    }

    /// Puts what was prepared in force; with the flat engine at one instant for all packets.
    ///
    /// # Errors
    /// The LPM engine's tries cannot be changed: they hold more than they are to.
    ///
    /// # Panics
    /// When something else was prepared since: a caller's mistake.
    pub fn commit_bans(&mut self, prepared: &PreparedBans) -> Result<(), DatapathError> {
        self.bans.commit(&mut self.maps, prepared)
    }

    /// Reads the bans in force back, as far as the extent goes, and names how they differ from
    /// these.
    ///
    /// # Errors
    /// When the maps cannot be read.
    pub fn verify_bans(
        &self,
        bans: &BanLists,
        extent: Extent,
    ) -> Result<Vec<String>, DatapathError> {
        self.bans.verify(&self.maps, bans, extent)
    }

    /// Puts what was prepared in force, at one instant for all packets. Returns the
    /// generation.
    ///
    /// # Panics
    /// When something else was prepared since: a caller's mistake.
    pub fn commit(&mut self, prepared: &PreparedSlot) -> u64 {
        self.slots.commit(&self.maps, prepared)
    }

    /// The links of the program, which any thread may ask and change.
    #[must_use]
    pub fn links(&self) -> Links {
        self.links.clone()
    }

    /// See [`Links::attach`].
    ///
    /// # Errors
    /// As those of [`Links::attach`].
    pub fn attach(&self, interface: &str) -> Result<AttachedInterface, DatapathError> {
        self.links.attach(interface)
    }

    /// What is in force, asked of the kernel.
    ///
    /// # Errors
    /// When the maps cannot be read.
    pub fn enforced(&self) -> Result<Enforced, DatapathError> {
        reader::enforced(&self.maps)
    }

    /// Whether the maps are still the pinned ones: a process may have removed the pins, or
    /// some of them, without which neither commands nor the next agent can read them.
    #[must_use]
    pub fn pins_are_there(&self) -> bool {
        let live = self.pins.live();
        program::are_pinned(&live)
            && maps::read_build(&live)
                .is_some_and(|build| build.abi == ABI_VERSION && build.program == program::digest())
    }

    /// Reads back what is in force, as far as the extent goes, and names how it differs
    /// from `ruleset`.
    ///
    /// Takes about 0.2 µs a prefix with the flat engine, some microseconds with LPM tries,
    /// of which a sample shows what is missing and not what is too much.
    ///
    /// # Errors
    /// When the maps cannot be read.
    pub fn verify(&self, ruleset: &Ruleset, extent: Extent) -> Result<Vec<String>, DatapathError> {
        self.slots.verify(&self.maps, ruleset, extent)
    }

    /// All counters.
    #[must_use]
    pub fn counters(&self) -> CounterSnapshot {
        counters::read(&self.maps)
    }

    /// Makes the kernel hold just these bypasses.
    ///
    /// # Errors
    /// Too many of them, or the kernel's.
    pub fn set_bypasses(&mut self, entries: &[BypassEntry]) -> Result<(), DatapathError> {
        bypass::set(&mut self.maps, entries)
    }

    /// Asks the program about an Ethernet frame (`BPF_PROG_TEST_RUN`), loaded a second time
    /// for that: the frame is neither counted nor reported.
    ///
    /// # Errors
    /// When the kernel refuses the frame (one of less than 14 bytes, for example).
    pub fn probe(&self, frame: &[u8]) -> Result<(Action, Reason), DatapathError> {
        reader::probe(&self.probe, frame, None)
    }

    /// The same of the program at another hook, or of an IP packet as it arrives at an interface
    /// without a link-layer header. It is loaded when it is asked first. `context`: the frame's
    /// `struct xdp_md` or `struct __sk_buff`, where it is not the usual one.
    ///
    /// # Errors
    /// As [`Self::probe`]; or it cannot be loaded.
    pub fn probe_at(
        &self,
        hook: Hook,
        link_layer: LinkLayer,
        frame: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(Action, Reason), DatapathError> {
        let which = (hook.kind(), link_layer);
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let at = match asked.iter().position(|(asked, _)| *asked == which) {
            Some(at) => at,
            None => {
                let live = self.pins.live();
                let program = program::load_probe(which.0, which.1, self.engine, &live)?;
                asked.push((which, program));
                asked.len() - 1
            }
        };
        reader::probe(&asked[at].1, frame, context)
    }

    /// Lets every CPU send this many resets a second, from now on and without this process.
    pub fn limit_resets(&self, per_second: u64) {
        self.maps.control.set_resets_per_second(per_second);
    }

    /// Opens the events. There is one read position: only one reader should exist.
    ///
    /// # Errors
    /// When the pin cannot be opened.
    pub fn take_events(&self) -> Result<EventReader, DatapathError> {
        EventReader::open(&self.pins)
    }
}

impl std::fmt::Debug for Datapath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Datapath")
            .field("pins", &self.pins.root())
            .finish_non_exhaustive()
    }
}

/// What no program's digest is.
pub(super) const NO_PROGRAM: [u8; 32] = [0; 32];

pub(super) fn set_build(
    maps: &mut Maps,
    engine: Engine,
    program: [u8; 32],
) -> Result<(), DatapathError> {
    let build = Build {
        abi: ABI_VERSION,
        engine: engine as u32,
        program,
    };
    maps.build
        .set(0, build, 0)
        .map_err(DatapathError::map("set", "BUILD"))
}
