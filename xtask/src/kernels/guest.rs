//! A booted kernel: its root file system, its test programs and their results.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::Acceleration;
use super::foreign::{HOST, Root};
use super::image::Kernel;
use crate::process::{self, Process};
use crate::programs::Program;
use crate::stop::Stop;
use crate::target::Target;

/// Where Debian keeps the program that serves a directory to a virtual machine: the one of
/// QEMU 7.2, and the one that followed it.
const VIRTIOFSD: [&str; 2] = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"];

/// The guest's memory; its root file system's upper layer is in it too.
const MEMORY: &str = "4G";

/// Seconds for all but the test programs: to boot and to power off.
const BOOT: u32 = 120;

/// One boot of one kernel.
pub(super) struct Boot<'a> {
    pub(super) kernel: &'a Kernel,
    /// The binary under test.
    pub(super) binary: &'a Path,
    /// The test programs, in their order.
    pub(super) programs: &'a [Program],
    pub(super) target: Target,
    /// The root file system, if it is not this machine's.
    pub(super) root: Option<&'a Root>,
    pub(super) acceleration: Acceleration,
    /// Seconds for each test program.
    pub(super) timeout: u32,
    /// The engine that tests run against.
    pub(super) engine: &'a str,
}

impl Boot<'_> {
    /// Boots, runs the test programs and powers off; their exit statuses by name. What is
    /// missing in them did not come to its end.
    ///
    /// # Errors
    /// QEMU or virtiofsd cannot be started, or does not end in time.
    pub(super) fn run(&self, stop: &Stop) -> Result<BTreeMap<String, i32>> {
        let scratch = Scratch::new()?;
        let (script, console) = (scratch.file("guest.sh"), scratch.file("console"));
        fs::write(&script, self.script()).context("write the guest's script")?;

        let socket = scratch.file("virtiofs");
        let mut server = serve_root(&socket, &scratch.file("virtiofsd.log"), stop)?;
        let mut machine = process::start(self.machine(&socket, &script, &console), None)?;
        let tests = u32::try_from(self.programs.len()).unwrap_or(u32::MAX);
        let seconds = tests.saturating_mul(self.timeout).saturating_add(BOOT);
        let deadline = Instant::now() + Duration::from_secs(u64::from(seconds));
        while machine.ended()?.is_none() {
            if stop.wait(Duration::from_millis(200)) {
                stop.check()?;
            }
            ensure!(
                Instant::now() < deadline,
                "the virtual machine did not power off within {seconds} s"
            );
        }
        server.end();
        let text = fs::read(&console).context("read what the guest printed")?;
        Ok(parse(&String::from_utf8_lossy(&text)))
    }

    /// What the guest's shell does. Results are lines of the console. No udev runs there, which
    /// would make /dev/net/tun: its module is loaded by name.
    fn script(&self) -> String {
        let mut script = format!(
            "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root\n\
             export NETPOLICY_BIN={binary} NETPOLICY_ENGINE={engine}\n\
             mount -t tmpfs run /run\n\
             mount -t bpf bpf /sys/fs/bpf\n\
             mkdir -p /dev/pts /dev/shm /lib/modules\n\
             mount -t devpts devpts /dev/pts\n\
             mount -t tmpfs shm /dev/shm\n\
             mount --bind {modules} /lib/modules\n\
             ip link set lo up\n\
             modprobe -qa tun\n\
             cd /tmp\n",
            binary = self.inside(self.binary),
            engine = self.engine,
            modules = self.inside(&self.kernel.modules),
        );
        for program in self.programs {
            let (name, path) = (&program.name, self.inside(&program.path));
            // What is written to a string does not fail.
            let _ = writeln!(
                script,
                "echo '{name}:'\n\
                 timeout {seconds} {path} --test-threads 2 --show-output --color never\n\
                 echo \"{RESULT}{name} $?\"",
                seconds = self.timeout,
            );
        }
        script.push_str("sync\necho o > /proc/sysrq-trigger\nsleep 60\n");
        script
    }

    /// Where the guest finds a file of this machine's.
    fn inside(&self, path: &Path) -> String {
        let host = self.root.map_or("", |_| HOST);
        format!("{host}{}", path.display())
    }

    fn machine(&self, socket: &Path, script: &Path, console: &Path) -> Command {
        let (kind, serial, emulated) = match self.target {
            Target::X86_64 => ("pc", "ttyS0", "max"),
            // Pointer authentication of "max" takes most of the time.
            Target::Aarch64 => ("virt", "ttyAMA0", "cortex-a72"),
        };
        let (accelerator, processor) = match self.acceleration {
            Acceleration::Tcg => ("tcg,thread=multi", emulated),
            Acceleration::Kvm => ("kvm", "host"),
        };
        let root = match self.root {
            Some(root) => format!(" netpolicy_root={}", root.path().display()),
            None => String::new(),
        };
        let mut qemu = Command::new(format!("qemu-system-{}", self.target.machine()));
        qemu.args(["-machine", &format!("{kind},memory-backend=memory")]);
        qemu.args(["-accel", accelerator, "-cpu", processor, "-smp", "2"])
            .args(["-m", MEMORY, "-display", "none", "-monitor", "none"])
            .args(["-nic", "none", "-no-reboot"])
            // Shared memory, through which virtiofsd answers.
            .arg("-object")
            .arg(format!(
                "memory-backend-memfd,id=memory,size={MEMORY},share=on"
            ))
            .arg("-chardev")
            .arg(format!("socket,id=root,path={}", socket.display()))
            .args(["-device", "vhost-user-fs-pci,chardev=root,tag=host"])
            .arg("-kernel")
            .arg(&self.kernel.image)
            .arg("-initrd")
            .arg(&self.kernel.initramfs)
            .arg("-append")
            .arg(format!(
                "console={serial} quiet panic=-1 mitigations=off netpolicy_script={}{root}",
                self.inside(script)
            ))
            .arg("-chardev")
            .arg(format!(
                "stdio,id=console,signal=off,logfile={}",
                console.display()
            ))
            .args(["-serial", "chardev:console"]);
        qemu
    }
}

