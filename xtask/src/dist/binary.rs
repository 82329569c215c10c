//! The binary of a package: optimised, stripped, and for every supported distribution.
//!
//! It is linked to the C library, since only that one looks up users and groups where the
//! host keeps them (nsswitch.conf): privileges are granted to these. A static one could not.
//! So no symbol may be newer than the oldest C library that is supported.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use xshell::cmd;

use super::Release;
use crate::{build, target, tools, workspace};

/// That of Amazon Linux 2023 and of RHEL 9 and later: the oldest with a new enough kernel.
const GLIBC: (u32, u32) = (2, 34);

/// Libraries of the packages that ours depend on: the C library's and the compiler's.
const LIBRARIES: [&str; 4] = ["libc.so.", "libm.so.", "libgcc_s.so.", "ld-linux"];

/// Cargo's profile.
const PROFILE: &str = "dist";

/// A program of the packages.
#[derive(Clone, Copy)]
pub(super) struct Program {
    pub(super) name: &'static str,
    package: &'static str,
    /// Names one that is built already.
    variable: &'static str,
}

/// All of them.
pub(super) const PROGRAMS: [Program; 2] = [
    Program {
        name: "netpolicy",
        package: "netpolicy-user",
        variable: build::BINARY_VARIABLE,
    },
    Program {
        name: "netpolicy-net",
        package: "netpolicy-net",
        variable: build::NET_VARIABLE,
    },
];

/// The stripped binary and its debug symbols.
pub(super) struct Binary {
    pub(super) name: &'static str,
    pub(super) path: PathBuf,
    pub(super) symbols: PathBuf,
    /// The build's identity, by which debuggers find the symbols.
    pub(super) build_id: String,
}

/// Builds all programs, or takes those that `NETPOLICY_BIN` and `NETPOLICY_NET_BIN` name.
pub(super) fn stripped(release: &Release) -> Result<Vec<Binary>> {
    let work = release.scratch("binary")?;
    let programs = PROGRAMS.into_iter();
    programs
        .map(|program| stripped_one(release, program, &work))
        .collect()
}

fn stripped_one(release: &Release, program: Program, work: &Path) -> Result<Binary> {
    let built = match env::var_os(program.variable).filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None if release.is_trial => build::net(build::Profile::Test)?,
        None => built(release, program)?,
    };
    let shell = &release.shell;
    let name = program.name;
    let header = cmd!(shell, "readelf --file-header {built}")
        .quiet()
        .read()?;
    target::require(release.target, &header)?;
    let objcopy = release.target.tool("objcopy");
    let (path, symbols) = (work.join(name), work.join(format!("{name}.debug")));
    cmd!(
        shell,
        "{objcopy} --only-keep-debug --compress-debug-sections {built} {symbols}"
    )
    .quiet()
    .run()?;
    cmd!(
        shell,
        "{objcopy} --strip-all --remove-section=.comment {built} {path}"
    )
    .quiet()
    .run()?;
    cmd!(shell, "{objcopy} --add-gnu-debuglink={symbols} {path}")
        .quiet()
        .run()?;
    let notes = cmd!(shell, "readelf --notes {path}").quiet().read()?;
    let build_id = notes
        .lines()
        .find_map(|line| line.trim().strip_prefix("Build ID: "))
        .context("the binary has no build id")?
        .to_owned();
    require_old_glibc(release, name, &path)?;
    Ok(Binary {
        name,
        path,
        symbols,
        build_id,
    })
}

