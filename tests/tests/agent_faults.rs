//! An agent that cannot work says why and leaves things as they are.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

use netpolicy_tests::host::{self, NIC};
use netpolicy_tests::{DatabaseHost, Output};
use nix::fcntl::{FcntlArg, fcntl};

const BLOCKED: &str = "10.66.0.1";

/// Runs an agent that must end by itself.
#[track_caller]
fn refused_agent(host: &DatabaseHost) -> String {
    let out = host.line(&format!("agent --interface {NIC}"));
    out.failed(1).to_owned()
}

/// A host that blocks, its agent stopped, and the path of its database.
fn stopped_host() -> (DatabaseHost, PathBuf) {
    let mut host = DatabaseHost::start();
    host.ok("policy create office --block 10.66.0.0/16");
    assert!(host.stop_agent().success());
    let is_database = |path: &PathBuf| {
        let mut magic = [0; 16];
        fs::File::open(path).is_ok_and(|f| f.read_exact_at(&mut magic, 0).is_ok())
            && &magic == b"SQLite format 3\0"
    };
    let entries = fs::read_dir(host.state_dir())
        .unwrap()
        .map(|e| e.unwrap().path());
    let database = entries.filter(is_database).collect::<Vec<_>>().remove(0);
    (host, database)
}

/// Enforcement went on, and an agent that finds its database whole again takes over.
#[track_caller]
fn assert_unharmed(mut host: DatabaseHost) {
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.start_agent();
    let status = host.json("status");
    assert_eq!(status["agent"]["revision"], 1, "{status}");
    host.assert_times_out(&[(BLOCKED, 5432)]);
}

#[test]
fn a_database_that_is_locked() {
    let (host, database) = stopped_host();
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(&database)
        .unwrap();
    // All of SQLite's lock bytes (PENDING_BYTE and on): an exclusive lock.
    let lock = libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).unwrap(),
        l_whence: 0,
        l_start: 0x4000_0000,
        l_len: 512,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_SETLK(&lock)).unwrap();
    let said = refused_agent(&host);
    assert!(said.contains("locked") || said.contains("in use"), "{said}");
    drop(file);
    assert_unharmed(host);
}

#[test]
fn a_database_that_is_corrupt() {
    let (host, database) = stopped_host();
    let whole = fs::read(&database).unwrap();
    for corrupt in [
        // No database; cut in its middle; a page of noise.
        vec![0x5a; 8192],
        whole[..whole.len() / 2].to_vec(),
        [
            &whole[..100],
            &[0x5a; 4000],
            &whole[4100.min(whole.len())..],
        ]
        .concat(),
    ] {
        fs::write(&database, corrupt).unwrap();
        let said = refused_agent(&host);
        assert!(said.contains(database.to_str().unwrap()), "{said}");
        assert!(said.contains("damaged"), "{said}");
    }
    fs::write(&database, whole).unwrap();
    assert_unharmed(host);
}

#[test]
fn a_database_written_by_a_newer_version() {
    let (host, database) = stopped_host();
    let whole = fs::read(&database).unwrap();
    // The "user version" of SQLite's file format, section 1.3.
    let file = fs::File::options().write(true).open(&database).unwrap();
    file.write_all_at(&9999u32.to_be_bytes(), 60).unwrap();
    let said = refused_agent(&host);
    assert!(said.contains("newer") && said.contains("9999"), "{said}");
    fs::write(&database, whole).unwrap();
    assert_unharmed(host);
}

#[test]
fn a_database_on_a_read_only_file_system() {
    let (host, _) = stopped_host();
    let state = host.state_dir();
    let mount = format!(
        "mount --bind {0} {0} && mount -o remount,ro,bind {0}",
        state.display()
    );
    let out = in_private_mounts(&host, &mount, &["agent", "--interface", NIC]);
    assert!(out.failed(1).contains("read-only"), "{}", out.stderr);
    assert_unharmed(host);
}

