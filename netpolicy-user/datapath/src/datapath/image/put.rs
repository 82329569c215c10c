//! Putting an image in force where nothing is.
//!
//! The verifier takes most of the time. So the programs that the interfaces run are loaded first,
//! while the maps are filled, and the others once those filter.

use std::sync::Arc;

use netpolicy_common::{Engine, SlotInfo, slot_of};

use super::{ImageError, ImageReader};
use crate::datapath::{
    BanLists, DatapathError, Links, Options, attach,
    bans::BanSets,
    early::{Instead, attach_each},
    flat::image::{LoosePages, SLOT_WORD},
    governance::head_of,
    install::{NO_PROGRAM, set_build},
    maps::Maps,
    pins::Pins,
    program::{self, ObjectFile, Subset},
    requirements::check_system,
};

/// The generation that an image is put in force as.
const GENERATION: u64 = 1;

const ENGINE: Engine = Engine::Flat;

/// Loads the program, puts an image in force, and attaches to these interfaces; with each its
/// failure, if it could not be attached to. `instead` says which others are to be filtered where
/// some are not. What was pinned before is replaced. Nothing is in force of an image that turns
/// out to be damaged.
///
/// # Errors
/// The image's and the kernel's.
pub fn enforce_image(
    options: &Options,
    image: ImageReader,
    interfaces: &[String],
    instead: Instead<'_>,
) -> Result<Vec<(String, Option<DatapathError>)>, ImageError> {
    check_system()?;
    let pins = Pins::create(&options.bpffs_dir)?;
    attach::check_namespace(&pins)?;
    let links = Links::open(&pins, options.hook)?;
    let needed = match links.attached()?.is_empty() {
        true => links.needs(interfaces),
        // They run something, and must run ours.
        false => Vec::new(),
    };
    let first = match needed.as_slice() {
        [] => Subset::All,
        needed => Subset::Of(needed),
    };
    let program = image.head.program;
    let (mut maps, object) = match install(&pins, &links, image, options.bans.as_ref(), first) {
        Ok(installed) => installed,
        Err(error) => {
            pins.remove_next();
            return Err(error);
        }
    };
    let mut attached = attach_each(&links, interfaces, instead);
    if let Subset::Of(needed) = first {
        let completed = complete(&pins, &links, &maps, &object, Subset::AllBut(needed));
        if let Err(error) = completed {
            // What is pinned is of no build, so the agent loads all of it again.
            tracing::warn!(%error, "not all programs could be loaded: the agent loads them");
            return Ok(attached);
        }
        // Another hook may have needed another program.
        for (name, error) in attached.iter_mut().filter(|(_, error)| error.is_some()) {
            *error = links.attach(name).err();
        }
    }
    // The rules are the writer's, and so is what is made of them.
    set_build(&mut maps, ENGINE, program)?;
    Ok(attached)
}

/// Returns also what loads the other programs.
fn install(
    pins: &Pins,
    links: &Links,
    image: ImageReader,
    bans: Option<&Arc<BanLists>>,
    first: Subset<'_>,
) -> Result<(Maps, ObjectFile), ImageError> {
    let next = pins.begin_next()?;
    let object = ObjectFile::open(&next)?;
    let mut maps = Maps::open(&next, true)?;
    // The verifier takes longer than all that is written to maps, which no packet sees yet.
    let (loaded, filled) = std::thread::scope(|scope| {
        let loading = scope.spawn(|| {
            program::load_over(&object, ENGINE, &next, first)?;
            program::put_in_place(&next, first)
        });
        let filled = fill(&mut maps, image, bans);
        let loaded = loading.join();
        (
            loaded.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            filled,
        )
    });
    filled?;
    loaded?;
    let programs = program::open_part_over(&next, ENGINE, &maps, first)?;
    maps.control.set_generation(GENERATION);
    // Until all of it is there: an agent that finds a part of it replaces that without a gap.
    set_build(&mut maps, ENGINE, NO_PROGRAM)?;
    links.replace(programs)?;
    pins.promote_next()?;
    Ok((maps, object))
}

/// Writes everything but the generation, which puts it in force.
fn fill(
    maps: &mut Maps,
    mut image: ImageReader,
    bans: Option<&Arc<BanLists>>,
) -> Result<(), ImageError> {
    let mut pages = LoosePages::default();
    image.pages(|page| pages.push(page))?;
    pages.place(maps)?;
    let slot = slot_of(GENERATION);
    if let Some(governance) = maps.governance.get_mut(slot as usize) {
        *governance = *image.governance;
        maps.control.set_slot(slot, head_of(governance));
    }
    let info = SlotInfo {
        generation: GENERATION,
        revision: image.head.origin.revision,
        entries: image.head.entries,
        engine: SLOT_WORD,
        digest: image.head.digest,
    };
    maps.slot_info
        .set(slot, info, 0)
        .map_err(DatapathError::map("set", "SLOT_INFO"))?;
    if let Some(bans) = bans.filter(|bans| !bans.is_empty())
        && let Err(error) = put_bans(maps, bans)
    {
        // Rules without bans are better than neither.
        tracing::warn!(%error, "bans are not in force until the agent starts");
    }
    Ok(())
}

fn put_bans(maps: &mut Maps, bans: &Arc<BanLists>) -> Result<(), DatapathError> {
    let mut sets = BanSets::adopted(ENGINE, maps)?;
    let prepared = sets.prepare(maps, bans)?;
    sets.commit(maps, &prepared)
}

/// Loads the programs that are missing.
fn complete(
    pins: &Pins,
    links: &Links,
    maps: &Maps,
    object: &ObjectFile,
    rest: Subset<'_>,
) -> Result<(), DatapathError> {
    let live = pins.live();
    program::load_over(object, ENGINE, &live, rest)?;
    program::put_in_place(&live, rest)?;
    let (programs, _) = program::open_over(&live, ENGINE, maps)?;
    links.replace(programs)
}
