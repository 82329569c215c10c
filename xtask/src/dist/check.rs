//! What a package must pass: licences and sources of all crates are allowed, `man` reads its
//! pages without a warning, and lintian is silent.

use std::path::Path;

use anyhow::{Result, ensure};
use xshell::cmd;

use super::Release;
use super::packages::Made;
use super::stage::Stage;
use crate::lint;

/// Largest package: 8 MiB.
const LARGEST: u64 = 8 << 20;

/// Largest binary. It had 14.6 MB when this was written, of which the program's code is 11.5.
const LARGEST_BINARY: u64 = 15_000_000;

/// Largest second binary.
const LARGEST_NET: u64 = 8_000_000;

/// Checks what was made.
///
/// # Errors
/// With what is wrong.
pub(super) fn check(release: &Release, stage: &Stage, made: &Made) -> Result<()> {
    lint::crates(&release.shell)?;
    for file in &stage.files {
        if file.to_string_lossy().contains("/share/man/") {
            read_without_warnings(release, file)?;
        }
    }
    let (shell, deb) = (&release.shell, &made.deb);
    eprintln!("$ lintian {}", deb.display());
    let lintian = cmd!(
        shell,
        "lintian --allow-root --pedantic --fail-on error,warning,info,pedantic {deb}"
    )
    .quiet()
    .ignore_status();
    let output = lintian.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && said.trim().is_empty(),
        "lintian is not content:\n{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    if release.is_trial {
        return Ok(());
    }
    at_most(&stage.root.join("usr/bin/netpolicy"), LARGEST_BINARY)?;
    let net = stage.root.join("usr/libexec/netpolicy/netpolicy-net");
    at_most(&net, LARGEST_NET)?;
    let packages = made.all().into_iter();
    packages
        .filter(|path| !path.to_string_lossy().contains("debuginfo"))
        .try_for_each(|path| at_most(path, LARGEST))
}

fn at_most(path: &Path, largest: u64) -> Result<()> {
    let size = std::fs::metadata(path)?.len();
    ensure!(
        size <= largest,
        "{} has {size} bytes: at most {largest} were expected",
        path.display()
    );
    Ok(())
}

fn read_without_warnings(release: &Release, page: &Path) -> Result<()> {
    let shell = &release.shell;
    let man = cmd!(shell, "man --warnings --local-file {page}")
        .env("LC_ALL", "C.UTF-8")
        .env("MANWIDTH", "80")
        .env("MANROFFSEQ", "")
        .quiet()
        .ignore_status();
    let output = man.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && said.trim().is_empty(),
        "{}: {said}",
        page.display()
    );
    Ok(())
}
