//! Builds the XDP program and compresses it: uncompressed it would be half a megabyte of the binary.

use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context as _, Result};

#[path = "../../netpolicy-ebpf/object.rs"]
mod object;
#[path = "../packed.rs"]
mod packed;

/// The object with the program.
const OBJECT: &str = "netpolicy-xdp";

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=../packed.rs");
    if object::build_or_say_why(&[OBJECT]) {
        pack_object()?;
    }
    Ok(())
}

/// By its digest pins are told from those of another object, without expanding this one.
fn pack_object() -> Result<()> {
    let out = PathBuf::from(env::var("OUT_DIR").context("read OUT_DIR")?);
    let path = out.join(OBJECT);
    let object = fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
    packed::pack(OBJECT, &object)?;
    let digest = out.join(format!("{OBJECT}.digest"));
    fs::write(&digest, blake3::hash(&object).as_bytes())
        .with_context(|| format!("could not write {}", digest.display()))
}
