//! What `contrib/` holds, run: the Ansible role against a Debian, the container as its
//! DaemonSet starts it.
//!
//! `NETPOLICY_TEST_LONG=1` alone: it makes a Debian, and installs Ansible from PyPI.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use netpolicy_tests::debian::{self, Debian, text};
use netpolicy_tests::host::NIC;
use netpolicy_tests::process::Process;
use netpolicy_tests::{DatabaseHost, binary};
use serde_json::Value;

/// The operator's address, by SSH.
const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const PORT: u16 = 5432;

/// The programs of `tests/contrib/requirements.txt`, in an environment of their own.
fn python() -> &'static Path {
    static ENVIRONMENT: OnceLock<PathBuf> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let requirements = binary::workspace().join("tests/contrib/requirements.txt");
        let text = fs::read_to_string(&requirements).unwrap();
        let path = netpolicy_tests::python::tools_dir().join("contrib");
        let stamp = path.join("requirements.txt");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == text) {
            return path;
        }
        let mut venv = Command::new("python3");
        debian::ok(venv.args(["-m", "venv", "--clear"]).arg(&path));
        let mut pip = Command::new(path.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check"]);
        debian::ok(pip.arg("--requirement").arg(&requirements));
        fs::write(stamp, text).unwrap();
        path
    })
}

/// A host with the package's tree, for Ansible and containers.
struct Target {
    agent: Option<Process>,
    debian: Debian,
    host: DatabaseHost,
    dir: tempfile::TempDir,
}

