//! Compresses the OpenAPI document: as it is it would be half a megabyte of the binary.

use std::fs;

use anyhow::{Context as _, Result};

#[path = "../packed.rs"]
mod packed;

/// The checked-in document is indented, to be read and compared; a third of it is spaces.
fn main() -> Result<()> {
    const DOCUMENT: &str = "openapi.json";
    println!("cargo::rerun-if-changed={DOCUMENT}");
    println!("cargo::rerun-if-changed=../packed.rs");
    let text =
        fs::read_to_string(DOCUMENT).with_context(|| format!("could not read {DOCUMENT}"))?;
    let packed: Vec<_> = text.lines().map(str::trim_start).collect();
    packed::pack(DOCUMENT, packed.concat().as_bytes())
}
