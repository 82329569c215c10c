//! `cargo xtask dist`: the packages, `.deb`, `.rpm` and a tarball, from one tree of files.
//!
//! The same commit gives the same bytes: times are the commit's, paths of the build are mapped
//! away, and nothing is in a package that depends on when or where it was made.

mod again;
mod binary;
mod check;
mod copyright;
mod packages;
mod stage;
mod target;

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args as ClapArgs;
use xshell::{Shell, cmd};

use crate::setup::{self, Purpose};
use crate::{build, workspace};
use target::Target;

/// Which packages.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Where the packages go [default: target/dist]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The packages' version instead of the workspace's, for tests of upgrades
    #[arg(long)]
    version: Option<String>,
    /// The architecture of the packages [default: this machine's]
    #[arg(long, value_enum, value_name = "TRIPLE")]
    target: Option<Target>,
    /// Leave out licences, lintian, manual pages and sizes
    #[arg(long)]
    no_check: bool,
    /// Make the packages once more, of a clone of the last commit in another directory, and
    /// compare them byte by byte
    #[arg(long)]
    check_reproducible: bool,
}

/// What all parts of a release share.
struct Release {
    shell: Shell,
    version: String,
    /// Seconds since the epoch of the commit.
    epoch: String,
    /// The same as YYYY-MM-DD.
    date: String,
    target: Target,
    /// The binary was given, and is perhaps one for debugging: it is packed quickly, and may
    /// have any size.
    is_trial: bool,
    /// Where the packages go.
    out: PathBuf,
}

/// Makes the packages and prints where they are.
///
/// # Errors
/// When something does not build, or a package is not as it should be.
pub(crate) fn dist(args: &Args) -> Result<()> {
    setup::setup(Purpose::Dist)?;
    let release = Release::of(args)?;
    release.target.prepare(&release.shell)?;
    if args.check_reproducible {
        again::require_clean(&release)?;
    }
    fs::create_dir_all(&release.out).context("make the packages' directory")?;
    let binaries = binary::stripped(&release)?;
    let stage = stage::make(&release, &binaries)?;
    let made = packages::make(&release, &stage, &binaries)?;
    if !args.no_check {
        check::check(&release, &stage, &made)?;
    }
    if args.check_reproducible {
        again::compare(&release, args, &made)?;
    }
    for path in made.all() {
        let size = fs::metadata(path).map_or(0, |about| about.len());
        println!("{size:>10} {}", workspace::shown(path));
    }
    Ok(())
}

impl Release {
    fn of(args: &Args) -> Result<Self> {
        let shell = workspace::shell()?;
        let epoch = cmd!(shell, "git log -1 --format=%ct").quiet().read()?;
        let date = cmd!(shell, "date --utc --date=@{epoch} +%Y-%m-%d")
            .quiet()
            .read()?;
        shell.set_var("SOURCE_DATE_EPOCH", &epoch);
        shell.set_var("TZ", "UTC");
        let version = match &args.version {
            Some(version) => version.clone(),
            None => env!("CARGO_PKG_VERSION").to_owned(),
        };
        let out = match &args.out {
            Some(out) => std::path::absolute(out).context("make the directory's path absolute")?,
            None => workspace::binaries("dist")?.join("packages"),
        };
        Ok(Self {
            shell,
            version,
            epoch,
            date,
            target: match args.target {
                Some(target) => target,
                None => Target::host()?,
            },
            is_trial: env::var_os(build::BINARY_VARIABLE).is_some_and(|path| !path.is_empty()),
            out,
        })
    }

    /// A directory for what the packages are made of, empty.
    fn scratch(&self, name: &str) -> Result<PathBuf> {
        let path = self.out.join("work").join(name);
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("empty {}", path.display()))?;
        }
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(path)
    }
}
