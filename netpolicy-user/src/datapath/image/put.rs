//! Putting an image in force where nothing is.

use std::sync::Arc;

use netpolicy_common::{Engine, SlotInfo, slot_of};

use super::{ImageError, ImageReader};
use crate::datapath::{
    BanLists, DatapathError, Links, Options, attach,
    bans::BanSets,
    flat::image::{LoosePages, SLOT_WORD},
    governance::head_of,
    install::set_build,
    maps::Maps,
    pins::Pins,
    program,
    requirements::check_system,
};

/// The generation that an image is put in force as.
const GENERATION: u64 = 1;

/// Loads the program, puts an image in force, and attaches to these interfaces; with each its
/// failure, if it could not be attached to. What was pinned before is replaced. Nothing is in
/// force of an image that turns out to be damaged.
///
/// # Errors
/// The image's and the kernel's.
pub fn enforce_image(
    options: &Options,
    image: ImageReader,
    interfaces: &[String],
) -> Result<Vec<(String, Option<DatapathError>)>, ImageError> {
    check_system()?;
    let pins = Pins::create(&options.bpffs_dir)?;
    attach::check_namespace(&pins)?;
    let links = Links::open(&pins, options.hook)?;
    if let Err(error) = install(&pins, &links, image, options.bans.as_ref()) {
        pins.remove_next();
        return Err(error);
    }
    let attached = interfaces
        .iter()
        .map(|name| (name.clone(), links.attach(name).err()));
    Ok(attached.collect())
}

fn install(
    pins: &Pins,
    links: &Links,
    mut image: ImageReader,
    bans: Option<&Arc<BanLists>>,
) -> Result<(), ImageError> {
    let engine = Engine::Flat;
    let next = pins.begin_next()?;
    // The verifier takes as long as the pages of some hundred thousand entries.
    let (loaded, pages) = std::thread::scope(|scope| {
        let loading = scope.spawn(|| {
            program::load(engine, &next)?;
            program::put_in_place(&next)?;
            let maps = Maps::open(&next, true)?;
            let (programs, _) = program::open_over(&next, engine, &maps)?;
            Ok::<_, DatapathError>((maps, programs))
        });
        let mut pages = LoosePages::default();
        let read = image.pages(|page| pages.push(page));
        let loaded = loading.join();
        (
            loaded.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            read.map(|()| pages),
        )
    });
    let pages = pages?;
    let (mut maps, programs) = loaded?;
    pages.place(&maps)?;
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
    if let Some(bans) = bans {
        let mut sets = BanSets::adopted(engine, &maps)?;
        let prepared = sets.prepare(&mut maps, bans)?;
        sets.commit(&mut maps, &prepared)?;
    }
    maps.control.set_generation(GENERATION);
    // The rules are the writer's, and so is what is made of them.
    set_build(&mut maps, engine, image.head.program)?;
    links.replace(programs)?;
    pins.promote_next()?;
    Ok(())
}
