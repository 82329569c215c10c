//! The Python programs that the tests compare netpolicy's API with, each in one version.
//!
//! They live in an environment of their own among the tools: the system's Python stays as
//! it is.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use super::{Missing, Step};
use crate::{tools, workspace};

/// The versions, for pip.
const REQUIREMENTS: &str = "tests/openapi/requirements.txt";

/// The environment in its tools directory.
pub(super) struct Python {
    pub(super) tools_dir: PathBuf,
}

impl Python {
    /// A copy of the requirements that were installed.
    fn stamp(&self) -> PathBuf {
        tools::python_environment(&self.tools_dir).join("requirements.txt")
    }
}

impl Step for Python {
    fn missing(&self, shell: &Shell) -> Result<Option<Missing>> {
        let wanted = requirements()?;
        // It is run, not only looked for: it does not start when the system's Python is
        // another one now.
        let python = tools::python(&self.tools_dir);
        let works = fs::read_to_string(self.stamp()).is_ok_and(|installed| installed == wanted)
            && cmd!(shell, "{python} -c 'import openapi_spec_validator'")
                .quiet()
                .ignore_stderr()
                .run()
                .is_ok();
        Ok((!works).then(|| Missing {
            what: "openapi-spec-validator and openapi-python-client".to_owned(),
            remedy: format!(
                "installed from PyPI into {}, 100 MB; takes half a minute, once",
                tools::python_environment(&self.tools_dir).display()
            ),
        }))
    }

    fn install(&self, shell: &Shell) -> Result<()> {
        let environment = tools::python_environment(&self.tools_dir);
        let python = tools::python(&self.tools_dir);
        let requirements = workspace::root().join(REQUIREMENTS);
        workspace::run_aside(cmd!(shell, "python3 -m venv --clear {environment}"))?;
        workspace::run_aside(cmd!(
            shell,
            "{python} -m pip install --quiet --disable-pip-version-check --no-input
             --requirement {requirements}"
        ))?;
        let stamp = self.stamp();
        fs::copy(&requirements, &stamp).with_context(|| format!("write {}", stamp.display()))?;
        Ok(())
    }
}

fn requirements() -> Result<String> {
    let path = workspace::root().join(REQUIREMENTS);
    fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_python_package_has_one_version() {
        let requirements = requirements().unwrap();
        let packages = requirements.lines().filter(|line| !line.starts_with('#'));
        let mut count = 0;
        for package in packages {
            assert!(package.contains("=="), "{package}");
            count += 1;
        }
        assert!(count > 10, "{count}");
    }
}
