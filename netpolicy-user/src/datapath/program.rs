//! Loading the program: for XDP and for tc ingress, at each for interfaces with Ethernet headers
//! and for those without, and once more as it is asked.

use std::{
    cell::OnceCell,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfLoader,
    programs::{
        ProgramError, ProgramFd, ProgramInfo, SchedClassifier, TestRun as _, TestRunOptions, Xdp,
    },
};
use aya_obj::programs::XdpAttachType;
use flate2::bufread::GzDecoder;
use netpolicy_common::{Engine, Head};

use super::{
    DatapathError, Hook, LinkLayer,
    maps::{self, Maps},
    pins,
    retry::five_times_while,
    sys::link::Kind,
};
use variant::{UNPINNED, VARIANTS, Variant};

pub(super) use variant::Subset;

mod variant;

/// The program's object file, built from `netpolicy-ebpf`, compressed.
static PACKED_OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/netpolicy-xdp.gz"));

/// The object's digest (BLAKE3).
static DIGEST: [u8; 32] = *include_bytes!(concat!(env!("OUT_DIR"), "/netpolicy-xdp.digest"));

/// The object file. It is needed for some milliseconds of an agent's life.
fn object() -> Result<Vec<u8>, DatapathError> {
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
    load_by(loader(), engine, dir, part)
}

/// The same by a loader that was made before.
pub(super) fn load_by(
    loader: EbpfLoader<'static>,
    engine: Engine,
    dir: &Path,
    part: Subset<'_>,
) -> Result<(), DatapathError> {
    maps::make_control(dir)?;
    clear(dir);
    let engine = engine as u32;
    let variables = VARIANTS.each_ref().map(Variables::of);
    // One loader for all, which borrows these from now on.
    let mut loader: EbpfLoader<'_> = loader;
    set_up(&mut loader, &engine, dir)?;
    let object = object()?;
    let mut opened = Vec::new();
    let mut at = 0;
    for together in VARIANTS.chunk_by(|one, next| one.globals() == next.globals()) {
        if together.iter().any(|variant| part.has(variant)) {
            opened.push((variables[at].open(&object, &mut loader, dir)?, together));
        }
        at += together.len();
    }
    // The verifier takes most of the time, and verifies several at once for who may load any.
    std::thread::scope(|scope| {
        let loading = opened.into_iter().map(|(mut ebpf, together)| {
            scope.spawn(move || {
                let mut those = together.iter().filter(|variant| part.has(variant));
                those.try_for_each(|v| load_to(&mut ebpf, v, &new_pin(dir, v.pin)))
            })
        });
        // All of them begin before the first is waited for.
        let loading: Vec<_> = loading.collect();
        let mut done = Ok(());
        for thread in loading {
            let joined = thread.join();
            done = done.and(joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    })
}

/// A loader. It parses the kernel's BTF, needed or not, which takes as long as to verify a program.
pub(super) fn loader() -> EbpfLoader<'static> {
    let mut loader = EbpfLoader::new();
    // The programs read no kernel structure, so there is nothing to relocate by it.
    loader.btf(None);
    loader
}

/// Makes it load the object over the maps pinned in `dir`.
fn set_up<'a>(
    loader: &mut EbpfLoader<'a>,
    engine: &'a u32,
    dir: &Path,
) -> Result<(), DatapathError> {
    loader.override_global("ENGINE", engine, true);
    loader.map_max_entries("CPUS", maps::possible_cpus()?);
    for (name, _) in maps::PINNED {
        loader.map_pin_path(name, dir.join(name));
    }
    loader.map_pin_path(maps::CONTROL_SECTION, dir.join(maps::CONTROL));
    Ok(())
}

/// Values of the program's variables for one variant. The loader borrows them.
struct Variables {
    probe: u32,
    bare_ip: u32,
    control: OnceCell<Box<[u8; size_of::<Head>()]>>,
}

impl Variables {
    fn of(variant: &Variant) -> Self {
        Self {
            probe: u32::from(variant.is_probe),
            bare_ip: u32::from(variant.link_layer == LinkLayer::None),
            control: OnceCell::new(),
        }
    }

    /// The object with these values, and with nothing loaded yet.
    fn open<'a>(
        &'a self,
        object: &[u8],
        loader: &mut EbpfLoader<'a>,
        dir: &Path,
    ) -> Result<Ebpf, DatapathError> {
        loader.override_global("PROBE", &self.probe, true);
        loader.override_global("BARE_IP", &self.bare_ip, true);
        // The loader writes all variables, so this one is set to its present value. What other
        // programs count between this read and that write, some milliseconds, is lost.
        let control = maps::control_bytes(dir)?;
        let control = self.control.get_or_init(|| control);
        loader.override_global(maps::CONTROL, control.as_slice(), true);
        let ebpf = loader.load(object).map_err(DatapathError::Load)?;
        #[cfg(feature = "program-log")]
        let ebpf = {
            let mut ebpf = ebpf;
            super::log::forward(&mut ebpf);
            ebpf
        };
        Ok(ebpf)
    }
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

/// Loads again where a signal interrupted the verifier (kernel/bpf/verifier.c: `do_check` answers
/// `EAGAIN`): five times in all, as libbpf does.
fn uninterrupted(load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), DatapathError> {
    let is_interrupted = |error: &ProgramError| match error {
        ProgramError::LoadError { io_error, .. } => io_error.kind() == io::ErrorKind::WouldBlock,
        _ => false,
    };
    five_times_while(is_interrupted, load).map_err(DatapathError::load)
}

fn load_to(ebpf: &mut Ebpf, variant: &Variant, pin: &Path) -> Result<(), DatapathError> {
    let program = ebpf
        .program_mut(variant.entry)
        .ok_or(DatapathError::IncompleteObject("program"))?;
    let pinned = match variant.kind {
        Kind::Xdp => {
            let program: &mut Xdp = program.try_into().map_err(DatapathError::Verify)?;
            uninterrupted(|| program.load())?;
            program.pin(pin)
        }
        Kind::Tc => {
            let program: &mut SchedClassifier =
                program.try_into().map_err(DatapathError::Verify)?;
            uninterrupted(|| program.load())?;
            program.pin(pin)
        }
    };
    pinned.map_err(|source| DatapathError::Pin {
        path: pin.to_path_buf(),
        source,
    })
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
/// As with every load, what programs count meanwhile may be lost; nothing may be put in force
/// meanwhile.
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
    let (engine, variables) = (engine as u32, Variables::of(variant));
    let mut loader = loader();
    set_up(&mut loader, &engine, dir)?;
    let mut ebpf = variables.open(&object()?, &mut loader, dir)?;
    let pin = new_pin(dir, "ASKED");
    let _ = fs::remove_file(&pin);
    load_to(&mut ebpf, variant, &pin)?;
    let program = open_as(variant, &pin);
    let _ = fs::remove_file(&pin);
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
