//! A ruleset as the flat engine's maps hold it, in a file: to be in force before anything is
//! compiled.
//!
//! ```text
//! magic 8, format 4, ABI 4, host 32, revision 8, entries 8, digest of the ruleset 32,
//! time of writing 8, digest of the writer's program 32, scopes 4, pages 4, ports 131,072,
//! for each scope: number 4, flags 4, the engine's words 120; the pages, 4,096 each;
//! BLAKE3 of all before 32
//! ```
//!
//! Numbers are little-endian. Bypasses are not in it.

mod put;

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::path::Path;

use netpolicy_common::{
    ABI_VERSION, EngineWords, Governance, MAX_SCOPES, ScopeConfig, ScopeFlags, ScopeId,
};

use super::{
    DatapathError,
    flat::image::{BuiltLists, MAX_PAGES, PAGE_BYTES},
    program,
};
use crate::compiler::Ruleset;

pub use put::enforce_image;

const MAGIC: [u8; 8] = *b"netpolSN";

/// Changes with what the file holds; what the pages hold goes by the ABI.
const FORMAT: u32 = 1;

/// Bytes of a digest.
const DIGEST: usize = 32;

/// Bytes that are read at once.
const BUFFER: usize = 1 << 20;

/// Words of an engine.
const WORDS: usize = size_of::<EngineWords>() / 8;

/// Why an image cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// It is another kind of file.
    #[error("it is not a snapshot")]
    Foreign,
    /// Another version wrote it.
    #[error("it has format {found}, this netpolicy reads format {FORMAT}")]
    Format {
        /// Its format.
        found: u32,
    },
    /// What it holds is for other maps.
    #[error("it is of ABI {found}, this netpolicy is of ABI {ABI_VERSION}")]
    Abi {
        /// Its ABI.
        found: u32,
    },
    /// It was written on another machine.
    #[error("it was written on another host")]
    OtherHost,
    /// It ends too early.
    #[error("it is cut short")]
    CutShort,
    /// Its bytes are not those that were written.
    #[error("it is damaged: its digest does not match")]
    Damaged,
    /// The kernel does not take it.
    #[error(transparent)]
    Kernel(#[from] DatapathError),
}

impl From<io::Error> for ImageError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::CutShort,
            _ => Self::Read(error),
        }
    }
}

/// What an image is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageOrigin {
    /// The store revision that was compiled.
    pub revision: u64,
    /// Tells the host from others.
    pub host: [u8; 32],
    /// When it was written, seconds since 1970.
    pub written: i64,
}

/// What an image says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageHead {
    /// Where it comes from.
    pub origin: ImageOrigin,
    /// Prefixes in all lists together.
    pub entries: u64,
    /// BLAKE3 of the ruleset.
    pub digest: [u8; 32],
    /// BLAKE3 of the writer's program. Another version may compile the same policies to another
    /// ruleset: what it finds in force of this one is replaced, not taken for a store's that
    /// went another way.
    program: [u8; 32],
}

impl ImageHead {
    /// Whether the version that runs wrote it.
    #[must_use]
    pub fn is_of_this_program(&self) -> bool {
        self.program == program::digest()
    }
}

/// Writes the image of a ruleset. Builds its lists, about 50 ns an entry.
///
/// # Errors
/// The writer's.
pub fn write_image(ruleset: &Ruleset, origin: &ImageOrigin, out: &mut dyn Write) -> io::Result<()> {
    let built = BuiltLists::new(ruleset);
    let mut out = Hashed::new(out);
    out.write_all(&MAGIC)?;
    out.write_all(&FORMAT.to_le_bytes())?;
    out.write_all(&ABI_VERSION.to_le_bytes())?;
    out.write_all(&origin.host)?;
    out.write_all(&origin.revision.to_le_bytes())?;
    out.write_all(&ruleset.entries().to_le_bytes())?;
    out.write_all(&ruleset.digest())?;
    out.write_all(&origin.written.to_le_bytes())?;
    out.write_all(&program::digest())?;
    out.write_all(&number(ruleset.scopes.len())?.to_le_bytes())?;
    out.write_all(&number(built.pages().len())?.to_le_bytes())?;
    for scope in ruleset.ports.iter() {
        out.write_all(&scope.to_le_bytes())?;
    }
    for scope in &ruleset.scopes {
        out.write_all(&u32::from(scope.id).to_le_bytes())?;
        out.write_all(&scope.config.flags.0.to_le_bytes())?;
        for word in built.words(scope.id).0 {
            out.write_all(&word.to_le_bytes())?;
        }
    }
    for page in built.pages() {
        out.write_all(page)?;
    }
    let Hashed { hasher, inner } = out;
    inner.write_all(hasher.finalize().as_bytes())
}

fn number(len: usize) -> io::Result<u32> {
    u32::try_from(len).map_err(|_| ErrorKind::InvalidInput.into())
}

/// An image that is being read: its ports and scopes; its pages follow.
pub struct ImageReader {
    head: ImageHead,
    governance: Box<Governance>,
    pages: u32,
    file: Hashed<BufReader<File>>,
}

