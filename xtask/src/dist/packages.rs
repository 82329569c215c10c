//! The tree of files as `.deb`, `.rpm` and tarball, its debug symbols and its bill of materials.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use xshell::cmd;

use super::Release;
use super::binary::Binary;
use super::stage::Stage;
use crate::{tools, workspace};

/// What is said about the package.
const SUMMARY: &str = "network policies for database hosts, enforced at the NIC";
const DESCRIPTION: &str = "\
netpolicy filters TCP connection attempts at the NIC of a Linux database host,
by source address. Policies are named lists of allowed and blocked networks,
written in a file, with commands or in the SQL of Snowflake, Materialize or
Singdata Lakehouse. A BPF program, at XDP or tcx as suits the driver, drops the
first packet of each denied source before the network stack sees it; an agent
applies changes atomically and explains each verdict with the rule that gave it.
.
After installation no interface is configured: nothing is filtered.";
const MAINTAINER: &str = "The netpolicy contributors <netpolicy@users.noreply.github.com>";

/// Where units are.
const UNITS: &str = "usr/lib/systemd/system/";

/// The units that an installation starts. Others are enabled, and begin at the next boot, but
/// those of [`CHOSEN`].
const STARTED: [&str; 2] = ["netpolicy", "netpolicy-feed"];

/// Units that the administrator enables: one listens on TCP, one runs hooks, one lets a reverse
/// proxy in, one is for a database of a name.
const CHOSEN: [&str; 4] = [
    "netpolicy-console",
    "netpolicy-db",
    "netpolicy-exporter",
    "netpolicy-notify",
];

/// The unit that runs once at boot: a restart would put its snapshot in force.
const ONESHOT: &str = "netpolicy-early";

/// What was made.
pub(super) struct Made {
    pub(super) deb: PathBuf,
    rpm: PathBuf,
    tarball: PathBuf,
    symbols: PathBuf,
    sbom: PathBuf,
    net_sbom: PathBuf,
}

impl Made {
    /// All of it.
    pub(super) fn all(&self) -> [&Path; 6] {
        [
            &self.deb,
            &self.rpm,
            &self.tarball,
            &self.symbols,
            &self.sbom,
            &self.net_sbom,
        ]
    }
}

/// Makes all packages.
pub(super) fn make(release: &Release, stage: &Stage, binaries: &[Binary]) -> Result<Made> {
    let manifest = manifest(release, stage)?;
    Ok(Made {
        deb: deb(release, &manifest)?,
        rpm: rpm(release, &manifest)?,
        tarball: tarball(release, stage)?,
        symbols: symbols(release, binaries)?,
        sbom: sbom(release, "netpolicy-user", "netpolicy")?,
        net_sbom: sbom(release, "netpolicy-user/net", "netpolicy-net")?,
    })
}

