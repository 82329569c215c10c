//! apt for this machine, or for another architecture without the machine's apt knowing of it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use crate::target::Target;
use crate::workspace;

/// Options of apt's programs.
pub(super) struct Apt(Vec<String>);

impl Apt {
    /// This machine's.
    pub(super) fn own() -> Self {
        Self(Vec::new())
    }

    /// For an architecture, with lists, state and archives in a directory of its own.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub(super) fn of(target: Target, directory: &Path) -> Result<Self> {
        for name in ["state/lists/partial", "cache/archives/partial"] {
            let path = directory.join(name);
            fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        }
        let status = directory.join("state/status");
        fs::write(&status, "").with_context(|| format!("make {}", status.display()))?;
        let arch = target.debian();
        let options = [
            format!("APT::Architecture={arch}"),
            format!("APT::Architectures={arch}"),
            "APT::Sandbox::User=root".to_owned(),
            "APT::Install-Recommends=false".to_owned(),
            format!("Dir::State={}", directory.join("state").display()),
            format!("Dir::State::status={}", status.display()),
            format!("Dir::Cache={}", directory.join("cache").display()),
        ];
        let options = options.into_iter();
        Ok(Self(
            options
                .flat_map(|option| ["-o".to_owned(), option])
                .collect(),
        ))
    }

    /// What comes before a command.
    pub(super) fn options(&self) -> &[String] {
        &self.0
    }

    /// Downloads packages with all that they depend on; their archives.
    ///
    /// # Errors
    /// apt does not have them.
    pub(super) fn fetch(
        &self,
        shell: &Shell,
        directory: &Path,
        packages: &[&str],
    ) -> Result<Vec<PathBuf>> {
        let options = self.options();
        // A source without this architecture is no error if another has the packages.
        cmd!(shell, "apt-get {options...} --quiet update")
            .ignore_stdout()
            .ignore_status()
            .run()?;
        workspace::run_aside(cmd!(
            shell,
            "apt-get {options...} --quiet --yes --download-only install {packages...}"
        ))?;
        let archives = directory.join("cache/archives");
        let listed = fs::read_dir(&archives)
            .with_context(|| format!("list {}", archives.display()))?
            .flatten()
            .map(|entry| entry.path());
        let is_package = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "deb");
        Ok(listed.filter(is_package).collect())
    }
}
