//! Whether the same commit gives the same bytes: the packages are made once more, of a clone in
//! another directory, and compared.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// The least and the most that it may take, and how many times as long as the first making: the
/// clone has nothing that was compiled before.
const LEAST: Duration = Duration::from_mins(30);
const MOST: Duration = Duration::from_mins(120);
const TIMES: u32 = 6;

/// Makes the packages of a clone, and compares each with the one that was made. `took`: what making
/// it took.
///
/// # Errors
/// With the names of those that differ; or it takes too long.
pub(super) fn compare(release: &Release, args: &Args, made: &Made, took: Duration) -> Result<()> {
    let seconds = (took * TIMES).clamp(LEAST, MOST).as_secs();
    eprintln!("netpolicy: made once more, 1 of 3: cloning the commit");
    let clone = Clone::make(release)?;
    let out = clone.0.join("packages");
    let mut options = vec!["--no-check".to_owned()];
    if let Some(version) = &args.version {
        options.extend(["--version".to_owned(), version.clone()]);
    }
    let target = release.target.triple();
    let shell = workspace::shell()?;
    shell.change_dir(&clone.0);
    eprintln!(
        "netpolicy: made once more, 2 of 3: building all of it in {}, {} minutes at most",
        clone.0.display(),
        seconds / 60
    );
    let begun = Instant::now();
    let limit = format!("{seconds}s");
    // `timeout` ends all that was started. Ctrl-C does not reach it; that this ends does.
    let again = cmd!(
        shell,
        "setpriv --pdeathsig TERM timeout {limit} cargo xtask dist --out {out} --target {target} {options...}"
    );
    // The binary, too, is built again.
    let done = workspace::run_aside(again.env_remove(build::BINARY_VARIABLE));
    let is_over = begun.elapsed().as_secs() >= seconds;
    done.with_context(|| match is_over {
        true => format!("stopped after {seconds} s, before all was made again"),
        false => "make the packages again".to_owned(),
    })?;
    eprintln!(
        "netpolicy: made once more, 3 of 3: comparing, after {} s",
        begun.elapsed().as_secs()
    );
    let mut differ = Vec::new();
    for path in made.all() {
        let name = path.file_name().context("a package has a name")?;
        let is_same = is_equal(path, &out.join(name))?;
        let name = name.to_string_lossy();
        eprintln!("  {name}: {}", if is_same { "the same" } else { "differs" });
        if !is_same {
            differ.push(name);
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
