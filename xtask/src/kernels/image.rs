//! Kernels of Debian's packages, and the small file system that they boot with.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use xshell::{Shell, cmd};

use super::Series;
use super::apt::Apt;
use super::foreign::Root;
use crate::target::Target;
use crate::{tools, workspace};

/// Modules that the kernel needs to reach its root file system; those that it depends on
/// come with them.
const MODULES: [&str; 3] = ["virtio_pci", "virtiofs", "overlay"];

/// A kernel that is ready to boot.
pub(super) struct Kernel {
    /// `uname -r`: "6.1.0-57-cloud-amd64".
    pub(super) version: String,
    /// The kernel itself.
    pub(super) image: PathBuf,
    /// The file system that it boots with, compressed.
    pub(super) initramfs: PathBuf,
    /// The directory of `<version>/kernel/…`.
    pub(super) modules: PathBuf,
}

/// Downloads and unpacks the newest kernel of a series, once, and makes its initramfs.
///
/// # Errors
/// When apt does not have it, or a tool fails.
pub(super) fn prepare(
    shell: &Shell,
    series: Series,
    target: Target,
    root: Option<&Root>,
) -> Result<Kernel> {
    let own = Apt::own();
    let apt = root.map_or(&own, Root::apt);
    let package = newest(shell, apt, &series.package(target))?;
    let version = package
        .strip_prefix("linux-image-")
        .with_context(|| format!("{package} is not a kernel's package"))?
        .to_owned();
    let kernels = directory()?;
    let unpacked = kernels.join(&package);
    if !unpacked.exists() {
        download(shell, apt, &kernels, &package, &version)?;
    }
    let initramfs = kernels.join(format!("{version}.initramfs"));
    let modules = unpacked.join("lib/modules");
    let busybox = match root {
        Some(root) => root.busybox(),
        None => which::which("busybox").context("find busybox")?,
    };
    make_initramfs(shell, &modules.join(&version), &busybox, &initramfs)?;
    Ok(Kernel {
        image: unpacked.join("boot").join(format!("vmlinuz-{version}")),
        version,
        initramfs,
        modules,
    })
}

/// Where kernels are kept, and what belongs to them.
pub(super) fn directory() -> Result<PathBuf> {
    let toolchain = tools::pinned_toolchain(workspace::root())?;
    Ok(tools::tools_dir(&toolchain)?.join("kernels"))
}

/// The package of the newest kernel: the one that the series' package depends on.
fn newest(shell: &Shell, apt: &Apt, name: &str) -> Result<String> {
    let options = apt.options();
    let said = cmd!(shell, "apt-cache {options...} depends {name}")
        .quiet()
        .read()?;
    let package = dependency(&said);
    package.with_context(|| {
        format!(
            "apt knows no kernel of {name}: run `apt-get update`; Debian 12 has it in bookworm and \
             bookworm-security"
        )
    })
}

/// The first package in the output of `apt-cache depends`.
fn dependency(said: &str) -> Option<String> {
    said.lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .map(str::to_owned)
}

/// Unpacks a kernel's package into a directory of its name. The directory appears whole.
fn download(shell: &Shell, apt: &Apt, kernels: &Path, package: &str, version: &str) -> Result<()> {
    eprintln!("{package} is missing: downloaded with apt-get, 30 to 110 MB, once");
    let scratch = kernels.join("new");
    shell.remove_path(&scratch)?;
    shell.create_dir(&scratch)?;
    let dir = shell.push_dir(&scratch);
    let options = apt.options();
    workspace::run_aside(cmd!(
        shell,
        "apt-get {options...} download --quiet {package}"
    ))?;
    let archives: Vec<_> = fs::read_dir(&scratch)?.flatten().collect();
    ensure!(archives.len() == 1, "apt-get downloaded one package");
    let (archive, tree) = (archives[0].path(), scratch.join("tree"));
    workspace::run_aside(cmd!(shell, "dpkg --extract {archive} {tree}"))?;
    workspace::run_aside(cmd!(shell, "depmod -b {tree} {version}"))?;
    drop(dir);
    let unpacked = kernels.join(package);
    fs::rename(&tree, &unpacked).with_context(|| format!("make {}", unpacked.display()))?;
    shell.remove_path(&scratch)?;
    Ok(())
}