/// The path of the binary does not depend on where it is built.
fn built(release: &Release, program: Program) -> Result<PathBuf> {
    let Program { name, package, .. } = program;
    let shell = &release.shell;
    let target = workspace::binaries("dist")?;
    let target = target
        .parent()
        .context("find the target directory")?
        .join("dist-build");
    let cargo_home = tools::cargo_home()?;
    let sysroot = cmd!(shell, "rustc --print sysroot").quiet().read()?;
    // The last that fits counts.
    let maps = [
        (Path::new(&sysroot), "/rust"),
        (cargo_home.as_path(), "/cargo"),
        (workspace::root(), "/netpolicy"),
        (target.as_path(), "/build"),
    ];
    let rust: Vec<_> = maps
        .iter()
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        .chain(["-Clink-arg=-Wl,--build-id=sha1".to_owned()])
        .collect();
    let c: Vec<_> = maps
        .iter()
        .map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display()))
        // No panic passes SQLite, and debuggers find its frames in the debug symbols.
        .chain(["-fno-asynchronous-unwind-tables".to_owned()])
        .collect();
    let options = release.target.cargo_options();
    let mut command = cmd!(
        shell,
        "cargo build --locked --package {package} --bin {name} --profile {PROFILE} --target-dir {target} {options...}"
    );
    if let Some((variable, linker)) = release.target.linker() {
        command = command.env(variable, linker);
    }
    workspace::run_aside(
        command
            .env("CARGO_ENCODED_RUSTFLAGS", rust.join("\u{1f}"))
            .env("CFLAGS", c.join(" ")),
    )?;
    let built = match release.target.is_foreign() {
        true => target.join(release.target.triple()),
        false => target,
    };
    Ok(built.join(PROFILE).join(name))
}

/// Refuses a binary that does not start where a supported C library is.
fn require_old_glibc(release: &Release, name: &str, binary: &Path) -> Result<()> {
    let shell = &release.shell;
    let objdump = release.target.tool("objdump");
    let symbols = cmd!(shell, "{objdump} --dynamic-syms {binary}")
        .quiet()
        .read()?;
    let newer: Vec<_> = symbols.lines().filter(|line| is_newer(line)).collect();
    let (major, minor) = GLIBC;
    ensure!(
        newer.is_empty(),
        "the binary needs a newer C library than {major}.{minor}: build it on an older \
         distribution\n{}",
        newer.join("\n")
    );
    let dynamic = cmd!(shell, "readelf --dynamic {binary}").quiet().read()?;
    let foreign: Vec<_> = needed(&dynamic)
        .filter(|library| !LIBRARIES.iter().any(|known| library.starts_with(known)))
        .collect();
    ensure!(
        foreign.is_empty(),
        "the packages do not name what has {}: add it to their dependencies",
        foreign.join(", ")
    );
    let size = fs::metadata(binary).map_or(0, |about| about.len());
    eprintln!("{name}: {size} bytes, for glibc {major}.{minor} and later");
    Ok(())
}

/// The libraries that `readelf --dynamic` says are needed.
fn needed(dynamic: &str) -> impl Iterator<Item = &str> {
    dynamic.lines().filter_map(|line| {
        let (_, name) = line.split_once("(NEEDED)")?.1.split_once('[')?;
        name.split(']').next()
    })
}

/// Whether a line of `objdump --dynamic-syms` names a symbol that [`GLIBC`] does not have. A
/// weak one is looked for and done without.
fn is_newer(line: &str) -> bool {
    let version = line.split_once("GLIBC_").and_then(|(_, rest)| {
        let number = rest
            .split(|c: char| !c.is_ascii_digit() && c != '.')
            .next()?;
        let mut parts = number.split('.').map(str::parse::<u32>);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    });
    let is_weak = line.split_whitespace().nth(1) == Some("w");
    !is_weak && version.is_some_and(|version| version > GLIBC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_that_an_old_c_library_lacks_are_found() {
        let line = "0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.38) __isoc23_strtol";
        assert!(is_newer(line));
        assert!(!is_newer(&line.replace("2.38", "2.34")));
        assert!(!is_newer(&line.replace("2.38", "2.2.5")));
        assert!(!is_newer(&line.replace("     DF", "  w  DF")));
        assert!(!is_newer("DYNAMIC SYMBOL TABLE:"));
    }

    #[test]
    fn needed_libraries_are_read() {
        let text = "\
Dynamic section at offset 0x10 contains 32 entries:
  Tag        Type                         Name/Value
 0x0000000000000001 (NEEDED)             Shared library: [libgcc_s.so.1]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x000000000000000c (INIT)               0x1590748
";
        let found: Vec<_> = needed(text).collect();
        assert_eq!(found, ["libgcc_s.so.1", "libc.so.6"]);
    }
}
