//! etcd with TLS, client certificates and its users: what a host may, and certificates that are
//! over.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};

use super::agents::Agents;
use super::cluster::{Cluster, Tls};
use super::operating::{command, policy, run, said};
use netpolicy_fleet::Keyring;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(dir: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "authority");
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        fs::write(dir.join("ca.pem"), cert.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { issuer }
    }

    fn issue(&self, dir: &Path, file: &str, name: &str, over: bool) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![SanType::IpAddress("127.0.0.1".parse().unwrap())];
        params.distinguished_name.push(DnType::CommonName, name);
        if over {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 2, 1);
        }
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(dir.join(format!("{file}.pem")), cert.pem()).unwrap();
        let path = dir.join(format!("{file}.key"));
        fs::write(&path, key.serialize_pem()).unwrap();
        if nix::unistd::Uid::effective().is_root() {
            let group = nix::unistd::Group::from_name("nogroup").unwrap().unwrap();
            nix::unistd::chown(&path, None, Some(group.gid)).unwrap();
        }
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        fs::set_permissions(&path, mode).unwrap();
    }
}

#[test]
fn host_reads_its_fleet_and_writes_its_own_status_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(dir, open).unwrap();
    let authority = Authority::new(dir);
    for (file, name, over) in [
        ("server", "etcd", false),
        ("root", "root", false),
        ("operator", "operator@prod", false),
        ("h0", "h0@prod", false),
        ("over", "h0@prod", true),
    ] {
        authority.issue(dir, file, name, over);
    }
    let path = |file: &str| dir.join(file);
    let tls = Tls {
        files: Some((path("server.pem"), path("server.key"), path("ca.pem"))),
    };
    let etcd = Cluster::start(dir, 1, tls);
    let url = etcd.url(0);
    let ctl = |who: &str, args: &[&str]| -> Output {
        Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &url, "--cacert"])
            .arg(path("ca.pem"))
            .arg("--cert")
            .arg(path(&format!("{who}.pem")))
            .arg("--key")
            .arg(path(&format!("{who}.key")))
            .args(args)
            .output()
            .unwrap()
    };
    let settings = |who: &str, more: &str| {
        let file = path(&format!("{who}.toml"));
        let text = format!(
            "fleet = \"prod\"\nendpoints = [\"{url}\"]\nca = {:?}\ncert = {:?}\nkey = {:?}\nkeys = {:?}\nsecret_key = {:?}\n{more}",
            path("ca.pem"),
            path(&format!("{who}.pem")),
            path(&format!("{who}.key")),
            path("keys"),
            path("operator-sign.key"),
        );
        fs::write(&file, text).unwrap();
        file
    };
    let root = settings("root", "");
    let operator = settings("operator", "");
    let ok = |settings: &Path, args: &[&str]| {
        let out = command(settings, args).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", said(&out));
        said(&out)
    };
    let init = ok(&root, &["init", "--without-password"]);
    assert!(init.contains("user and role operator@prod"), "{init}");
    let join = ok(&root, &["join", "h0"]);
    assert!(join.contains("CN=h0@prod"), "{join}");
    for args in [
        &["user", "add", "root", "--no-password"][..],
        &["user", "grant-role", "root", "root"],
        &["auth", "enable"],
    ] {
        let out = ctl("root", args);
        assert!(out.status.success(), "{args:?}: {}", said(&out));
    }
    fs::write(path("policy.toml"), policy(10, "198.51.100.1")).unwrap();
    let push = [
        "push",
        "-f",
        path("policy.toml").to_str().unwrap(),
        "--at-once",
    ]
    .map(str::to_owned);
    let push: Vec<_> = push.iter().map(String::as_str).collect();
    ok(&operator, &push);

    let socket = path("h0.sock");
    let host = settings("h0", &format!("host = \"h0\"\nsocket = {socket:?}\n"));
    let mut keys = Keyring::default();
    keys.add(
        "prod.pub",
        &fs::read_to_string(path("keys/prod.pub")).unwrap(),
    )
    .unwrap();
    let agents = Agents::start(dir, "prod", &["h0".to_owned()], keys);
    let log = path("h0.log");
    let process = run(std::slice::from_ref(&host), &log);
    let wait = |what: &str, is_so: &dyn Fn() -> bool| {
        let begun = std::time::Instant::now();
        while !is_so() {
            let log = fs::read_to_string(&log).unwrap();
            assert!(begun.elapsed().as_secs() < 40, "{what}: {log}");
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
    };
    wait("the host has the revision", &|| {
        agents.at(0) == Some(1) && agents.is_confirmed(0)
    });
    wait("it says so", &|| {
        ok(&operator, &["hosts"]).contains("current")
    });
    assert!(ok(&operator, &["status"]).contains("1 alive, 1 at their revision"));

    let key = |of: &str| format!("/netpolicy/v1/prod/{of}");
    for (may, args) in [
        (true, ["get", &key("head")[..], ""]),
        (true, ["put", &key("hosts/h0/status"), "{}"]),
        (false, ["put", &key("hosts/h1/status"), "x"]),
        (false, ["put", &key("hosts/h0/spec"), "x"]),
        (false, ["put", &key("head"), "x"]),
        (false, ["put", &key("objects/x"), "x"]),
        (false, ["get", "/netpolicy/v1/production/head", ""]),
        (false, ["put", "/other", "x"]),
    ] {
        let args: Vec<_> = args.into_iter().filter(|arg| !arg.is_empty()).collect();
        let out = ctl("h0", &args);
        assert_eq!(out.status.success(), may, "{args:?}: {}", said(&out));
        assert!(
            may || said(&out).contains("permission denied"),
            "{}",
            said(&out)
        );
    }
    drop(process);
    // What a host writes stops no operator.
    fs::write(path("policy.toml"), policy(10, "198.51.100.2")).unwrap();
    ok(&operator, &push);
    // What a host's certificate does not allow is said.
    let by_host = command(&host, &["join", "h7"]).output().unwrap();
    assert!(!by_host.status.success(), "{}", said(&by_host));
    assert!(
        said(&by_host).contains("permission denied"),
        "{}",
        said(&by_host)
    );
    let over = settings("over", &format!("host = \"h0\"\nsocket = {socket:?}\n"));
    let refused = command(&over, &["status"]).output().unwrap();
    let refused = said(&refused);
    assert!(
        refused.contains("certificate") || refused.contains("Certificate"),
        "{refused}"
    );
    let _process = run(&[over], &log);
    wait("an expired certificate is said", &|| {
        fs::read_to_string(&log)
            .unwrap()
            .to_lowercase()
            .contains("certificate")
    });
    assert_eq!(agents.at(0), Some(1));
}