/// A package of cargo's that holds the tree: cargo-deb and cargo-generate-rpm read what they
/// do from a `Cargo.toml`. Its directory.
fn manifest(release: &Release, stage: &Stage) -> Result<PathBuf> {
    let directory = release.scratch("package")?;
    let mut assets = String::new();
    let mut rpm_assets = String::new();
    let mut units = BTreeSet::new();
    for file in &stage.files {
        let to = file
            .strip_prefix(&stage.root)
            .context("a file outside of the tree")?;
        let to = to.to_str().context("a file's name is no UTF-8")?;
        let mode = fs::metadata(file)?.permissions().mode() & 0o777;
        let file = file.to_str().context("a file's name is no UTF-8")?;
        // cargo-deb adds units itself.
        if let Some(unit) = to.strip_prefix(UNITS) {
            let name = unit_name(unit);
            units.insert(name.to_owned());
            let to = directory.join("units").join(name);
            fs::create_dir_all(&to)?;
            fs::copy(file, to.join(unit))?;
        } else {
            assets += &format!("  [{file:?}, {to:?}, \"{mode:o}\"],\n");
        }
        let kind = match to {
            _ if to.starts_with("etc/") => ", config = \"noreplace\"",
            _ if to.starts_with("usr/share/doc/") => ", doc = true",
            _ => "",
        };
        rpm_assets += &format!(
            "  {{ source = {file:?}, dest = \"/{to}\", mode = \"{:o}\"{kind} }},\n",
            0o100_000 | mode
        );
    }
    let units: String = units.iter().map(|name| systemd_unit(name)).collect();
    let version = &release.version;
    for name in ["postinst", "prerm", "postrm"] {
        script(&directory, &format!("debian/{name}"))?;
    }
    let post = script(&directory, "rpm/post")?;
    let preun = script(&directory, "rpm/preun")?;
    let postun = script(&directory, "rpm/postun")?;
    let repository = env!("CARGO_PKG_REPOSITORY");
    let text = format!(
        "[package]
name = \"netpolicy\"
version = {version:?}
edition = \"2024\"
description = {SUMMARY:?}
license = \"MIT OR Apache-2.0\"
homepage = {repository:?}

[workspace]

[package.metadata.deb]
maintainer = {MAINTAINER:?}
extended-description = {DESCRIPTION:?}
section = \"net\"
priority = \"optional\"
depends = \"libc6 (>= 2.34), libgcc-s1 (>= 4.2), systemd | systemd-standalone-sysusers | systemd-sysusers\"
recommends = \"ca-certificates\"
changelog = \"changelog\"
maintainer-scripts = \"debian\"
systemd-units = [
{units}]
conf-files = [
  \"/etc/netpolicy/config.toml\",
  \"/etc/fail2ban/action.d/netpolicy.conf\",
  \"/etc/fail2ban/filter.d/postgresql-netpolicy.conf\",
]
assets = [
{assets}]

[package.metadata.generate-rpm]
release = \"1\"
auto-req = \"disabled\"
requires = {{ \"glibc\" = \">= 2.34\", \"libgcc\" = \"*\", \"/usr/bin/nsenter\" = \"*\" }}
post_install_script = {post:?}
pre_uninstall_script = {preun:?}
post_uninstall_script = {postun:?}
assets = [
{rpm_assets}]
"
    );
    fs::write(directory.join("Cargo.toml"), text)?;
    fs::create_dir_all(directory.join("src"))?;
    fs::write(directory.join("src/lib.rs"), "")?;
    fs::write(directory.join("changelog"), debian_changelog(release)?)?;
    Ok(directory)
}

/// Writes a maintainer script, with what both kinds of packages have in common; its path.
fn script(directory: &Path, name: &str) -> Result<String> {
    let packaging = workspace::root().join("packaging");
    let read = |path: PathBuf| {
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    };
    let common = read(packaging.join("namespaces.sh"))?;
    let indented: String = common.lines().map(|line| format!("    {line}\n")).collect();
    let text = read(packaging.join(name))?;
    let text = text.replace("#NAMESPACES#\n", &indented);
    let path = directory.join(name);
    fs::create_dir_all(path.parent().context("a script has a directory")?)?;
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}

/// The name by which cargo-deb goes for a unit's file: of a template's, that of its unit.
fn unit_name(file: &str) -> &str {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    stem.trim_end_matches('@')
}

/// What cargo-deb does with a unit. Each has a directory of its own, or another's template would
/// be taken for its own.
fn systemd_unit(name: &str) -> String {
    let is_started = STARTED.contains(&name);
    let is_enabled = !CHOSEN.contains(&name);
    // Of a unit that restarts, cargo-deb also stops it on removal.
    let restarts = name != ONESHOT;
    format!(
        "  {{ unit-name = {name:?}, unit-scripts = \"units/{name}\", enable = {is_enabled}, \
         start = {is_started}, stop-on-upgrade = false, restart-after-upgrade = {restarts} }},\n"
    )
}

/// The packaging's own changelog; what changed in netpolicy is in `changelog.gz`.
fn debian_changelog(release: &Release) -> Result<String> {
    let (shell, epoch) = (&release.shell, &release.epoch);
    let date = cmd!(shell, "date --utc --date=@{epoch} --rfc-email")
        .quiet()
        .read()?;
    Ok(format!(
        "netpolicy ({}-1) unstable; urgency=medium\n\n  * Package netpolicy {}; its changes are in changelog.gz.\n\n -- {MAINTAINER}  {date}\n",
        release.version, release.version
    ))
}

/// A tool of the tools directory.
pub(super) fn tool(name: &str) -> Result<PathBuf> {
    let toolchain = tools::pinned_toolchain(workspace::root())?;
    Ok(tools::cargo_tool(&tools::tools_dir(&toolchain)?, name))
}

fn deb(release: &Release, manifest: &Path) -> Result<PathBuf> {
    let (shell, version) = (&release.shell, &release.version);
    let path = release.out.join(format!(
        "netpolicy_{version}-1_{}.deb",
        release.target.debian()
    ));
    let tool = tool("cargo-deb")?;
    let fast = release.is_trial.then_some("--fast");
    let target = release.target.triple();
    let manifest = manifest.join("Cargo.toml");
    workspace::run_aside(cmd!(
        shell,
        "{tool} --no-build --no-strip --offline --target {target} --compress-type xz {fast...} --deb-version {version}-1 --manifest-path {manifest} --output {path}"
    ))?;
    Ok(path)
}

fn rpm(release: &Release, manifest: &Path) -> Result<PathBuf> {
    let (shell, version) = (&release.shell, &release.version);
    let path = release.out.join(format!(
        "netpolicy-{version}-1.{}.rpm",
        release.target.machine()
    ));
    let tool = tool("cargo-generate-rpm")?;
    let arch = release.target.machine();
    let compression = if release.is_trial { "gzip" } else { "xz" };
    let _here = shell.push_dir(manifest);
    workspace::run_aside(cmd!(
        shell,
        "{tool} --auto-req disabled --arch {arch} --payload-compress {compression} --output {path}"
    ))?;
    Ok(path)
}

/// The tree under one directory, to be unpacked into `/` with `--strip-components=1`.
fn tarball(release: &Release, stage: &Stage) -> Result<PathBuf> {
    let name = format!(
        "netpolicy-{}-linux-{}",
        release.version,
        release.target.machine()
    );
    let path = release.out.join(format!("{name}.tar.xz"));
    let root = &stage.root;
    pack(release, root, &format!("s,^\\.,{name},"), &path)?;
    Ok(path)
}

/// The debug symbols, where debuggers look for them.
fn symbols(release: &Release, binaries: &[Binary]) -> Result<PathBuf> {
    let tree = release.scratch("symbols")?;
    for binary in binaries {
        let (start, rest) = binary
            .build_id
            .split_at_checked(2)
            .context("a short build id")?;
        let directory = tree.join("usr/lib/debug/.build-id").join(start);
        fs::create_dir_all(&directory)?;
        fs::copy(&binary.symbols, directory.join(format!("{rest}.debug")))?;
    }
    let path = release.out.join(format!(
        "netpolicy-debuginfo-{}-linux-{}.tar.xz",
        release.version,
        release.target.machine()
    ));
    pack(release, &tree, "s,^\\./,,", &path)?;
    Ok(path)
}

/// Packs a directory: sorted, root's, with the commit's time.
fn pack(release: &Release, root: &Path, transform: &str, to: &Path) -> Result<()> {
    let (shell, epoch) = (&release.shell, &release.epoch);
    // One thread: how many there are changes the bytes.
    let xz = if release.is_trial {
        "xz -0 -T1"
    } else {
        "xz -6 -T1"
    };
    let command = cmd!(
        shell,
        "tar --directory {root} --create --file {to} --sort=name --mtime=@{epoch} --owner=0 --group=0 --numeric-owner --mode=u+rw,go=rX --format=gnu --transform {transform} --use-compress-program={xz} ."
    );
    workspace::run_aside(command)
}

/// What was linked into a program, as CycloneDX; `directory`: where its manifest is.
fn sbom(release: &Release, directory: &str, program: &str) -> Result<PathBuf> {
    let shell = &release.shell;
    let tool = tool("cargo-cyclonedx")?;
    let name = "netpolicy.cdx";
    let manifest = workspace::root().join(directory).join("Cargo.toml");
    workspace::run_aside(cmd!(
        shell,
        "{tool} cyclonedx --manifest-path {manifest} --format json --spec-version 1.5 --target all --no-build-deps --override-filename {name}"
    ))?;
    // It writes one next to the manifest of each member of the workspace.
    let listed = cmd!(
        shell,
        "git ls-files --others --ignored --exclude={name}.json"
    )
    .quiet()
    .read()?;
    let mut found = None;
    for file in listed.lines().map(|line| workspace::root().join(line)) {
        if file.parent() == manifest.parent() {
            found = Some(fs::read(&file)?);
        }
        fs::remove_file(&file)?;
    }
    let found = found.context("cargo-cyclonedx wrote nothing")?;
    ensure!(!found.is_empty(), "the bill of materials is empty");
    let path = release
        .out
        .join(format!("{program}-{}.cdx.json", release.version));
    fs::write(&path, found)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units that do nothing before they are configured, apart from those that are started.
    const ENABLED: [&str; 3] = ["netpolicy-crowdsec", "netpolicy-fleet", ONESHOT];

    #[test]
    fn every_unit_is_either_enabled_on_purpose_or_left_to_the_administrator() {
        let packaging = workspace::root().join("packaging");
        let post = fs::read_to_string(packaging.join("rpm/post")).unwrap();
        for entry in fs::read_dir(packaging.join("systemd")).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let name = unit_name(&file);
            let is_enabled = STARTED.contains(&name) || ENABLED.contains(&name);
            assert_ne!(is_enabled, CHOSEN.contains(&name), "{file}");
            let is_spared = post.contains(&format!("*/{file}"));
            assert_eq!(is_spared, CHOSEN.contains(&name), "{file} in rpm/post");
        }
    }
}
