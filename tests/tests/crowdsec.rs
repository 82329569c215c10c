//! The bouncer against a real local API of CrowdSec: decisions that `cscli` makes and deletes are
//! bans, through restarts of all three programs.
//!
//! `NETPOLICY_TEST_LONG=1` alone: it downloads Debian's CrowdSec.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use netpolicy_tests::process::Process;
use netpolicy_tests::{DatabaseHost, Outcome, debian};
use nix::sys::signal::Signal;
use serde_json::Value;

/// The user of the bouncer; every host has it.
const USER: (&str, &str) = ("nobody", "nogroup");
const PORT: u16 = 5432;
/// Where the local API listens, in the host's own namespace.
const LAPI: u16 = 18_080;
const LIMIT: Duration = Duration::from_secs(30);

const ADDRESS: &str = "10.66.0.1";
const MAPPED: &str = "10.66.0.2";
const CAPTCHA: &str = "10.66.0.3";
const OTHERS: &str = "10.66.0.4";
const BRIEF: &str = "10.66.0.5";
const MEANWHILE: &str = "10.66.0.6";
const IN_RANGE: &str = "10.77.0.9";
const SIXTH: &str = "fd00:bad::1";
const NEIGHBOUR: &str = "10.0.0.1";

/// A host with the local API and a bouncer.
struct Guarded {
    bouncer: Option<Process>,
    lapi: Option<Process>,
    tree: PathBuf,
    host: DatabaseHost,
}

impl Guarded {
    fn new() -> Self {
        let mut guarded = Self {
            bouncer: None,
            lapi: None,
            tree: debian::unpacked("crowdsec"),
            host: DatabaseHost::start(),
        };
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(guarded.host.file("."), open).unwrap();
        guarded.configure();
        guarded.start_lapi();
        guarded
    }

