//! Builds the XDP program, and takes the indentation out of the OpenAPI document.

use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context as _, Result};

#[path = "../netpolicy-ebpf/object.rs"]
mod object;

fn main() -> Result<()> {
    pack_openapi()?;
    object::build_or_say_why(&["netpolicy-xdp"]);
    Ok(())
}

/// The checked-in document is indented, to be read and compared; a third of it is spaces.
fn pack_openapi() -> Result<()> {
    const DOCUMENT: &str = "openapi.json";
    println!("cargo::rerun-if-changed={DOCUMENT}");
    let text =
        fs::read_to_string(DOCUMENT).with_context(|| format!("could not read {DOCUMENT}"))?;
    let packed: Vec<_> = text.lines().map(str::trim_start).collect();
    let target = PathBuf::from(env::var("OUT_DIR")?).join(DOCUMENT);
    fs::write(&target, packed.concat())
        .with_context(|| format!("could not write {}", target.display()))
}