impl Target {
    fn new() -> Self {
        Self {
            agent: None,
            debian: Debian::new(),
            host: DatabaseHost::without_agent(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn package(&self) -> PathBuf {
        debian::packages(&self.dir.path().join("packages"), "0.1.0", false)
    }

    /// Starts an agent, and waits until it answers.
    fn start(&mut self, command: Command) {
        let mut agent = Process::start(command, &self.host.file("target.log"));
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut status = self.debian.command(&["netpolicy", "status"]);
        while status.output().unwrap().status.code() == Some(3) {
            assert!(agent.ended().is_none(), "{}", agent.log());
            assert!(Instant::now() < deadline, "{}", agent.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        self.agent = Some(agent);
    }

    #[track_caller]
    fn status(&self) -> Value {
        let mut status = self.debian.command(&["netpolicy", "status", "-o", "json"]);
        let output = status.output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)))
    }

    /// Runs the role with these variables.
    fn role(&self, variables: &Value, options: &[&str]) -> Output {
        let contrib = binary::workspace().join("contrib/ansible");
        let plugins = binary::workspace().join("tests/contrib/connection_plugins");
        let write = |name: &str, text: String| {
            let path = self.dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        // Both are YAML, which JSON is.
        let inventory = serde_json::json!({"all": {"hosts": {"db": {
            "ansible_connection": "netns_chroot",
            "ansible_python_interpreter": "/usr/bin/python3",
            "netns_chroot_root": self.debian.path(""),
            "netns_chroot_netns": self.host.db().path(),
            "netns_chroot_client": ALLOWED,
        }}}});
        let play = serde_json::json!([{"hosts": "all", "roles": ["netpolicy"]}]);
        let inventory = write("inventory.yml", inventory.to_string());
        let play = write("play.yml", play.to_string());
        let mut command = Command::new(python().join("bin/ansible-playbook"));
        command
            .arg("--inventory")
            .arg(inventory)
            .arg(play)
            .args(["--extra-vars", &variables.to_string()])
            .args(options)
            .env("ANSIBLE_ROLES_PATH", contrib.join("roles"))
            .env("ANSIBLE_CONNECTION_PLUGINS", plugins)
            .env("ANSIBLE_HOME", self.dir.path().join("ansible"))
            .env("ANSIBLE_NOCOLOR", "1")
            .env("LC_ALL", "C.UTF-8");
        command.output().unwrap()
    }
}

/// How many tasks of a run changed something.
#[track_caller]
fn changed(output: &Output) -> u32 {
    let said = text(output);
    assert!(output.status.success(), "{said}");
    let recap = said.rsplit("changed=").next().unwrap();
    recap.split(' ').next().unwrap().parse().unwrap()
}

fn write_policy(target: &Target, name: &str, blocked: &str) -> PathBuf {
    let path = target.dir.path().join(name);
    let text = format!("[[policy]]\nname = \"abuse\"\nblock = [\"{blocked}\"]\n");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn role_installs_configures_and_applies_a_policy() {
    if !debian::is_long() {
        println!("skipped: makes a Debian; NETPOLICY_TEST_LONG=1 runs it");
        return;
    }
    let mut target = Target::new();
    let mut variables = serde_json::json!({
        "netpolicy_package": target.package(),
        "netpolicy_interfaces": [NIC],
        "netpolicy_settings": {"events_per_second": 500},
        "netpolicy_limits": {"policies": 7},
        // There is no service manager.
        "netpolicy_manage_service": false,
    });
    assert!(changed(&target.role(&variables, &[])) >= 3);
    assert_eq!(changed(&target.role(&variables, &[])), 0);
    let shown = target.debian.ok(&["netpolicy", "config", "show"]);
    assert!(shown.contains("500") && shown.contains(NIC), "{shown}");

    let line = ["netpolicy", "agent"];
    let command = target.debian.command_in(target.host.db(), &line);
    target.start(command);
    target.host.assert_connects(&[(BLOCKED, PORT)]);
    variables["netpolicy_policy"] = write_policy(&target, "good.toml", "10.66.0.0/16")
        .display()
        .to_string()
        .into();
    // The file would be copied.
    assert_eq!(changed(&target.role(&variables, &["--check"])), 1);
    target.host.assert_connects(&[(BLOCKED, PORT)]);
    // Copied, applied and confirmed.
    assert_eq!(changed(&target.role(&variables, &[])), 3);
    target.host.assert_times_out(&[(BLOCKED, PORT)]);
    target.host.assert_connects(&[(ALLOWED, PORT)]);
    let revision = target.status()["revision"].clone();
    assert!(target.status()["pending"].is_null(), "{}", target.status());
    assert_eq!(changed(&target.role(&variables, &[])), 0);

    // A policy that denies the controller, and one with an error, change nothing.
    for (name, blocked) in [("lockout.toml", "10.0.0.0/8"), ("bad.toml", "10.66.0.0/33")] {
        let path = write_policy(&target, name, blocked);
        variables["netpolicy_policy"] = path.display().to_string().into();
        let refused = target.role(&variables, &[]);
        let said = text(&refused);
        assert!(!refused.status.success(), "{said}");
        let reason = match name {
            "bad.toml" => "10.66.0.0/33",
            _ => "lock you out",
        };
        assert!(said.contains(reason), "{said}");
        assert_eq!(target.status()["revision"], revision);
    }
    target.host.assert_connects(&[(ALLOWED, PORT)]);
    // Nor does a configuration with an error replace the file.
    variables["netpolicy_settings"] = serde_json::json!({"events_per_secnd": 1});
    let refused = target.role(&variables, &[]);
    assert!(
        text(&refused).contains("events_per_secnd"),
        "{}",
        text(&refused)
    );
    let config = fs::read_to_string(target.debian.path("etc/netpolicy/config.toml")).unwrap();
    assert!(config.contains("events_per_second = 500"), "{config}");
}

/// The documents of the Kubernetes manifest, validated.
fn manifest() -> Vec<Value> {
    let path = binary::workspace().join("contrib/kubernetes/daemonset.yaml");
    let mut validate = Command::new(python().join("bin/kubernetes-validate"));
    let output = validate.arg("--strict").arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let script = "import json, sys, yaml\n\
                  print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let mut read = Command::new(python().join("bin/python"));
    let json = debian::ok(read.args(["-c", script]).arg(&path));
    serde_json::from_str(&json).unwrap()
}

fn words(value: &Value) -> Vec<String> {
    let words = value.as_array().unwrap().iter();
    words
        .map(|word| word.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn container_filters_the_host_and_filtering_outlives_it() {
    if !debian::is_long() {
        println!("skipped: makes a Debian; NETPOLICY_TEST_LONG=1 runs it");
        return;
    }
    let documents = manifest();
    let set = documents.iter().find(|one| one["kind"] == "DaemonSet");
    let pod = &set.unwrap()["spec"]["template"]["spec"];
    assert_eq!(
        (&pod["hostNetwork"], &pod["hostPID"]),
        (&true.into(), &true.into())
    );
    let container = &pod["containers"][0];
    let context = &container["securityContext"];
    let mut capabilities = words(&context["capabilities"]["add"]);
    let unit = binary::workspace().join("packaging/systemd/netpolicy.service");
    let unit = fs::read_to_string(unit).unwrap();
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let mut of_unit: Vec<_> = line
        .unwrap()
        .split(' ')
        .map(|name| name.trim_start_matches("CAP_").to_owned())
        .collect();
    capabilities.sort();
    of_unit.sort();
    assert_eq!(capabilities, of_unit);

    let mut target = Target::new();
    let package = target.debian.take(&target.package());
    target.debian.ok(&["dpkg", "--install", &package]);
    let config = documents.iter().find(|one| one["kind"] == "ConfigMap");
    let config = config.unwrap()["data"]["config.toml"].as_str().unwrap();
    let config = config.replace("interfaces = []\n", &format!("interfaces = [\"{NIC}\"]\n"));
    assert!(config.contains(NIC), "{config}");
    let bounding: Vec<_> = capabilities
        .iter()
        .map(|name| format!("+{}", name.to_lowercase()))
        .collect();
    let bounding = format!("-all,{}", bounding.join(","));
    let command = contained(&target, &config, container, pod, &bounding);
    target.start(command);
    let created = "policy create abuse --block 10.66.0.0/16";
    let line: Vec<_> = ["netpolicy"]
        .into_iter()
        .chain(created.split(' '))
        .collect();
    target.debian.ok(&line);
    target.host.assert_times_out(&[(BLOCKED, PORT)]);
    target.host.assert_connects(&[(ALLOWED, PORT)]);
    assert_eq!(target.status()["faults"], serde_json::json!([]));
    // The pod is gone, and with it its mount namespace.
    drop(target.agent.take());
    target.host.assert_times_out(&[(BLOCKED, PORT)]);
    assert!(target.debian.path("sys/fs/bpf/netpolicy/live").is_dir());
    // Without an agent, from the node.
    let detach = ["netpolicy", "detach", "--yes"];
    debian::ok(&mut target.debian.command_in(target.host.db(), &detach));
    target.host.assert_connects(&[(BLOCKED, PORT)]);
}

/// The agent as a container runtime starts it by the manifest: in a mount namespace of its own
/// with a read-only root, the volumes in their places, and the capabilities that are added.
fn contained(
    target: &Target,
    config: &str,
    container: &Value,
    pod: &Value,
    bounding: &str,
) -> Command {
    let root = target.debian.path("");
    let root = root.to_str().unwrap().trim_end_matches('/');
    let volumes = target.dir.path().join("config");
    fs::create_dir_all(&volumes).unwrap();
    fs::write(volumes.join("config.toml"), config).unwrap();
    let mut script = format!("set -e\nmount --rbind {root} {root}\n");
    for mount in container["volumeMounts"].as_array().unwrap() {
        let to = mount["mountPath"].as_str().unwrap();
        let named = pod["volumes"].as_array().unwrap().iter();
        let mut named = named.filter(|volume| volume["name"] == mount["name"]);
        let volume = named.next().unwrap();
        // The Debian is node and image in one.
        let from = match volume["hostPath"]["path"].as_str() {
            Some(path) => {
                let outside = target.debian.path(&path[1..]);
                if volume["hostPath"]["type"] == "DirectoryOrCreate" {
                    fs::create_dir_all(&outside).unwrap();
                }
                assert!(outside.is_dir(), "{path}");
                format!("{root}{path}")
            }
            None => volumes.display().to_string(),
        };
        script += &format!("mount --bind {from} {root}{to}\n");
    }
    let args = words(&container["args"]).join(" ");
    script += &format!(
        "mount -o remount,bind,ro {root}\n\
         exec chroot {root} setpriv --no-new-privs --bounding-set {bounding} netpolicy {args}\n"
    );
    let mut command = target.host.db().command("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "--",
        "sh",
        "-c",
        &script,
    ]);
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}
