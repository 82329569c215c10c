//! Loading the program: for XDP and for tc ingress, at each for interfaces with Ethernet headers
//! and for those without, and once more as it is asked.

mod object;
mod variant;

use std::{
    fs,
    io::Read as _,
    os::fd::{AsFd as _, BorrowedFd},
    path::{Path, PathBuf},
};

use aya::programs::{
    ProgramError, ProgramFd, ProgramInfo, SchedClassifier, TestRun as _, TestRunOptions, Xdp,
};
use aya_obj::programs::XdpAttachType;
use flate2::bufread::GzDecoder;
use netpolicy_common::Engine;

use super::{
    DatapathError, Hook, LinkLayer,
    maps::{self, Maps},
    pins,
    sys::link::{self, Kind},
};
use variant::{UNPINNED, VARIANTS, Variant};

pub(super) use object::ObjectFile;
pub(super) use variant::Subset;

/// The program's object file, built from `netpolicy-ebpf`, compressed.
static PACKED_OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/netpolicy-xdp.gz"));

/// The object's digest (BLAKE3).
static DIGEST: [u8; 32] = *include_bytes!(concat!(env!("OUT_DIR"), "/netpolicy-xdp.digest"));

/// The object file. It is needed for some milliseconds of an agent's life.
fn unpacked() -> Result<Vec<u8>, DatapathError> {
    let mut object = Vec::new();
    GzDecoder::new(PACKED_OBJECT)
        .read_to_end(&mut object)
        .map_err(|_| DatapathError::IncompleteObject("end"))?;
    Ok(object)
}

impl Hook {
    /// The kind of program that runs there.
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Native | Self::Generic => Kind::Xdp,
            Self::Tcx | Self::Clsact => Kind::Tc,
        }
    }
}

/// A program of one of the kinds.
pub(super) enum Program {
    Xdp(Xdp),
    Tc(SchedClassifier),
}

impl Program {
    pub(super) fn fd(&self) -> Result<&ProgramFd, ProgramError> {
        match self {
            Self::Xdp(program) => program.fd(),
            Self::Tc(program) => program.fd(),
        }
    }

    pub(super) fn info(&self) -> Result<ProgramInfo, ProgramError> {
        match self {
            Self::Xdp(program) => program.info(),
            Self::Tc(program) => program.info(),
        }
    }

    /// What it answers to a frame; `context`: the frame's, where it is not the usual one.
    pub(super) fn ask(&self, frame: &[u8], context: Option<&[u8]>) -> Result<u32, ProgramError> {
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: context,
            ..TestRunOptions::new()
        };
        let result = match self {
            Self::Xdp(program) => program.test_run(options)?,
            Self::Tc(program) => program.test_run(options)?,
        };
        Ok(result.return_value)
    }
}

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
    DIGEST
}

/// Loads all variants, or a part of them, over the maps pinned in `dir`, making and pinning those
/// that are missing. Nothing is replaced by it until [`put_in_place`].
pub(super) fn load(engine: Engine, dir: &Path, part: Subset<'_>) -> Result<(), DatapathError> {
    load_over(&ObjectFile::open(dir)?, engine, dir, part)
}