#[test]
fn a_disk_that_is_full() {
    let mut host = DatabaseHost::without_agent();
    fs::create_dir(host.state_dir()).unwrap();
    let mount = format!(
        "mount -t tmpfs -o size=2m tmpfs {}",
        host.state_dir().display()
    );
    let command = private_mounts(&host, &mount, &["agent", "--interface", NIC]);
    host.spawn(command);
    host.wait_for_agent();
    host.ok("policy create office --block 10.66.0.0/16");
    let (revision, export) = (
        host.json("status")["agent"]["revision"].clone(),
        host.ok("export"),
    );

    // Into the agent's own view of the directory.
    let inside = format!(
        "/proc/{}/root{}",
        host.agent().pid(),
        host.state_dir().display()
    );
    let filler = PathBuf::from(inside).join("filler");
    let mut size = 1 << 22;
    while size > 0 {
        let written = fs::File::options()
            .create(true)
            .append(true)
            .open(&filler)
            .and_then(|mut f| std::io::Write::write_all(&mut f, &vec![1; size]));
        size = if written.is_ok() { size } else { size / 2 };
    }
    let many: Vec<String> = (0..20_000u32)
        .map(|i| format!("10.128.{}.{}", i >> 8, i & 255))
        .collect();
    host.write("many.txt", many.join("\n"));
    let said = host
        .line("policy create bulk --block-file many.txt")
        .failed(1)
        .to_owned();
    assert!(said.contains("full") || said.contains("space"), "{said}");
    assert_eq!(host.json("status")["agent"]["revision"], revision);
    assert_eq!(host.json("status")["enforcement"]["revision"], revision);
    assert_eq!(host.ok("export"), export);
    host.assert_times_out(&[(BLOCKED, 5432)]);
    host.assert_connects(&[("10.128.0.1", 5432), ("10.0.0.1", 5432)]);

    fs::remove_file(&filler).unwrap();
    host.ok("policy create small --block 10.67.0.0/16");
    assert_eq!(host.json("status")["faults"].as_array().unwrap().len(), 0);
}

#[test]
fn a_socket_path_that_is_taken() {
    let mut host = DatabaseHost::without_agent();
    // By a file that is no socket: not the agent's to remove.
    host.write("agent.sock", "precious");
    let said = refused_agent(&host);
    assert!(said.contains("agent.sock"), "{said}");
    assert_eq!(fs::read_to_string(host.socket()).unwrap(), "precious");
    fs::remove_file(host.socket()).unwrap();
    // By a directory.
    fs::create_dir(host.socket()).unwrap();
    assert!(refused_agent(&host).contains("agent.sock"));
    fs::remove_dir(host.socket()).unwrap();
    // By another program that listens.
    let listener = UnixListener::bind(host.socket()).unwrap();
    assert!(refused_agent(&host).contains("agent.sock"));
    drop(listener);
    // What a killed agent left behind does not prevent the next start.
    host.start_agent();
    host.kill_agent();
    assert!(host.socket().exists());
    host.start_agent();
}

#[test]
fn state_and_pins_in_impossible_places() {
    let host = DatabaseHost::without_agent();
    let agent = |name: &str, value: &str| {
        let mut command = host.command();
        command.env(name, value).args(["agent", "--interface", NIC]);
        host::run(command, &["agent"], "")
    };
    host.write("file", "");
    let file = host.file("file").display().to_string();
    assert!(
        agent("NETPOLICY_STATE_DIR", &file)
            .failed(1)
            .contains(&file)
    );
    let beneath = format!("{file}/state");
    assert!(
        agent("NETPOLICY_STATE_DIR", &beneath)
            .failed(1)
            .contains(&beneath)
    );
    let out = agent("NETPOLICY_BPFFS_DIR", &format!("{file}/pins"));
    assert!(out.failed(1).contains(&file), "{}", out.stderr);
    // A file system that cannot be written to or mounted on.
    let out = agent("NETPOLICY_BPFFS_DIR", "/proc/pins");
    assert!(out.failed(1).contains("/proc/pins"), "{}", out.stderr);
    let nowhere = "/proc/netpolicy.sock";
    assert!(
        agent("NETPOLICY_SOCKET", nowhere)
            .failed(1)
            .contains(nowhere)
    );
    host.assert_connects(&[(BLOCKED, 5432)]);
}

#[test]
fn a_bpffs_that_is_not_mounted_is_mounted() {
    let mut host = DatabaseHost::without_agent();
    // A /sys/fs/bpf without bpffs, as after boot on some systems.
    let command = private_mounts(
        &host,
        "umount -l /sys/fs/bpf",
        &["agent", "--interface", NIC, "--ephemeral"],
    );
    host.spawn(command);
    // Its pins are in a mount namespace that only the agent sees, so ask the agent.
    host.wait_for_agent();
    host.ok("policy create office --block 10.66.0.0/16");
    host.assert_times_out(&[(BLOCKED, 5432)]);
}

