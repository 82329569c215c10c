//! Cargo's subcommands for packages and licences, each in one version.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use xshell::{Shell, cmd};

use super::{Missing, Purpose, Step};
use crate::{tools, workspace};

/// A tool of crates.io.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tool {
    name: &'static str,
    version: &'static str,
    purpose: Purpose,
}

/// Each is built once for a toolchain.
pub(super) const TOOLS: [Tool; 4] = [
    Tool {
        name: "cargo-deny",
        version: "0.20.2",
        purpose: Purpose::Lint,
    },
    Tool {
        name: "cargo-deb",
        version: "3.8.0",
        purpose: Purpose::Dist,
    },
    Tool {
        name: "cargo-generate-rpm",
        version: "0.21.1",
        purpose: Purpose::Dist,
    },
    Tool {
        name: "cargo-cyclonedx",
        version: "0.5.9",
        purpose: Purpose::Dist,
    },
];

/// Settings of cargo's release profile that make a tool quickly.
const QUICK: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
];

/// The tools for a purpose in the tools directory.
pub(super) struct CargoTools {
    pub(super) tools_dir: PathBuf,
    pub(super) purpose: Purpose,
}

impl CargoTools {
    fn lacking(&self) -> Vec<Tool> {
        // What `cargo install` says of a root: `"cargo-deb 3.8.0 (registry+…)" = […]`.
        let installed = fs::read_to_string(self.tools_dir.join(".crates.toml")).unwrap_or_default();
        let is_there = |tool: &Tool| {
            installed.contains(&format!("\"{} {} (", tool.name, tool.version))
                && tools::cargo_tool(&self.tools_dir, tool.name).exists()
        };
        let needed = TOOLS
            .iter()
            .filter(|tool| self.purpose.includes(tool.purpose));
        needed.filter(|tool| !is_there(tool)).copied().collect()
    }
}

impl Step for CargoTools {
    fn missing(&self, _shell: &Shell) -> Result<Option<Missing>> {
        let lacking = self.lacking();
        let names = lacking
            .iter()
            .map(|tool| format!("{} {}", tool.name, tool.version));
        let what = names.collect::<Vec<_>>().join(", ");
        Ok((!lacking.is_empty()).then(|| Missing {
            what,
            remedy: format!(
                "built from crates.io into {}; takes a minute or two each, once",
                self.tools_dir.display()
            ),
        }))
    }

    fn install(&self, shell: &Shell) -> Result<()> {
        let root = &self.tools_dir;
        for tool in self.lacking() {
            let Tool { name, version, .. } = tool;
            let install = cmd!(
                shell,
                "cargo install {name} --version {version} --locked --force --root {root}"
            );
            // They run for a second, and are built in a third of the time.
            let quick = QUICK.iter().fold(install, |install, (variable, value)| {
                install.env(variable, value)
            });
            workspace::run_aside(quick)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_looked_for_by_name_and_version() {
        let dir = std::env::temp_dir().join(format!("netpolicy-tools-{}", std::process::id()));
        fs::create_dir_all(dir.join("bin")).unwrap();
        let lacking = |purpose| {
            let tools = CargoTools {
                tools_dir: dir.clone(),
                purpose,
            };
            let lacking = tools.lacking();
            lacking.iter().map(|tool| tool.name).collect::<Vec<_>>()
        };
        assert_eq!(lacking(Purpose::Build), [""; 0]);
        assert_eq!(lacking(Purpose::Test), [""; 0]);
        assert_eq!(lacking(Purpose::Lint), ["cargo-deny"]);
        assert_eq!(lacking(Purpose::Dist).len(), TOOLS.len());
        fs::write(dir.join("bin/cargo-deny"), "").unwrap();
        let [deny, ..] = TOOLS;
        let line = format!("\"cargo-deny {} (registry+x)\" = []\n", deny.version);
        fs::write(dir.join(".crates.toml"), &line).unwrap();
        assert!(!lacking(Purpose::Dist).contains(&"cargo-deny"));
        fs::write(
            dir.join(".crates.toml"),
            line.replace(deny.version, "0.0.1"),
        )
        .unwrap();
        assert!(lacking(Purpose::Dist).contains(&"cargo-deny"));
        fs::remove_dir_all(&dir).unwrap();
    }
}
