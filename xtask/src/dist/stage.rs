//! The files of a package, laid out as they are installed: one tree for all kinds of packages.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xshell::cmd;

use super::binary::Binary;
use super::{Release, copyright};
use crate::workspace;

/// Where the documentation goes.
const DOC: &str = "usr/share/doc/netpolicy";

/// The tree.
pub(super) struct Stage {
    pub(super) root: PathBuf,
    /// Files below it, sorted.
    pub(super) files: Vec<PathBuf>,
}

/// Lays out everything.
pub(super) fn make(release: &Release, binaries: &[Binary]) -> Result<Stage> {
    let shell = &release.shell;
    let generated = release.scratch("generated")?;
    let date = &release.date;
    let docs = cmd!(
        shell,
        "cargo run --quiet --package netpolicy-tests --bin netpolicy-docs -- --package {generated} --date {date}"
    );
    // Crates that look at it would be built again.
    workspace::run_aside(docs.env_remove("SOURCE_DATE_EPOCH"))?;
    let root = release.scratch("root")?;
    let tree = Tree { root: root.clone() };
    let packaging = workspace::root().join("packaging");
    for binary in binaries {
        // What users type is in the path, what that starts is not.
        let directory = match binary.name {
            "netpolicy" => "usr/bin",
            _ => "usr/libexec/netpolicy",
        };
        tree.copy(&binary.path, &format!("{directory}/{}", binary.name), 0o755)?;
    }
    for (from, to) in [
        ("systemd", "usr/lib/systemd/system"),
        ("sysusers.d", "usr/lib/sysusers.d"),
        ("tmpfiles.d", "usr/lib/tmpfiles.d"),
        ("lintian", "usr/share/lintian/overrides"),
    ] {
        for file in files_in(&packaging.join(from))? {
            let name = name_of(&file)?;
            tree.copy(&file, &format!("{to}/{name}"), 0o644)?;
        }
    }
    // fail2ban reads them once it is installed.
    for kind in ["action.d", "filter.d"] {
        let from = workspace::root().join("contrib/fail2ban").join(kind);
        for file in files_in(&from)? {
            let name = name_of(&file)?;
            tree.copy(&file, &format!("etc/fail2ban/{kind}/{name}"), 0o644)?;
        }
    }
    let config = generated.join("config.toml");
    tree.copy(&config, "etc/netpolicy/config.toml", 0o644)?;
    for (shell, to) in [
        ("bash", "usr/share/bash-completion/completions/netpolicy"),
        ("fish", "usr/share/fish/vendor_completions.d/netpolicy.fish"),
        ("zsh", "usr/share/zsh/vendor-completions/_netpolicy"),
    ] {
        tree.copy(&generated.join("completions").join(shell), to, 0o644)?;
    }
    for section in ["man1", "man5", "man7"] {
        for page in files_in(&generated.join("man").join(section))? {
            let to = format!("usr/share/man/{section}/{}", name_of(&page)?);
            tree.copy(&page, &to, 0o644)?;
            tree.compress(release, &to)?;
        }
    }
    documents(release, &tree)?;
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    Ok(Stage { root, files })
}

fn documents(release: &Release, tree: &Tree) -> Result<()> {
    let workspace = workspace::root();
    let changelog = format!("{DOC}/changelog");
    tree.copy(&workspace.join("CHANGELOG.md"), &changelog, 0o644)?;
    tree.compress(release, &changelog)?;
    tree.write(&format!("{DOC}/copyright"), &copyright::text(release)?)?;
    for (from, to) in [
        ("examples/demo.toml", "demo.toml"),
        (
            "contrib/fail2ban/jail.d/netpolicy.conf.example",
            "fail2ban-jail.conf",
        ),
        (
            "contrib/systemd/netpolicy-list.service",
            "netpolicy-list.service",
        ),
        (
            "contrib/systemd/netpolicy-list.timer",
            "netpolicy-list.timer",
        ),
        ("contrib/prometheus/alerts.yml", "prometheus-alerts.yml"),
        (
            "contrib/prometheus/dashboard.json",
            "grafana-dashboard.json",
        ),
    ] {
        let to = format!("{DOC}/examples/{to}");
        tree.copy(&workspace.join(from), &to, 0o644)?;
    }
    Ok(())
}

/// The tree as it grows.
struct Tree {
    root: PathBuf,
}

impl Tree {
    fn copy(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        let path = self.place(to)?;
        fs::copy(from, &path).with_context(|| format!("copy {}", from.display()))?;
        set_mode(&path, mode)
    }

    fn write(&self, to: &str, text: &str) -> Result<()> {
        let path = self.place(to)?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        set_mode(&path, 0o644)
    }

    /// As `gzip` does it, without name and time.
    fn compress(&self, release: &Release, name: &str) -> Result<()> {
        let (shell, path) = (&release.shell, self.root.join(name));
        Ok(cmd!(shell, "gzip --no-name --best --force {path}")
            .quiet()
            .run()?)
    }

    fn place(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        let parent = path
            .parent()
            .context("a file of a package has a directory")?;
        fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
        Ok(path)
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let mode = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, mode).with_context(|| format!("set the mode of {}", path.display()))
}

/// The files of a directory, sorted.
fn files_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    let mut files: Vec<_> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    Ok(files)
}

fn name_of(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(name.context("a file's name is no UTF-8")?.to_owned())
}

fn collect(directory: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    for path in files_in(directory)? {
        if path.is_dir() {
            collect(&path, into)?;
        } else {
            into.push(path);
        }
    }
    Ok(())
}