#[test]
fn interfaces_and_configuration() {
    let mut host = DatabaseHost::without_agent();
    let usage = host.line("agent --interface lo");
    assert!(usage.failed(1).contains("loopback"), "{}", usage.stderr);
    let long = host.line("agent --interface an-interface-with-a-long-name");
    assert!(long.failed(1).contains("interface"), "{}", long.stderr);

    for (text, words) in [
        (
            "interfaces = [\"nic0\"]\nsokcet = \"/run/x\"\n",
            ["config.toml:2:1", "sokcet"],
        ),
        ("verify_interval = \"soon\"\n", ["config.toml:1:", "soon"]),
        ("interfaces = nic0\n", ["config.toml:1:", ""]),
        ("[limits]\npolicies = 0\n", ["config.toml:2:", "0"]),
    ] {
        host.write("config.toml", text);
        let said = refused_agent(&host);
        assert!(words.iter().all(|w| said.contains(w)), "{words:?}: {said}");
    }
    fs::remove_file(host.file("config.toml")).unwrap();
    assert!(refused_agent(&host).contains("config.toml"));
    host.write("config.toml", "");

    // An interface that does not exist may come later: a fault, and the other is filtered.
    let mut command = host.command();
    command.args(["agent", "--interface", NIC, "--interface", "nosuch0"]);
    host.spawn(command);
    let status = host.wait_for_state("partial");
    assert!(status["faults"].to_string().contains("nosuch0"), "{status}");
    host.ok("policy create office --block 10.66.0.0/16");
    host.assert_times_out(&[(BLOCKED, 5432)]);
}

#[test]
fn whoever_is_not_root() {
    let host = DatabaseHost::start();
    host.ok("policy create office --block 10.66.0.0/16");
    // All that could refuse the user `nobody`, except for what netpolicy itself puts there.
    fs::set_permissions(host.file("."), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = host.file("netpolicy");
    fs::copy(netpolicy_tests::binary::netpolicy(), &binary).unwrap();
    let as_nobody = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        command
            .args([
                "--reuid",
                "65534",
                "--regid",
                "65534",
                "--clear-groups",
                "--",
            ])
            .arg(&binary);
        command
            .args(args)
            .env("NETPOLICY_SOCKET", host.socket())
            .env("NETPOLICY_STATE_DIR", host.state_dir())
            .env("NETPOLICY_BPFFS_DIR", host.bpffs_dir())
            .env("NETPOLICY_CONFIG", host.file("config.toml"))
            .current_dir("/");
        host::run(command, args, "")
    };
    for args in [
        &["policy", "create", "mine", "--block", "10.0.0.1"][..],
        &["policy", "drop", "office", "--yes"],
        &["policy", "list"],
        &["detach", "--yes"],
        &["status"],
    ] {
        let out = as_nobody(args);
        let said = out.failed(1);
        assert!(
            said.contains("root") || said.contains("permission"),
            "{args:?}: {said}"
        );
    }
    let out = as_nobody(&["agent", "--interface", NIC]);
    assert!(out.failed(1).contains("root"), "{}", out.stderr);
    assert_eq!(host.json("status")["agent"]["revision"], 1);
    host.assert_times_out(&[(BLOCKED, 5432)]);
}

/// A `netpolicy` command in a mount namespace of its own, prepared by a shell command.
fn private_mounts(host: &DatabaseHost, prepare: &str, args: &[&str]) -> Command {
    let inner = host.command();
    let words = [inner.get_program()].into_iter().chain(inner.get_args());
    let words = words
        .map(|w| w.to_str().unwrap())
        .chain(args.iter().copied());
    let line = words.collect::<Vec<_>>().join(" ");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-ec"]);
    command.arg(format!("{prepare}; exec {line}"));
    command.current_dir(host.file("."));
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

fn in_private_mounts(host: &DatabaseHost, prepare: &str, args: &[&str]) -> Output {
    host::run(private_mounts(host, prepare, args), args, "")
}

#[test]
fn an_empty_state_does_not_take_the_place_of_a_policy_in_force() {
    let (mut host, _) = stopped_host();
    // As when the directory is mistyped, or its disk not mounted.
    let elsewhere = host.file("elsewhere").display().to_string();
    let refused = |host: &DatabaseHost| {
        let mut command = host.command();
        command.env("NETPOLICY_STATE_DIR", &elsewhere);
        command.args(["agent", "--interface", NIC]);
        host::run(command, &["agent"], "").failed(1).to_owned()
    };
    for _ in 0..2 {
        let said = refused(&host);
        assert!(
            said.contains("is empty") && said.contains(&elsewhere),
            "{said}"
        );
        host.assert_times_out(&[(BLOCKED, 5432)]);
    }
    // Who means it lets go first.
    host.ok("detach --yes");
    let mut command = host.command();
    command.env("NETPOLICY_STATE_DIR", &elsewhere);
    command.args(["agent", "--interface", NIC]);
    host.spawn(command);
    host.wait_for_agent();
    host.assert_connects(&[(BLOCKED, 5432)]);
}
