//! The program's object file: its maps are made, its code is relocated and given to the kernel.
//!
//! `aya-obj` parses and relocates. The rest is here and not by `aya`'s loader, which parses the
//! kernel's BTF whether it is needed or not, the object once more for each set of variables, and
//! writes what it read of the control map before, so that what was counted meanwhile is lost.

use std::{
    collections::BTreeMap,
    io, mem,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::Path,
};

use aya::{EbpfError, maps::MapError, programs::ProgramError};
use aya_obj::{Function, Object, VerifierLog, btf::BtfError, generated::bpf_map_type};

use super::{Variant, unpacked};
use crate::datapath::{
    DatapathError, maps,
    retry::five_times_while,
    sys::{
        link,
        object::{self, Loadable},
    },
};

/// The section of variables that no program writes.
const CONSTANTS: &str = ".rodata";

/// Bytes of the largest log that is taken: thousands of lines.
const LOG_BYTES: usize = 1 << 24;

/// The object file with its maps, of which those in `maps::PINNED` are pinned.
pub(in crate::datapath) struct ObjectFile {
    /// Without lines of source: the kernel moves them whenever it replaces an instruction, and
    /// they are for who reads a verifier's log.
    parsed: Object,
    maps: BTreeMap<String, OwnedFd>,
    btf: OwnedFd,
}

impl ObjectFile {
    /// Parses it, and makes and pins the maps that are missing in `dir`.
    pub(in crate::datapath) fn open(dir: &Path) -> Result<Self, DatapathError> {
        maps::make_control(dir)?;
        let mut parsed = Object::parse(&unpacked()?).map_err(refused)?;
        for function in parsed.functions.values_mut() {
            function.line_info.line_info = Vec::new();
        }
        let btf = load_types(&mut parsed)?;
        let cpus = maps::possible_cpus()?;
        let mut made = BTreeMap::new();
        for (name, map) in &mut parsed.maps {
            if name == "CPUS" {
                map.set_max_entries(cpus);
            }
            if name != CONSTANTS {
                made.insert(name.clone(), open_or_make(name, map, &btf, dir)?);
            }
        }
        Ok(Self {
            parsed,
            maps: made,
            btf,
        })
    }

    /// Loads some variants, which have the same values of variables, and hands each of them on.
    pub(super) fn load<'v>(
        &self,
        variants: &[&'v Variant],
        variables: &[(&str, u32)],
        mut loaded: impl FnMut(&'v Variant, OwnedFd) -> Result<(), DatapathError>,
    ) -> Result<(), DatapathError> {
        let linked = self.link(self.parsed.clone(), variants, variables)?;
        for variant in variants {
            let program = self.loadable(&linked.object, variant)?;
            let is_interrupted = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
            // A signal interrupts the verifier (kernel/bpf/verifier.c: `do_check` answers
            // `EAGAIN`): five times in all, as libbpf does.
            let fd = five_times_while(is_interrupted, || object::load_program(&program, None));
            let fd = match fd {
                Ok(fd) => fd,
                Err(error) => return Err(self.why_refused(variant, variables, error)),
            };
            loaded(variant, fd)?;
        }
        Ok(())
    }

    /// Asks the kernel once more for what it says of a program that it refused, with its lines of
    /// source.
    fn why_refused(
        &self,
        variant: &Variant,
        variables: &[(&str, u32)],
        error: io::Error,
    ) -> DatapathError {
        let mut log = vec![0; LOG_BYTES];
        let again = || -> Result<io::Error, DatapathError> {
            let mut parsed = Object::parse(&unpacked()?).map_err(refused)?;
            types(&mut parsed)?;
            let linked = self.link(parsed, &[variant], variables)?;
            let program = self.loadable(&linked.object, variant)?;
            let answer = object::load_program(&program, Some(&mut log));
            // It may be accepted now: of memory, for one, there may be enough.
            Ok(answer.err().unwrap_or(error))
        };
        match again() {
            Ok(io_error) => {
                let text = log.split(|byte| *byte == 0).next().unwrap_or_default();
                let verifier_log = VerifierLog::new(String::from_utf8_lossy(text).into_owned());
                DatapathError::load(ProgramError::LoadError {
                    io_error,
                    verifier_log,
                })
            }
            Err(other) => other,
        }
    }

    /// Sets variables, and links these programs with all that they call and the maps.
    fn link(
        &self,
        mut object: Object,
        variants: &[&Variant],
        variables: &[(&str, u32)],
    ) -> Result<Linked, DatapathError> {
        let bytes: Vec<_> = variables
            .iter()
            .map(|(_, value)| value.to_ne_bytes())
            .collect();
        let named = variables.iter().zip(&bytes);
        let values = named.map(|((name, _), bytes)| (*name, (bytes.as_slice(), true)));
        object.patch_map_data(values.collect()).map_err(refused)?;
        let constants = object.maps.get(CONSTANTS);
        let constants = constants.ok_or(DatapathError::IncompleteObject("constant variables"))?;
        let constants_map = make(CONSTANTS, constants, &self.btf)?;
        object::set_value(constants_map.as_fd(), constants.data())
            .and_then(|()| object::freeze(constants_map.as_fd()))
            .map_err(|source| DatapathError::System {
                call: "setting the program's constants",
                source,
            })?;
        let is_wanted = |name: &str| variants.iter().any(|variant| variant.entry == name);
        object.programs.retain(|name, _| is_wanted(name));
        let text = object
            .functions
            .keys()
            .map(|(section, _)| *section)
            .collect();
        let shapes = mem::take(&mut object.maps);
        let descriptors = shapes.iter().filter_map(|(name, shape)| {
            let map = match name.as_str() {
                CONSTANTS => Some(&constants_map),
                name => self.maps.get(name),
            };
            Some((name.as_str(), map?.as_raw_fd(), shape))
        });
        object.relocate_maps(descriptors, &text).map_err(refused)?;
        object.relocate_calls(&text).map_err(refused)?;
        Ok(Linked {
            object,
            _constants: constants_map,
        })
    }

    fn loadable<'a>(
        &'a self,
        object: &'a Object,
        variant: &'a Variant,
    ) -> Result<Loadable<'a>, DatapathError> {
        let program = object.programs.get(variant.entry);
        let program = program.ok_or(DatapathError::IncompleteObject("program"))?;
        let code: &Function = object
            .functions
            .get(&program.function_key())
            .ok_or(DatapathError::IncompleteObject("program's code"))?;
        Ok(Loadable {
            name: variant.entry,
            kind: variant.kind,
            license: &program.license,
            code,
            btf: self.btf.as_fd(),
        })
    }
}

