//! Packs the page, what is vendored for it, and the guide: compressed, with a digest of each.
//!
//! The guide's pages are rendered here, so that the page needs no renderer of its own.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};

#[path = "build/guide.rs"]
mod guide;

/// A file as it is served.
struct Packed {
    /// Its path in the URL.
    path: String,
    media: &'static str,
    content: Vec<u8>,
}

fn main() -> Result<()> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let docs = root.join("../../docs");
    for watched in [
        root.join("page"),
        root.join("vendor"),
        root.join("build"),
        docs.join("guide"),
        docs.join("reference"),
        docs.join("troubleshooting.md"),
        docs.join("limits.md"),
        docs.join("security.md"),
    ] {
        println!("cargo::rerun-if-changed={}", watched.display());
    }
    let mut files = Vec::new();
    page(&root.join("page"), "", &mut files)?;
    page(&root.join("vendor"), "vendor/", &mut files)?;
    files.extend(guide::pages(&docs)?);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut table = String::from("pub(crate) static ASSETS: &[Asset] = &[\n");
    for (number, file) in files.iter().enumerate() {
        let gzip = out.join(format!("{number}.gz"));
        fs::write(&gzip, compress(&file.content)?)?;
        let digest = blake3::hash(&file.content).to_hex();
        writeln!(
            table,
            "    Asset {{ path: {:?}, media: {:?}, etag: \"\\\"{}\\\"\", gzip: include_bytes!({:?}) }},",
            file.path,
            file.media,
            digest.get(..20).unwrap_or_default(),
            gzip,
        )?;
    }
    table.push_str("];\n");
    fs::write(out.join("assets.rs"), table)?;
    Ok(())
}

/// The files of a directory, under a prefix; those that are no part of a page are left out.
fn page(dir: &Path, prefix: &str, files: &mut Vec<Packed>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{} has no name", path.display()))?;
        if path.is_dir() {
            page(&path, &format!("{prefix}{name}/"), files)?;
            continue;
        }
        let media = match path.extension().and_then(|extension| extension.to_str()) {
            Some("html") => "text/html; charset=utf-8",
            Some("js" | "mjs") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => continue,
        };
        let mut content = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        if name == "hooks.mjs" {
            // Browsers resolve paths alone.
            let text = String::from_utf8(content)?;
            content = text.replace("\"preact\"", "\"./preact.mjs\"").into_bytes();
        }
        files.push(Packed {
            path: format!("/{prefix}{name}"),
            media,
            content,
        });
    }
    Ok(())
}

/// With gzip, without name and time: the same input gives the same bytes.
fn compress(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}
