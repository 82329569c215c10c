//! Loading the program: for interfaces with Ethernet headers and for those without, and each
//! of the two once more as it is asked.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aya::{EbpfLoader, include_bytes_aligned, programs::Xdp};
use aya_obj::programs::XdpAttachType;
use netpolicy_common::Engine;

use super::{
    DatapathError, LinkLayer,
    maps::{self, Maps},
    pins,
};

/// The program's object file, built from `netpolicy-ebpf`.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netpolicy-xdp"));

/// One way to load the program.
struct Variant {
    /// Its pin.
    pin: &'static str,
    /// Its entry point: a name in the object file and in the kernel.
    entry: &'static str,
    link_layer: LinkLayer,
    is_probe: bool,
}

/// All ways, those at interfaces last.
const VARIANTS: [Variant; 4] = [
    Variant {
        pin: pins::PROBE,
        entry: "netpolicy_probe",
        link_layer: LinkLayer::Ethernet,
        is_probe: true,
    },
    Variant {
        pin: pins::PROBE_IP,
        entry: "netpolicy_ip",
        link_layer: LinkLayer::None,
        is_probe: true,
    },
    Variant {
        pin: pins::PROGRAM,
        entry: "netpolicy",
        link_layer: LinkLayer::Ethernet,
        is_probe: false,
    },
    Variant {
        pin: pins::PROGRAM_IP,
        entry: "netpolicy_ip",
        link_layer: LinkLayer::None,
        is_probe: false,
    },
];

/// Names of the pins of all variants.
fn pin_names() -> impl Iterator<Item = &'static str> {
    VARIANTS.iter().map(|variant| variant.pin)
}

/// Whether every pin of this object's maps and programs is there.
pub(super) fn are_pinned(dir: &Path) -> bool {
    let maps = maps::PINNED.iter().map(|(name, _)| *name);
    maps.chain(pin_names()).all(|name| {
        // What cannot be looked at is not known to be gone.
        dir.join(name).try_exists().unwrap_or(true)
    })
}

/// Tells this object file from others.
pub(super) fn digest() -> [u8; 32] {
    *blake3::hash(OBJECT).as_bytes()
}

/// Loads all variants over the maps pinned in `dir`, making and pinning those that are
/// missing. Nothing is replaced by it until [`put_in_place`].
pub(super) fn load(engine: Engine, dir: &Path) -> Result<(), DatapathError> {
    maps::make_control(dir)?;
    clear(dir);
    for variant in &VARIANTS {
        load_as(variant, engine, dir, &new_pin(dir, variant.pin))?;
    }
    Ok(())
}

/// Removes what a crash left that was loaded and not put in place.
pub(super) fn clear(dir: &Path) {
    for name in pin_names() {
        let _ = fs::remove_file(new_pin(dir, name));
    }
}

/// Makes what was loaded last replace the programs pinned in `dir`, one after the other.
pub(super) fn put_in_place(dir: &Path) -> Result<(), DatapathError> {
    for name in pin_names() {
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

fn load_as(variant: &Variant, engine: Engine, dir: &Path, pin: &Path) -> Result<(), DatapathError> {
    let (engine, probe) = (engine as u32, u32::from(variant.is_probe));
    let bare_ip = u32::from(variant.link_layer == LinkLayer::None);
    let cpus = maps::possible_cpus()?;
    // The loader writes variables again, so their present values are given as initial values.
    // What other programs count from here until then, some milliseconds, is lost.
    let control = maps::control_bytes(dir)?;
    let mut loader = EbpfLoader::new();
    loader.override_global("ENGINE", &engine, true);
    loader.override_global("PROBE", &probe, true);
    loader.override_global("BARE_IP", &bare_ip, true);
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
        .program_mut(variant.entry)
        .ok_or(DatapathError::IncompleteObject("program"))?
        .try_into()
        .map_err(DatapathError::Verify)?;
    program.load().map_err(DatapathError::load)?;
    program.pin(pin).map_err(|source| DatapathError::Pin {
        path: pin.to_path_buf(),
        source,
    })
}

/// The loaded program, as interfaces run it.
pub(super) struct Programs {
    ethernet: Xdp,
    ip: Xdp,
}

impl Programs {
    /// Opens what is pinned in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, DatapathError> {
        Ok(Self {
            ethernet: open(dir, pins::PROGRAM)?,
            ip: open(dir, pins::PROGRAM_IP)?,
        })
    }

    /// The one at interfaces of this link layer.
    pub(super) fn at(&self, link_layer: LinkLayer) -> &Xdp {
        match link_layer {
            LinkLayer::Ethernet => &self.ethernet,
            LinkLayer::None => &self.ip,
        }
    }

    /// The id of the one at interfaces of this link layer.
    pub(super) fn id(&self, link_layer: LinkLayer) -> Result<u32, DatapathError> {
        let info = self.at(link_layer).info().map_err(DatapathError::Verify)?;
        Ok(info.id())
    }

    /// Whether an interface of this link layer runs the program that reads its frames, by the
    /// program's id there. One of another namespace, whose link layer is not known, may run
    /// either.
    pub(super) fn is_right(
        &self,
        link_layer: Option<LinkLayer>,
        program: u32,
    ) -> Result<bool, DatapathError> {
        match link_layer {
            Some(link_layer) => Ok(self.id(link_layer)? == program),
            None => {
                Ok(program == self.id(LinkLayer::Ethernet)?
                    || program == self.id(LinkLayer::None)?)
            }
        }
    }
}

/// The loaded program, as it is asked.
pub(super) struct Probes {
    ethernet: Xdp,
    ip: Xdp,
}

impl Probes {
    /// Opens what is pinned in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, DatapathError> {
        Ok(Self {
            ethernet: open(dir, pins::PROBE)?,
            ip: open(dir, pins::PROBE_IP)?,
        })
    }

    /// The one that is asked in place of [`Programs::at`].
    pub(super) fn at(&self, link_layer: LinkLayer) -> &Xdp {
        match link_layer {
            LinkLayer::Ethernet => &self.ethernet,
            LinkLayer::None => &self.ip,
        }
    }
}

/// Opens what is pinned in `dir`. All of it must be over these maps.
pub(super) fn open_over(
    dir: &Path,
    engine: Engine,
    maps: &Maps,
) -> Result<(Programs, Probes), DatapathError> {
    let (programs, probes) = (Programs::open(dir)?, Probes::open(dir)?);
    for program in [
        &programs.ethernet,
        &programs.ip,
        &probes.ethernet,
        &probes.ip,
    ] {
        maps.check_used_by(program, engine, dir)?;
    }
    Ok((programs, probes))
}

/// The link layer whose frames a loaded program reads, by the name that it has in the kernel;
/// `None`: it is no program of netpolicy, or gone.
pub(super) fn reads(id: u32) -> Option<LinkLayer> {
    let name = program_name(id)?;
    let variant = VARIANTS.iter().find(|variant| variant.entry == name)?;
    Some(variant.link_layer)
}

/// Opens the program pinned by this name.
fn open(dir: &Path, name: &str) -> Result<Xdp, DatapathError> {
    let path = dir.join(name);
    let program = Xdp::from_pin(&path, XdpAttachType::Interface).map_err(|error| {
        DatapathError::ForeignPin {
            path: path.clone(),
            what: error.to_string(),
        }
    })?;
    let info = program.info().map_err(DatapathError::Verify)?;
    let variant = VARIANTS.iter().find(|variant| variant.pin == name);
    if info.name_as_str() != variant.map(|variant| variant.entry) {
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