/// An object whose programs can be loaded.
struct Linked {
    object: Object,
    /// Named by number in the code, so it must be open until that is loaded.
    _constants: OwnedFd,
}

fn refused(error: impl Into<EbpfError>) -> DatapathError {
    DatapathError::Load(error.into())
}

/// The object's types, without what this kernel does not know.
fn types(object: &mut Object) -> Result<Vec<u8>, DatapathError> {
    let missing = || DatapathError::IncompleteObject("type");
    let features = aya::features().btf().ok_or_else(missing)?;
    let types = object.fixup_and_sanitize_btf(features).map_err(refused)?;
    Ok(types.ok_or_else(missing)?.to_bytes())
}

fn load_types(object: &mut Object) -> Result<OwnedFd, DatapathError> {
    object::load_btf(&types(object)?).map_err(|io_error| {
        refused(BtfError::LoadError {
            io_error,
            verifier_log: VerifierLog::new(String::new()),
        })
    })
}

/// Opens a map that is pinned, or makes it; and pins it, if it is one of those that are.
fn open_or_make(
    name: &str,
    shape: &aya_obj::Map,
    btf: &OwnedFd,
    dir: &Path,
) -> Result<OwnedFd, DatapathError> {
    let Some(pin) = maps::pin_of(name) else {
        return make(name, shape, btf);
    };
    let pin = dir.join(pin);
    if let Ok(map) = link::open(&pin) {
        return Ok(map);
    }
    let map = make(name, shape, btf)?;
    link::pin(map.as_fd(), &pin).map_err(|source| DatapathError::Pins {
        action: "pin",
        path: pin,
        source,
    })?;
    Ok(map)
}

fn make(name: &str, shape: &aya_obj::Map, btf: &OwnedFd) -> Result<OwnedFd, DatapathError> {
    let create = |name: &str, shape: &aya_obj::Map, inner| {
        object::create_map(name, shape, btf.as_fd(), inner).map_err(|io_error| {
            refused(MapError::CreateError {
                name: name.to_owned(),
                io_error,
            })
        })
    };
    if shape.map_type() != bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS as u32 {
        return create(name, shape, None);
    }
    let inner = shape.inner();
    let inner = inner.ok_or(DatapathError::IncompleteObject("map within a map"))?;
    let inner = create(&format!("{name}.inner"), &inner, None)?;
    create(name, shape, Some(inner.as_fd()))
}
