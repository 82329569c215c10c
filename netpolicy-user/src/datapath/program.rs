//! Loading the program: twice, as it is asked and as it is at interfaces.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aya::{EbpfLoader, include_bytes_aligned, programs::Xdp};
use aya_obj::programs::XdpAttachType;
use netpolicy_common::Engine;

use super::{
    DatapathError,
    maps::{self, Maps},
    pins,
};

/// The program's object file, built from `netpolicy-ebpf`.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netpolicy-xdp"));

/// Pins of the program, and its name in the object file and in the kernel: as it is asked, and
/// as it is at interfaces.
const PROGRAMS: [(&str, &str); 2] = [
    (pins::PROBE, "netpolicy_probe"),
    (pins::PROGRAM, "netpolicy"),
];

/// Tells this object file from others.
pub(super) fn digest() -> [u8; 32] {
    *blake3::hash(OBJECT).as_bytes()
}

/// Loads the program over the maps pinned in `dir`, making and pinning those that are
/// missing: as it is asked and as it is at interfaces. Nothing is replaced by it until
/// [`put_in_place`].
pub(super) fn load(engine: Engine, dir: &Path) -> Result<(), DatapathError> {
    maps::make_control(dir)?;
    clear(dir);
    for (name, program) in PROGRAMS {
        load_as(program, engine, dir, &new_pin(dir, name))?;
    }
    Ok(())
}

/// Removes what a crash left that was loaded and not put in place.
pub(super) fn clear(dir: &Path) {
    for (name, _) in PROGRAMS {
        let _ = fs::remove_file(new_pin(dir, name));
    }
}

/// Makes what was loaded last replace the programs pinned in `dir`, one after the other.
pub(super) fn put_in_place(dir: &Path) -> Result<(), DatapathError> {
    for (name, _) in PROGRAMS {
        let new = new_pin(dir, name);
        fs::rename(&new, dir.join(name)).map_err(|source| DatapathError::Pins {
            action: "rename",
            path: new,
            source,
        })?;
    }
    Ok(())
}

fn new_pin(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}_NEW"))
}

fn load_as(name: &str, engine: Engine, dir: &Path, pin: &Path) -> Result<(), DatapathError> {
    let (engine, probe) = (engine as u32, u32::from(name == PROGRAMS[0].1));
    let cpus = maps::possible_cpus()?;
    // The loader writes variables anew, so what is there is said to be what they begin with.
    // What other programs count from here until then, some milliseconds, is lost.
    let control = maps::control_bytes(dir)?;
    let mut loader = EbpfLoader::new();
    loader.override_global("ENGINE", &engine, true);
    loader.override_global("PROBE", &probe, true);
    loader.override_global(maps::CONTROL, control.as_slice(), true);
    loader.map_max_entries("CPUS", cpus);
    for (name, _) in maps::PINNED {
        loader.map_pin_path(name, dir.join(name));
    }
    loader.map_pin_path(maps::CONTROL_SECTION, dir.join(maps::CONTROL));
    let mut ebpf = loader.load(OBJECT).map_err(DatapathError::Load)?;
    #[cfg(feature = "program-log")]
    super::log::forward(&mut ebpf);
    let program: &mut Xdp = ebpf
        .program_mut(name)
        .ok_or(DatapathError::IncompleteObject("program"))?
        .try_into()
        .map_err(DatapathError::Verify)?;
    program.load().map_err(DatapathError::load)?;
    program.pin(pin).map_err(|source| DatapathError::Pin {
        path: pin.to_path_buf(),
        source,
    })
}

/// Opens the programs pinned in `dir`: as it is at interfaces, and as it is asked. They must
/// be over these maps.
pub(super) fn open_both(
    dir: &Path,
    engine: Engine,
    maps: &Maps,
) -> Result<(Xdp, Xdp), DatapathError> {
    let (program, probe) = (open(dir, pins::PROGRAM)?, open(dir, pins::PROBE)?);
    maps.check_used_by(&program, engine, dir)?;
    maps.check_used_by(&probe, engine, dir)?;
    Ok((program, probe))
}

/// Opens the program pinned by this name.
pub(super) fn open(dir: &Path, name: &str) -> Result<Xdp, DatapathError> {
    let path = dir.join(name);
    let program = Xdp::from_pin(&path, XdpAttachType::Interface).map_err(|error| {
        DatapathError::ForeignPin {
            path: path.clone(),
            what: error.to_string(),
        }
    })?;
    let info = program.info().map_err(DatapathError::Verify)?;
    let named = PROGRAMS.iter().find(|(pin, _)| *pin == name);
    if info.name_as_str() != named.map(|(_, program)| *program) {
        return Err(DatapathError::ForeignPin {
            path,
            what: "another program".into(),
        });
    }
    Ok(program)
}

/// The name of a loaded program, by its id; `None`: there is none, or it cannot be asked.
#[must_use]
pub fn program_name(id: u32) -> Option<String> {
    let mut programs = aya::programs::loaded_programs().flatten();
    let program = programs.find(|program| program.id() == id)?;
    program.name_as_str().map(str::to_owned)
}
