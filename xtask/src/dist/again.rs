//! Whether the same commit gives the same bytes: the packages are made once more, of a clone in
//! another directory, and compared.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use xshell::cmd;

use super::packages::Made;
use super::{Args, Release};
use crate::{build, workspace};

/// Refuses a work tree that is no commit: a clone does not have what is not committed.
///
/// # Errors
/// With what is not committed.
pub(super) fn require_clean(release: &Release) -> Result<()> {
    let changed = cmd!(release.shell, "git status --porcelain")
        .quiet()
        .read()?;
    ensure!(
        changed.is_empty(),
        "--check-reproducible compares with a clone: commit or stash these first\n{changed}"
    );
    Ok(())
}

/// Makes the packages of a clone, and compares each with the one that was made.
///
/// # Errors
/// With the names of those that differ.
pub(super) fn compare(release: &Release, args: &Args, made: &Made) -> Result<()> {
    let clone = Clone::make(release)?;
    let out = clone.0.join("packages");
    let mut options = vec!["--no-check".to_owned()];
    if let Some(version) = &args.version {
        options.extend(["--version".to_owned(), version.clone()]);
    }
    let target = release.target.triple();
    let shell = workspace::shell()?;
    shell.change_dir(&clone.0);
    let again = cmd!(
        shell,
        "cargo xtask dist --out {out} --target {target} {options...}"
    );
    // The binary, too, is built again.
    workspace::run_aside(again.env_remove(build::BINARY_VARIABLE))?;
    let mut differ = Vec::new();
    for path in made.all() {
        let name = path.file_name().context("a package has a name")?;
        if !is_equal(path, &out.join(name))? {
            differ.push(name.to_string_lossy());
        }
    }
    ensure!(
        differ.is_empty(),
        "not reproducible: made again in {}, these differ: {}",
        clone.0.display(),
        differ.join(", ")
    );
    eprintln!("netpolicy: made again in another directory, every package is the same");
    clone.remove()
}

/// Whether two files hold the same bytes.
fn is_equal(one: &Path, other: &Path) -> Result<bool> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("read {}", path.display()));
    Ok(read(one)? == read(other)?)
}

/// A clone of the last commit. It stays where packages differ, to be looked at.
struct Clone(PathBuf);

impl Clone {
    /// Far from here, and with a path of another length.
    fn make(release: &Release) -> Result<Self> {
        let name = format!("netpolicy-made-again-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let from = workspace::root();
        workspace::run_aside(cmd!(release.shell, "git clone --quiet {from} {path}"))?;
        Ok(Self(path))
    }

    fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.0).with_context(|| format!("remove {}", self.0.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_compared_by_their_bytes() {
        let dir = std::env::temp_dir().join(format!("netpolicy-equal-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (one, other) = (dir.join("one"), dir.join("other"));
        fs::write(&one, "bytes").unwrap();
        fs::write(&other, "bytes").unwrap();
        assert!(is_equal(&one, &other).unwrap());
        fs::write(&other, "bytez").unwrap();
        assert!(!is_equal(&one, &other).unwrap());
        assert!(is_equal(&one, &dir.join("missing")).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
