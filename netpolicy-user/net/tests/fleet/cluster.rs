//! etcd: one member or several, each a process of its own with its own directory.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::disk::Disk;
use super::parting::Parting;
use super::slow::Slow;

/// Longer than any election takes here.
const LIMIT: Duration = Duration::from_secs(30);

/// A process that does not outlive its test.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        Self(child.unwrap_or_else(|error| panic!("start {command:?}: {error}")))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        kill(pid, signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How members are started.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    /// Certificate and key of the server, and what clients have to be signed by.
    pub(crate) files: Option<(PathBuf, PathBuf, PathBuf)>,
}

/// What can be done to members.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) tls: Tls,
    /// They can be parted from each other. The caller is in a network namespace of its own.
    pub(crate) parted: bool,
    /// Each has a file system of its own, of so many MiB.
    pub(crate) disks: Option<u32>,
    /// Hosts and operators reach them through proxies that can be slow.
    pub(crate) slow: bool,
}

struct Member {
    name: String,
    client: u16,
    peer: u16,
    /// Its OS user, if it has one of its own.
    user: Option<u32>,
    process: Option<Running>,
}

/// The OS user of the first member, if members have users of their own.
const FIRST_USER: u32 = 6_401;

fn give_to(dir: &Path, user: u32) {
    let given = Command::new("chown")
        .args(["-R", &user.to_string()])
        .arg(dir)
        .status();
    assert!(given.unwrap().success());
}

/// A cluster.
pub(crate) struct Cluster {
    dir: PathBuf,
    members: Vec<Member>,
    tls: Tls,
    pub(crate) quota: Option<u64>,
    pub(crate) parting: Option<Parting>,
    pub(crate) slow: Option<Slow>,
    pub(crate) disks: Vec<Disk>,
}

impl Cluster {
    /// Starts so many members and waits until they answer.
    pub(crate) fn start(dir: &Path, count: usize, tls: Tls) -> Self {
        let setup = Setup {
            tls,
            ..Setup::default()
        };
        Self::set_up(dir, count, setup)
    }