/// The same over maps that were opened or made before.
pub(super) fn load_over(
    object: &ObjectFile,
    engine: Engine,
    dir: &Path,
    part: Subset<'_>,
) -> Result<(), DatapathError> {
    clear(dir);
    let groups = VARIANTS.chunk_by(|one, next| one.globals() == next.globals());
    let groups = groups.map(|group| group.iter().filter(|variant| part.has(variant)).collect());
    let groups = groups.filter(|group: &Vec<_>| !group.is_empty());
    // The verifier takes most of the time, and verifies several at once for who may load any.
    std::thread::scope(|scope| {
        let loading =
            groups.map(|group| scope.spawn(move || load_group(object, engine, dir, &group)));
        // All of them begin before the first is waited for.
        let loading: Vec<_> = loading.collect();
        let mut done = Ok(());
        for thread in loading {
            let joined = thread.join();
            done = done.and(joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    })?;
    #[cfg(feature = "program-log")]
    if let Some(variant) = VARIANTS.iter().find(|variant| part.has(variant)) {
        let program = open_as(variant, &new_pin(dir, variant.pin))?;
        super::log::forward(program.info().map_err(DatapathError::Verify)?.id());
    }
    Ok(())
}

/// Loads variants that have the same values of variables.
fn load_group(
    object: &ObjectFile,
    engine: Engine,
    dir: &Path,
    group: &[&'static Variant],
) -> Result<(), DatapathError> {
    let Some(first) = group.first() else {
        return Ok(());
    };
    object.load(group, &variables(engine, first), |variant, program| {
        pin(program.as_fd(), &new_pin(dir, variant.pin))
    })
}

/// Values of the program's variables.
fn variables(engine: Engine, variant: &Variant) -> [(&'static str, u32); 3] {
    [
        ("ENGINE", engine as u32),
        ("PROBE", variant.is_probe.into()),
        ("BARE_IP", (variant.link_layer == LinkLayer::None).into()),
    ]
}

fn pin(program: BorrowedFd<'_>, path: &Path) -> Result<(), DatapathError> {
    link::pin(program, path).map_err(|source| DatapathError::Pins {
        action: "pin",
        path: path.to_owned(),
        source,
    })
}

/// Removes what a crash left that was loaded and not put in place.
pub(super) fn clear(dir: &Path) {
    for name in pin_names() {
        let _ = fs::remove_file(new_pin(dir, name));
    }
}

/// Makes what was loaded last, all or the same part, replace the programs pinned in `dir`, one
/// after the other.
pub(super) fn put_in_place(dir: &Path, part: Subset<'_>) -> Result<(), DatapathError> {
    for variant in VARIANTS.iter().filter(|variant| part.has(variant)) {
        let new = new_pin(dir, variant.pin);
        fs::rename(&new, dir.join(variant.pin)).map_err(|source| DatapathError::Pins {
            action: "rename",
            path: new,
            source,
        })?;
    }
    // Of former versions.
    for name in pins::FORMER {
        let _ = fs::remove_file(dir.join(name));
    }
    Ok(())
}

fn new_pin(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}_NEW"))
}

/// The loaded program, as interfaces run it.
pub(super) struct Programs(Vec<(&'static Variant, Program)>);

impl Programs {
    /// Opens what is pinned in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self, DatapathError> {
        Self::open_part(dir, Subset::All)
    }

    fn open_part(dir: &Path, part: Subset<'_>) -> Result<Self, DatapathError> {
        let is_meant = |variant: &&Variant| !variant.is_probe && part.has(variant);
        let variants = VARIANTS.iter().filter(is_meant);
        let opened = variants.map(|variant| Ok((variant, open(dir, variant)?)));
        opened.collect::<Result<_, _>>().map(Self)
    }

    fn check_over(&self, maps: &Maps, engine: Engine, dir: &Path) -> Result<(), DatapathError> {
        self.0.iter().try_for_each(|(_, program)| {
            let info = program.info().map_err(DatapathError::Verify)?;
            maps.check_used_by(&info, engine, dir)
        })
    }

    /// The one of this kind at interfaces of this link layer.
    pub(super) fn at(&self, kind: Kind, link_layer: LinkLayer) -> Result<&Program, DatapathError> {
        let is_it = |v: &Variant| v.kind == kind && v.link_layer == link_layer;
        let found = self.0.iter().find(|(variant, _)| is_it(variant));
        let (_, program) = found.ok_or(DatapathError::IncompleteObject("loaded program"))?;
        Ok(program)
    }

    /// The id of the one of this kind at interfaces of this link layer.
    pub(super) fn id(&self, kind: Kind, link_layer: LinkLayer) -> Result<u32, DatapathError> {
        let info = self.at(kind, link_layer)?.info();
        Ok(info.map_err(DatapathError::Verify)?.id())
    }

    /// Whether an interface of this link layer runs the program that reads its frames, by the
    /// program's id there. One of another namespace, whose link layer is not known, may run
    /// either.
    pub(super) fn is_right(
        &self,
        kind: Kind,
        link_layer: Option<LinkLayer>,
        program: u32,
    ) -> Result<bool, DatapathError> {
        match link_layer {
            Some(link_layer) => Ok(self.id(kind, link_layer)? == program),
            None => Ok(program == self.id(kind, LinkLayer::Ethernet)?
                || program == self.id(kind, LinkLayer::None)?),
        }
    }
}

/// Opens the program that is asked about Ethernet frames.
pub(super) fn open_probe(dir: &Path) -> Result<Program, DatapathError> {
    open(dir, &VARIANTS[0])
}

/// Loads the program that is asked in place of [`Programs::at`], over the maps pinned in `dir`.
pub(super) fn load_probe(
    kind: Kind,
    link_layer: LinkLayer,
    engine: Engine,
    dir: &Path,
) -> Result<Program, DatapathError> {
    let is_it = |v: &&Variant| v.kind == kind && v.link_layer == link_layer;
    let Some(variant) = UNPINNED.iter().find(is_it) else {
        return open_probe(dir);
    };
    let path = new_pin(dir, "ASKED");
    let _ = fs::remove_file(&path);
    let object = ObjectFile::open(dir)?;
    object.load(&[variant], &variables(engine, variant), |_, program| {
        pin(program.as_fd(), &path)
    })?;
    let program = open_as(variant, &path);
    let _ = fs::remove_file(&path);
    program
}

/// Opens what is pinned in `dir`. All of it must be over these maps.
pub(super) fn open_over(
    dir: &Path,
    engine: Engine,
    maps: &Maps,
) -> Result<(Programs, Program), DatapathError> {
    let programs = open_part_over(dir, engine, maps, Subset::All)?;
    let probe = open_probe(dir)?;
    let info = probe.info().map_err(DatapathError::Verify)?;
    maps.check_used_by(&info, engine, dir)?;
    Ok((programs, probe))
}

/// Opens those of a part that run at interfaces. All of them must be over these maps.
pub(super) fn open_part_over(
    dir: &Path,
    engine: Engine,
    maps: &Maps,
    part: Subset<'_>,
) -> Result<Programs, DatapathError> {
    let programs = Programs::open_part(dir, part)?;
    programs.check_over(maps, engine, dir)?;
    Ok(programs)
}

/// The link layer whose frames a loaded program reads, by the name that it has in the kernel;
/// `None`: it is no program of netpolicy, or gone.
pub(super) fn reads(id: u32) -> Option<LinkLayer> {
    let name = program_name(id)?;
    let variant = VARIANTS.iter().find(|v| in_kernel(v.entry) == name)?;
    Some(variant.link_layer)
}

/// A name as the kernel keeps it: 15 bytes (`BPF_OBJ_NAME_LEN`).
fn in_kernel(name: &str) -> &str {
    name.get(..15).unwrap_or(name)
}

/// Opens the program that is pinned as a variant.
fn open(dir: &Path, variant: &Variant) -> Result<Program, DatapathError> {
    open_as(variant, &dir.join(variant.pin))
}

fn open_as(variant: &Variant, path: &Path) -> Result<Program, DatapathError> {
    let foreign = |what: String| DatapathError::ForeignPin {
        path: path.to_owned(),
        what,
    };
    let opened = match variant.kind {
        Kind::Xdp => Xdp::from_pin(path, XdpAttachType::Interface).map(Program::Xdp),
        Kind::Tc => SchedClassifier::from_pin(path).map(Program::Tc),
    };
    let program = opened.map_err(|error| foreign(error.to_string()))?;
    let info = program.info().map_err(DatapathError::Verify)?;
    if info.name_as_str() != Some(in_kernel(variant.entry)) {
        return Err(foreign("another program".into()));
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