    /// A local API by itself: no logs, no central API.
    fn configure(&self) {
        let dir = self.host.file("crowdsec");
        for name in ["data", "hub"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        let path = dir.display();
        let config = format!(
            "common: {{daemonize: false, log_media: stdout, log_level: info, working_dir: .}}\n\
             config_paths: {{config_dir: {path}/, data_dir: {path}/data/, hub_dir: {path}/hub/, \
             index_path: {path}/hub/.index.json, simulation_path: {path}/simulation.yaml}}\n\
             db_config: {{log_level: info, type: sqlite, db_path: {path}/data/crowdsec.db}}\n\
             api:\n  client: {{credentials_path: {path}/credentials.yaml}}\n  \
             server: {{log_level: info, listen_uri: \"127.0.0.1:{LAPI}\", \
             profiles_path: {path}/profiles.yaml}}\n\
             prometheus: {{enabled: false}}\n"
        );
        fs::write(dir.join("config.yaml"), config).unwrap();
        fs::write(dir.join("simulation.yaml"), "simulation: false\n").unwrap();
        fs::write(dir.join("credentials.yaml"), "").unwrap();
        let profiles = self.tree.join("etc/crowdsec/profiles.yaml");
        fs::copy(profiles, dir.join("profiles.yaml")).unwrap();
        let credentials = dir.join("credentials.yaml").display().to_string();
        self.cscli(&[
            "machines",
            "add",
            "tests",
            "--auto",
            "--force",
            "-f",
            &credentials,
        ]);
    }

    fn program(&self, name: &str) -> Command {
        let program = self.tree.join("usr/bin").join(name);
        let mut command = self.host.db().command(&program.display().to_string());
        command
            .arg("-c")
            .arg(self.host.file("crowdsec/config.yaml"));
        command
    }

    fn cscli(&self, args: &[&str]) -> String {
        debian::ok(self.program("cscli").args(args))
    }

    /// A decision of this type, scope, value and duration.
    fn decide(&self, kind: &str, scope: &str, value: &str, duration: &str) {
        self.cscli(&[
            "decisions",
            "add",
            "--type",
            kind,
            "--scope",
            scope,
            "--value",
            value,
            "--duration",
            duration,
        ]);
    }

    fn start_lapi(&mut self) {
        let mut command = self.program("crowdsec");
        command.arg("-no-cs");
        self.lapi = Some(Process::start(command, &self.host.file("lapi.log")));
        self.wait("the local API answers", |guarded| {
            let mut list = guarded.program("cscli");
            let output = list.args(["decisions", "list"]).output();
            output.unwrap().status.success()
        });
    }

    /// The key as its file is to be, and settings.
    fn register(&self) {
        let key = self.cscli(&["bouncers", "add", "netpolicy", "-o", "raw"]);
        let file = self.host.file("crowdsec.key");
        fs::write(&file, key.trim()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let user = nix::unistd::User::from_name(USER.0).unwrap().unwrap();
        chown(&file, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        let settings = format!(
            "url = \"http://127.0.0.1:{LAPI}\"\nkey_file = {:?}\ninterval = \"1s\"\n",
            file.display().to_string()
        );
        self.host.write("crowdsec.toml", settings);
    }

    fn command(&self, what: &str) -> Command {
        let mut command = self.host.command_as(USER.0, USER.1);
        command.args(["crowdsec", what, "--settings"]);
        command.arg(self.host.file("crowdsec.toml"));
        command
    }

    fn start_bouncer(&mut self) {
        let command = self.command("run");
        let log = self.host.file("bouncer.log");
        self.bouncer = Some(Process::start(command, &log));
    }

    fn stop_bouncer(&mut self) {
        let mut bouncer = self.bouncer.take().unwrap();
        assert!(bouncer.ended().is_none(), "{}", bouncer.log());
        bouncer.signal(Signal::SIGTERM);
        bouncer.wait(LIMIT);
    }

    fn log(&self) -> String {
        fs::read_to_string(self.host.file("bouncer.log")).unwrap_or_default()
    }

    #[track_caller]
    fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < LIMIT, "{what}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The bans that cover a source.
    fn bans(&self, source: &str) -> Vec<Value> {
        let page = self.host.json(&format!("bans --covers {source}"));
        page["items"].as_array().cloned().unwrap_or_default()
    }

    #[track_caller]
    fn wait_for_ban(&self, source: &str) {
        self.wait(source, |guarded| !guarded.bans(source).is_empty());
        // It is listed a moment before it is in force.
        self.wait(source, |guarded| {
            guarded.host.connect_briefly(source, PORT) == Outcome::TimedOut
        });
    }

    /// Seconds until a ban ends.
    #[track_caller]
    fn left(&self, source: &str) -> i64 {
        let until = self.bans(source)[0]["until"].as_str().unwrap().to_owned();
        let until: jiff::Timestamp = until.parse().unwrap();
        until.as_second() - jiff::Timestamp::now().as_second()
    }

    /// Deletes the newest decision about an address.
    fn delete_newest(&self, address: &str) {
        let listed = self.cscli(&["decisions", "list", "--ip", address, "-o", "json"]);
        let alerts: Value = serde_json::from_str(&listed).unwrap();
        let decisions = alerts.as_array().unwrap().iter();
        let decisions = decisions.flat_map(|alert| alert["decisions"].as_array().unwrap());
        let newest = decisions
            .filter_map(|decision| decision["id"].as_u64())
            .max();
        self.cscli(&["decisions", "delete", "--id", &newest.unwrap().to_string()]);
    }
}

#[test]
fn decisions_are_bans_through_restarts_of_all_three() {
    if !debian::is_long() {
        println!("skipped: downloads CrowdSec; NETPOLICY_TEST_LONG=1 runs it");
        return;
    }
    let mut guarded = Guarded::new();
    guarded.register();
    guarded.decide("ban", "Ip", ADDRESS, "1h");
    guarded.decide("ban", "Ip", &format!("::ffff:{MAPPED}"), "2h");
    guarded.decide("ban", "Range", "10.77.3.1/16", "2h");
    guarded.decide("ban", "Ip", "FD00:BAD::1", "2h");
    guarded.decide("captcha", "Ip", CAPTCHA, "2h");
    guarded.decide("ban", "Country", "XX", "2h");
    let tested = debian::ok(guarded.command("test").args(["-o", "json"]));
    let tested: Value = serde_json::from_str(&tested).unwrap();
    assert_eq!(tested["sources"], 4, "{tested}");
    assert_eq!(tested["other_types"], 1, "{tested}");

    // Without the privilege it waits.
    guarded.start_bouncer();
    guarded.wait("it says why", |guarded| {
        guarded.log().contains("netpolicy grant ban")
    });
    guarded.host.ok("grant ban --to user:nobody");
    let all = [ADDRESS, MAPPED, IN_RANGE, SIXTH].map(|source| (source, PORT));
    all.iter()
        .for_each(|(source, _)| guarded.wait_for_ban(source));
    guarded.host.assert_times_out(&all);
    guarded
        .host
        .assert_connects(&[(CAPTCHA, PORT), (NEIGHBOUR, PORT)]);

    // Of two decisions the longer counts, and when it is deleted the other one.
    guarded.decide("ban", "Ip", ADDRESS, "4h");
    guarded.wait("it is extended", |guarded| guarded.left(ADDRESS) > 10_000);
    guarded.delete_newest(ADDRESS);
    guarded.wait("it is shortened", |guarded| guarded.left(ADDRESS) < 3_601);
    guarded.host.assert_times_out(&all[..1]);
    guarded.delete_newest(ADDRESS);
    guarded.wait("it is unbanned", |guarded| guarded.bans(ADDRESS).is_empty());
    guarded.host.assert_connects(&all[..1]);
    guarded.host.assert_times_out(&all[1..]);

    // Bans of others stay, also when a decision about the same source is deleted.
    guarded
        .host
        .ok(&format!("ban {OTHERS} --for 7d --by analyst"));
    guarded.decide("ban", "Ip", OTHERS, "1h");
    guarded.decide("ban", "Ip", BRIEF, "5s");
    guarded.wait_for_ban(BRIEF);
    guarded.delete_newest(OTHERS);

    // What is decided while the bouncer is away counts when it is back, and bans stay until then.
    guarded.stop_bouncer();
    guarded.cscli(&["decisions", "delete", "--range", "10.77.3.1/16"]);
    guarded.decide("ban", "Ip", ADDRESS, "1h");
    guarded
        .host
        .assert_times_out(&[(IN_RANGE, PORT), (MAPPED, PORT)]);
    guarded.start_bouncer();
    guarded.wait_for_ban(ADDRESS);
    assert_eq!(guarded.bans(IN_RANGE), Vec::<Value>::new());
    assert_eq!(guarded.bans(OTHERS)[0]["by"], "analyst");
    guarded.wait("it ends by itself", |guarded| {
        guarded.bans(BRIEF).is_empty()
    });
    guarded
        .host
        .assert_connects(&[(IN_RANGE, PORT), (BRIEF, PORT)]);

    // While the agent is away, its bans are in force; it hears of the others when it is back.
    guarded.host.kill_agent();
    guarded.decide("ban", "Ip", MEANWHILE, "1h");
    std::thread::sleep(Duration::from_secs(2));
    guarded
        .host
        .assert_times_out(&[(ADDRESS, PORT), (MAPPED, PORT)]);
    guarded.host.assert_connects(&[(MEANWHILE, PORT)]);
    guarded.host.start_agent();
    guarded.wait_for_ban(MEANWHILE);
    guarded
        .host
        .assert_times_out(&[(ADDRESS, PORT), (MAPPED, PORT), (MEANWHILE, PORT)]);

    // So with the local API.
    drop(guarded.lapi.take());
    std::thread::sleep(Duration::from_secs(2));
    guarded
        .host
        .assert_times_out(&[(ADDRESS, PORT), (MAPPED, PORT)]);
    guarded.start_lapi();
    guarded.cscli(&["decisions", "delete", "--all"]);
    guarded.wait("all are unbanned", |guarded| {
        guarded.host.json("bans --by crowdsec --count")["count"] == 0
    });
    guarded
        .host
        .assert_connects(&[(ADDRESS, PORT), (MAPPED, PORT), (SIXTH, PORT)]);
    guarded.host.assert_times_out(&[(OTHERS, PORT)]);
    let bouncers = guarded.cscli(&["bouncers", "list", "-o", "json"]);
    assert!(bouncers.contains("\"netpolicy\""), "{bouncers}");
}