/// What the kernel starts first: it loads the modules and makes the root file system of
/// this machine's (`host`, read-only), or of a directory of it, and a layer in memory.
const INIT: &str = r#"#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
while read -r module; do
    $b insmod "/modules/$module" || echo "netpolicy-kernels: $module cannot be loaded"
done < /modules/list
$b mount -t virtiofs -o ro host /host
$b mount -t tmpfs -o size=75% layer /layer
$b mkdir /layer/upper /layer/work
root=$($b sed -n 's/.*netpolicy_root=\([^ ]*\).*/\1/p' /proc/cmdline)
$b mount -t overlay -o "lowerdir=/host$root,upperdir=/layer/upper,workdir=/layer/work" root /root
if [ -n "$root" ]; then
    $b mkdir -p /root/host /root/proc /root/sys /root/dev
    $b mount --move /host /root/host
fi
for kept in proc sys dev; do $b mount --move "/$kept" "/root/$kept"; done
script=$($b sed 's/.*netpolicy_script=\([^ ]*\).*/\1/' /root/proc/cmdline)
exec $b switch_root /root /bin/sh "$script"
"#;

fn make_initramfs(shell: &Shell, modules: &Path, busybox: &Path, to: &Path) -> Result<()> {
    let tree = to.with_extension("tree");
    shell.remove_path(&tree)?;
    for dir in [
        "bin", "modules", "proc", "sys", "dev", "host", "layer", "root",
    ] {
        shell.create_dir(tree.join(dir))?;
    }
    shell.copy_file(busybox, tree.join("bin/busybox"))?;
    let dependencies = fs::read_to_string(modules.join("modules.dep"))
        .with_context(|| format!("read {}", modules.join("modules.dep").display()))?;
    let mut list = String::new();
    for file in load_order(&dependencies, &MODULES) {
        let from = modules.join(&file);
        let name = file.rsplit('/').next().unwrap_or(&file);
        let name = match name.strip_suffix(".xz") {
            Some(plain) => {
                let module = cmd!(shell, "busybox xzcat {from}").quiet().output()?.stdout;
                shell.write_file(tree.join("modules").join(plain), module)?;
                plain
            }
            None => {
                shell.copy_file(&from, tree.join("modules").join(name))?;
                name
            }
        };
        list.push_str(name);
        list.push('\n');
    }
    shell.write_file(tree.join("modules/list"), list)?;
    let init = tree.join("init");
    shell.write_file(&init, INIT)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    let dir = shell.push_dir(&tree);
    let pack = "busybox find . | busybox cpio -o -H newc";
    let packed = cmd!(shell, "sh -c {pack}").quiet().ignore_stderr();
    shell.write_file(to, packed.output()?.stdout)?;
    drop(dir);
    shell.remove_path(&tree)?;
    Ok(())
}

/// Files of modules in the order in which they can be loaded, each after those that it
/// depends on, by the text of a `modules.dep` (depmod(8)): `FILE: DEPENDENCY…`, the last
/// dependency to be loaded first. What is built into the kernel is not in it.
fn load_order(dependencies: &str, names: &[&str]) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    for name in names {
        let line = dependencies.lines().find_map(|line| {
            let (file, needs) = line.split_once(':')?;
            let stem = file.rsplit('/').next()?.split('.').next()?;
            (stem == *name).then_some((file, needs))
        });
        let Some((file, needs)) = line else {
            continue;
        };
        for needed in needs.split_whitespace().rev().chain([file]) {
            if !order.iter().any(|there| there == needed) {
                order.push(needed.to_owned());
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_loaded_after_those_they_depend_on() {
        let text = "kernel/a/virtio.ko:\n\
                    kernel/a/virtio_pci.ko: kernel/a/ring.ko kernel/a/virtio.ko\n\
                    kernel/fs/virtiofs.ko.xz: kernel/fs/fuse.ko.xz kernel/a/virtio.ko\n";
        assert_eq!(
            load_order(text, &MODULES),
            [
                "kernel/a/virtio.ko",
                "kernel/a/ring.ko",
                "kernel/a/virtio_pci.ko",
                "kernel/fs/fuse.ko.xz",
                "kernel/fs/virtiofs.ko.xz"
            ]
        );
    }

    #[test]
    fn newest_kernel_is_the_first_dependency() {
        let said = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-57-cloud-amd64\n";
        assert_eq!(
            dependency(said).as_deref(),
            Some("linux-image-6.1.0-57-cloud-amd64")
        );
        assert_eq!(dependency("linux-image-cloud-amd64\n"), None);
    }
}
