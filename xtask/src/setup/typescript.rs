//! TypeScript, which checks the JSDoc types of the console's page, in one version.
//!
//! It lives among the tools. The page is built and served without it, and without node.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use super::{Missing, Step, packages};
use crate::{tools, workspace};

/// npm's names of the version and its digest.
const PINNED: &str = "netpolicy-user/console/types";
const FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// TypeScript in its tools directory.
pub(super) struct TypeScript {
    pub(super) tools_dir: PathBuf,
}

impl TypeScript {
    fn is_installed(&self) -> bool {
        let installed = tools::node_packages(&self.tools_dir);
        let same = |file: &&str| {
            let pinned = fs::read(pinned().join(file));
            pinned.is_ok_and(|pinned| fs::read(installed.join(file)).is_ok_and(|it| it == pinned))
        };
        FILES.iter().all(same) && tools::tsc(&self.tools_dir).exists()
    }
}

fn pinned() -> PathBuf {
    workspace::root().join(PINNED)
}

impl Step for TypeScript {
    fn missing(&self, _shell: &Shell) -> Result<Option<Missing>> {
        Ok((!self.is_installed()).then(|| Missing {
            what: "TypeScript".to_owned(),
            remedy: format!(
                "installed from npm into {}, 23 MB, and node by apt-get where it is missing; once",
                tools::node_packages(&self.tools_dir).display()
            ),
        }))
    }

    fn install(&self, shell: &Shell) -> Result<()> {
        packages::require(shell, "node", "nodejs")?;
        packages::require(shell, "npm", "npm")?;
        let into = tools::node_packages(&self.tools_dir);
        fs::create_dir_all(&into).with_context(|| format!("create {}", into.display()))?;
        for file in FILES {
            copy(&pinned().join(file), &into.join(file))?;
        }
        // By the lock file, which has the digest; and runs no script of a package.
        workspace::run_aside(cmd!(
            shell,
            "npm ci --ignore-scripts --no-audit --no-fund --prefix {into}"
        ))
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_digest_are_pinned() {
        let [package, lock] = FILES.map(|file| fs::read_to_string(pinned().join(file)).unwrap());
        let version = package.split("\"typescript\": \"").nth(1).unwrap();
        let version = version.split('"').next().unwrap();
        assert!(
            version.starts_with(|c: char| c.is_ascii_digit()),
            "{version}"
        );
        assert!(lock.contains(&format!("\"version\": \"{version}\"")));
        assert_eq!(
            lock.matches("\"resolved\"").count(),
            lock.matches("\"integrity\"").count()
        );
    }

    #[test]
    fn other_files_than_the_pinned_are_not_installed() {
        let dir = std::env::temp_dir().join(format!("netpolicy-tsc-{}", std::process::id()));
        let step = TypeScript {
            tools_dir: dir.clone(),
        };
        assert!(!step.is_installed());
        let into = tools::node_packages(&dir);
        fs::create_dir_all(tools::tsc(&dir).parent().unwrap()).unwrap();
        fs::write(tools::tsc(&dir), "").unwrap();
        for file in FILES {
            copy(&pinned().join(file), &into.join(file)).unwrap();
        }
        assert!(step.is_installed());
        fs::write(into.join("package.json"), "{}").unwrap();
        assert!(!step.is_installed());
        fs::remove_dir_all(&dir).unwrap();
    }
}
