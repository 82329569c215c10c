//! Builds the XDP program, and compresses it and the OpenAPI document: uncompressed they would be a
//! megabyte of the binary.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};

#[path = "../netpolicy-ebpf/object.rs"]
mod object;

/// The object with the program.
const OBJECT: &str = "netpolicy-xdp";

fn main() -> Result<()> {
    let out = PathBuf::from(env::var("OUT_DIR").context("read OUT_DIR")?);
    pack_openapi(&out)?;
    if object::build_or_say_why(&[OBJECT]) {
        pack_object(&out)?;
    }
    Ok(())
}

/// The checked-in document is indented, to be read and compared; a third of it is spaces.
fn pack_openapi(out: &Path) -> Result<()> {
    const DOCUMENT: &str = "openapi.json";
    println!("cargo::rerun-if-changed={DOCUMENT}");
    let text =
        fs::read_to_string(DOCUMENT).with_context(|| format!("could not read {DOCUMENT}"))?;
    let packed: Vec<_> = text.lines().map(str::trim_start).collect();
    write(
        &out.join("openapi.json.gz"),
        &compress(packed.concat().as_bytes())?,
    )
}

/// By its digest pins are told from those of another object, without expanding this one.
fn pack_object(out: &Path) -> Result<()> {
    let path = out.join(OBJECT);
    let object = fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
    write(&out.join(format!("{OBJECT}.gz")), &compress(&object)?)?;
    let digest = blake3::hash(&object);
    write(&out.join(format!("{OBJECT}.digest")), digest.as_bytes())
}

/// With gzip, without name and time: the same input gives the same bytes.
fn compress(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).with_context(|| format!("could not write {}", path.display()))
}