/// Serves this machine's file system at a socket. The guest mounts it read-only.
fn serve_root(socket: &Path, log: &Path, stop: &Stop) -> Result<Process> {
    let program = VIRTIOFSD.iter().find(|path| Path::new(path).exists());
    let Some(program) = program else {
        bail!("virtiofsd is at none of {}", VIRTIOFSD.join(", "));
    };
    let log = File::create(log).context("make virtiofsd's log")?;
    let mut command = Command::new(program);
    command
        .stderr(log.try_clone().context("open virtiofsd's log")?)
        .stdout(log)
        .arg(format!("--socket-path={}", socket.display()))
        .args([
            "-o",
            "source=/",
            "-o",
            "sandbox=chroot",
            "-o",
            "cache=always",
        ]);
    let mut server = process::start(command, None)?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !socket.exists() {
        if let Some(status) = server.ended()? {
            bail!("{program} ended ({status})");
        }
        ensure!(Instant::now() < deadline, "{program} makes no socket");
        if stop.wait(Duration::from_millis(20)) {
            stop.check()?;
        }
    }
    Ok(server)
}

/// Begins a line of the console that has a test program's name and its exit status.
const RESULT: &str = "netpolicy-kernels: ";

/// The results among the lines of the console.
fn parse(text: &str) -> BTreeMap<String, i32> {
    let lines = text.lines().filter_map(|line| {
        let (name, status) = line.trim().strip_prefix(RESULT)?.split_once(' ')?;
        Some((name.to_owned(), status.parse().ok()?))
    });
    lines.collect()
}

/// A directory for one boot, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("netpolicy-kernels-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self(path))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_by_program() {
        let results = parse(
            "packets:\r\nnetpolicy-kernels: packets 0\r\ntest x ... ok\r\n\
             netpolicy-kernels: traffic 101\r\nnetpolicy-kernels: agent",
        );
        assert_eq!(results.get("packets"), Some(&0));
        assert_eq!(results.get("traffic"), Some(&101));
        assert_eq!(results.len(), 2);
    }
}