    /// The same, with what can be done to them.
    pub(crate) fn set_up(dir: &Path, count: usize, setup: Setup) -> Self {
        // Held until all are drawn, so that none is drawn twice.
        let free: Vec<_> = (0..count * 2)
            .map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap())
            .collect();
        let ports: Vec<_> = free
            .iter()
            .map(|free| free.local_addr().unwrap().port())
            .collect();
        drop(free);
        let users = (FIRST_USER..).map(|user| setup.parted.then_some(user));
        let members = ports.chunks(2).enumerate().zip(users);
        let members = members.map(|((i, ports), user)| Member {
            name: format!("m{i}"),
            client: ports[0],
            peer: ports[1],
            user,
            process: None,
        });
        let members: Vec<_> = members.collect();
        let clients: Vec<_> = members.iter().map(|member| member.client).collect();
        let peers = members
            .iter()
            .filter_map(|member| Some((member.user?, member.peer)));
        let peers: Vec<_> = peers.collect();
        for member in &members {
            fs::create_dir(dir.join(&member.name)).unwrap();
        }
        let disks = setup.disks.into_iter().flat_map(|mebibytes| {
            let dirs = members.iter().map(|member| dir.join(&member.name));
            dirs.map(move |dir| Disk::mount(&dir, mebibytes))
        });
        let mut cluster = Self {
            dir: dir.to_owned(),
            tls: setup.tls,
            quota: None,
            parting: setup.parted.then(|| Parting::between(&peers)),
            slow: setup.slow.then(|| Slow::before(&clients)),
            disks: disks.collect(),
            members,
        };
        (0..count).for_each(|member| cluster.spawn(member));
        cluster.wait();
        cluster
    }

    fn scheme(&self) -> &'static str {
        match self.tls.files {
            Some(_) => "https",
            None => "http",
        }
    }

    /// The URL of a member.
    pub(crate) fn url(&self, member: usize) -> String {
        format!(
            "{}://127.0.0.1:{}",
            self.scheme(),
            self.members[member].client
        )
    }

    /// The URLs of all.
    pub(crate) fn urls(&self) -> Vec<String> {
        (0..self.members.len())
            .map(|member| self.url(member))
            .collect()
    }

    /// The URLs that hosts and operators have.
    pub(crate) fn client_urls(&self) -> Vec<String> {
        let slow = self.slow.as_ref();
        slow.map_or_else(|| self.urls(), Slow::urls)
    }

    /// Where a member's data is.
    fn data(&self, member: usize) -> PathBuf {
        self.dir.join(&self.members[member].name).join("data")
    }

    /// Starts a member, on what it has.
    pub(crate) fn spawn(&mut self, member: usize) {
        let all: Vec<_> = self
            .members
            .iter()
            .map(|member| format!("{}=http://127.0.0.1:{}", member.name, member.peer))
            .collect();
        let url = self.url(member);
        let (dir, quota, data) = (self.dir.clone(), self.quota, self.data(member));
        let tls = self.tls.files.clone();
        let of = &mut self.members[member];
        let peer = format!("http://127.0.0.1:{}", of.peer);
        let mut command = match of.user {
            Some(user) => {
                let own = data.parent().unwrap();
                give_to(own, user);
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &user.to_string(), "--clear-groups", "--", "etcd"]);
                command
            }
            None => Command::new("etcd"),
        };
        command
            .args(["--name", &of.name, "--log-level", "error"])
            .args([
                "--listen-client-urls",
                &url,
                "--advertise-client-urls",
                &url,
            ])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &all.join(",")])
            .args(["--heartbeat-interval", "100", "--election-timeout", "1000"])
            .arg("--data-dir")
            .arg(data);
        if let Some(quota) = quota {
            command.args(["--quota-backend-bytes", &quota.to_string()]);
        }
        if let Some((cert, key, ca)) = tls {
            command.arg("--cert-file").arg(cert);
            command.arg("--key-file").arg(key);
            command.arg("--trusted-ca-file").arg(ca);
            command.arg("--client-cert-auth");
        }
        let log = dir.join(format!("{}.log", of.name));
        of.process = Some(Running::start(command, &log));
    }

    /// Kills a member.
    pub(crate) fn kill(&mut self, member: usize) {
        self.members[member].process = None;
    }

    /// Stops a member without ending its connections, or lets it go on.
    pub(crate) fn freeze(&self, member: usize, frozen: bool) {
        let signal = match frozen {
            true => Signal::SIGSTOP,
            false => Signal::SIGCONT,
        };
        self.members[member]
            .process
            .as_ref()
            .unwrap()
            .signal(signal);
    }

    /// The resident memory of a member, bytes.
    pub(crate) fn memory(&self, member: usize) -> u64 {
        resident(self.members[member].process.as_ref().unwrap().pid())
    }

    /// Starts all members on what a backup has.
    pub(crate) fn restore(&mut self, backup: &Path) {
        let all: Vec<_> = self
            .members
            .iter()
            .map(|member| format!("{}=http://127.0.0.1:{}", member.name, member.peer))
            .collect();
        for (i, member) in self.members.iter().enumerate() {
            let data = self.data(i);
            fs::remove_dir_all(&data).unwrap();
            let restored = Command::new("etcdctl")
                .env("ETCDCTL_API", "3")
                .args(["snapshot", "restore"])
                .arg(backup)
                .args(["--name", &member.name, "--initial-cluster", &all.join(",")])
                .arg("--initial-advertise-peer-urls")
                .arg(format!("http://127.0.0.1:{}", member.peer))
                .arg("--data-dir")
                .arg(&data)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&restored.stderr).into_owned();
            assert!(restored.status.success(), "{said}");
        }
        (0..self.members.len()).for_each(|member| self.spawn(member));
    }

    /// Waits until the cluster answers.
    pub(crate) fn wait(&self) {
        if self.tls.files.is_some() {
            // Asked for by those that have certificates.
            let begun = Instant::now();
            for member in &self.members {
                while std::net::TcpStream::connect(("127.0.0.1", member.client)).is_err() {
                    assert!(begun.elapsed() < LIMIT, "{} does not listen", member.name);
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            return;
        }
        let begun = Instant::now();
        while !self.ctl(&["get", "x"]).status.success() {
            assert!(begun.elapsed() < LIMIT, "etcd does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs `etcdctl`.
    pub(crate) fn ctl(&self, args: &[&str]) -> std::process::Output {
        Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args([
                "--endpoints",
                &self.urls().join(","),
                "--dial-timeout",
                "2s",
            ])
            .args(args)
            .output()
            .unwrap()
    }

    /// Runs `etcdctl`, which has to succeed; what it prints.
    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let out = self.ctl(args);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "etcdctl {args:?}: {said}");
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// The value of a key.
    #[track_caller]
    pub(crate) fn value(&self, key: &str) -> String {
        let value = self.ok(&["get", "--print-value-only", key]);
        value.strip_suffix('\n').unwrap_or(&value).to_owned()
    }
}

/// The resident memory of a process, bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    memory(pid, "VmRSS:")
}

/// The memory of a process that no file backs, bytes.
pub(crate) fn anonymous(pid: u32) -> u64 {
    memory(pid, "RssAnon:")
}

fn memory(pid: u32, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}
