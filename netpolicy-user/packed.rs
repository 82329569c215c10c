//! Of build scripts: compresses what is rarely read, into `OUT_DIR`.

use std::io::Write as _;
use std::path::Path;
use std::{env, fs};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};

/// Writes `name.gz`, without name and time in it: the same input gives the same bytes.
pub(crate) fn pack(name: &str, content: &[u8]) -> Result<()> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    let out = env::var("OUT_DIR").context("read OUT_DIR")?;
    let target = Path::new(&out).join(format!("{name}.gz"));
    fs::write(&target, encoder.finish()?)
        .with_context(|| format!("could not write {}", target.display()))
}
