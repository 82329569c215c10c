//! Test programs: built by cargo, and where it put them.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use xshell::{Shell, cmd};

use crate::workspace;

/// A test program that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// "cli" of `tests/tests/cli.rs`; of unit tests the crate's name.
    pub(crate) name: String,
    /// The program, absolute.
    pub(crate) path: PathBuf,
    /// The directory of its package, in which cargo starts it.
    pub(crate) directory: PathBuf,
}

/// Builds test programs: what `selection` names to `cargo test`.
///
/// # Errors
/// When they do not build, with what the compiler says.
pub(crate) fn build(shell: &Shell, selection: &[String]) -> Result<Vec<Program>> {
    let build = cmd!(shell, "cargo test --no-run {selection...}").ignore_status();
    let output = build.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        eprintln!("{said}");
        bail!("the tests do not build");
    }
    said.lines()
        .filter_map(executable)
        .map(|(name, path)| {
            let directory = match crate_directory(&name) {
                Some(package) => workspace::root().join(package),
                None => workspace::root().join("tests"),
            };
            let path = std::path::absolute(workspace::root().join(path));
            Ok(Program {
                name,
                path: path.context("make a program's path absolute")?,
                directory,
            })
        })
        .collect()
}

/// Name and path in a line of cargo: `Executable tests/cli.rs (target/debug/deps/cli-1f)`,
/// or `Executable unittests src/lib.rs (target/debug/deps/netpolicy_user-1f)`.
fn executable(line: &str) -> Option<(String, String)> {
    let rest = line.trim_start().strip_prefix("Executable ")?;
    let (source, path) = rest.split_once(" (")?;
    let path = path.strip_suffix(')')?;
    let name = match source.strip_prefix("tests/") {
        Some(file) => file.strip_suffix(".rs")?,
        None => path.rsplit('/').next()?.rsplit_once('-')?.0,
    };
    Some((name.to_owned(), path.to_owned()))
}

/// The package whose unit tests a program of this name holds, or whose own integration test
/// it is; `None`: it is one of the package of tests.
fn crate_directory(name: &str) -> Option<&'static str> {
    match name {
        "netpolicy_common" => Some("netpolicy-common"),
        "netpolicy_ebpf" => Some("netpolicy-ebpf"),
        "netpolicy_flat" => Some("netpolicy-common/flat"),
        "netpolicy_prefixes" => Some("netpolicy-common/prefixes"),
        "netpolicy_policy" | "sql_memory" => Some("netpolicy-user/policy"),
        "netpolicy_agent" => Some("netpolicy-user/agent"),
        "netpolicy_api" => Some("netpolicy-user/api"),
        "netpolicy_datapath" => Some("netpolicy-user/datapath"),
        "netpolicy_host" => Some("netpolicy-user/host"),
        "netpolicy_store" => Some("netpolicy-user/store"),
        "netpolicy_user" | "netpolicy" => Some("netpolicy-user"),
        "xtask" => Some("xtask"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_read_from_cargos_lines() {
        let found = |line: &str| executable(line).map(|(name, _)| name);
        let line = "  Executable tests/cli.rs (target/debug/deps/cli-0a1b)";
        assert_eq!(
            executable(line),
            Some(("cli".to_owned(), "target/debug/deps/cli-0a1b".to_owned()))
        );
        let line = "  Executable unittests src/lib.rs (target/debug/deps/netpolicy_user-0a)";
        assert_eq!(found(line).as_deref(), Some("netpolicy_user"));
        assert_eq!(crate_directory("netpolicy_user"), Some("netpolicy-user"));
        assert_eq!(found("   Compiling netpolicy-tests v0.1.0"), None);
    }
}