impl std::fmt::Debug for ImageReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageReader")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl ImageReader {
    /// Opens an image that was written on `host`. Whether it is damaged is known only at its
    /// end.
    ///
    /// # Errors
    /// It cannot be read, or is not for this host and version.
    pub fn open(path: &Path, host: &[u8; 32]) -> Result<Self, ImageError> {
        let file = File::open(path).map_err(ImageError::Read)?;
        let size = file.metadata().map_err(ImageError::Read)?.len();
        let mut file = Hashed::new(BufReader::with_capacity(BUFFER, file));
        let mut magic = [0; MAGIC.len()];
        match file.take_into(&mut magic) {
            Err(ImageError::CutShort) => return Err(ImageError::Foreign),
            done => done?,
        }
        if magic != MAGIC {
            return Err(ImageError::Foreign);
        }
        let found = file.u32()?;
        if found != FORMAT {
            return Err(ImageError::Format { found });
        }
        let found = file.u32()?;
        if found != ABI_VERSION {
            return Err(ImageError::Abi { found });
        }
        let mut of_host = [0; 32];
        file.take_into(&mut of_host)?;
        if of_host != *host {
            return Err(ImageError::OtherHost);
        }
        let (revision, entries) = (file.u64()?, file.u64()?);
        let mut digest = [0; 32];
        file.take_into(&mut digest)?;
        let written = file.u64()?.cast_signed();
        let mut program = [0; 32];
        file.take_into(&mut program)?;
        let (scopes, pages) = (file.u32()?, file.u32()?);
        let head = ImageHead {
            origin: ImageOrigin {
                revision,
                host: of_host,
                written,
            },
            entries,
            digest,
            program,
        };
        // Before anything is made for it.
        if scopes > MAX_SCOPES || pages > MAX_PAGES {
            return Err(ImageError::Damaged);
        }
        if size < u64::from(pages) * PAGE_BYTES as u64 {
            return Err(ImageError::CutShort);
        }
        let governance = file.governance(scopes)?;
        Ok(Self {
            head,
            governance,
            pages,
            file,
        })
    }

    /// What it says of itself.
    #[must_use]
    pub fn head(&self) -> &ImageHead {
        &self.head
    }

    /// Hands on its pages, and says at the end whether all of it is as it was written.
    fn pages(
        &mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), DatapathError>,
    ) -> Result<(), ImageError> {
        let mut page = [0; PAGE_BYTES];
        for _ in 0..self.pages {
            self.file.take_into(&mut page)?;
            each(&page)?;
        }
        let expected = self.file.hasher.finalize();
        let mut found = [0; DIGEST];
        self.file.take_into(&mut found)?;
        if found != *expected.as_bytes() {
            return Err(ImageError::Damaged);
        }
        match self.file.inner.read(&mut [0]) {
            Ok(0) => Ok(()),
            // More follows than was written.
            Ok(_) => Err(ImageError::Damaged),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads all of it, as if it were put in force.
    ///
    /// # Errors
    /// It is damaged or cut short.
    pub fn check(&mut self) -> Result<(), ImageError> {
        self.pages(|_| Ok(()))
    }
}

/// What goes through it is hashed.
struct Hashed<T> {
    hasher: blake3::Hasher,
    inner: T,
}

impl<T> Hashed<T> {
    fn new(inner: T) -> Self {
        Self {
            hasher: blake3::Hasher::new(),
            inner,
        }
    }
}

impl Hashed<&mut dyn Write> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.inner.write_all(bytes)
    }
}

impl<R: Read> Hashed<R> {
    fn take_into(&mut self, bytes: &mut [u8]) -> Result<(), ImageError> {
        self.inner.read_exact(bytes)?;
        self.hasher.update(bytes);
        Ok(())
    }

    fn u32(&mut self) -> Result<u32, ImageError> {
        let mut bytes = [0; 4];
        self.take_into(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn u64(&mut self) -> Result<u64, ImageError> {
        let mut bytes = [0; 8];
        self.take_into(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn governance(&mut self, scopes: u32) -> Result<Box<Governance>, ImageError> {
        let mut governance = Box::new(Governance {
            scope_of_port: [0; 65536],
            scopes: [ScopeConfig::default(); MAX_SCOPES as usize],
        });
        let mut ports = vec![0; 2 * governance.scope_of_port.len()];
        self.take_into(&mut ports)?;
        let (ports, _) = ports.as_chunks::<2>();
        for (scope, bytes) in governance.scope_of_port.iter_mut().zip(ports) {
            *scope = ScopeId::from_le_bytes(*bytes);
        }
        for _ in 0..scopes {
            let id = self.u32()?;
            let flags = ScopeFlags(self.u32()?);
            let mut words = [0; WORDS];
            for word in &mut words {
                *word = self.u64()?;
            }
            let scope = governance.scopes.get_mut(id as usize);
            *scope.ok_or(ImageError::Damaged)? = ScopeConfig {
                flags,
                engine: EngineWords(words),
                ..ScopeConfig::default()
            };
        }
        Ok(governance)
    }
}

#[cfg(test)]
mod tests;
