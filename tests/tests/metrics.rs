//! Metrics: what the agent says of real traffic, as Prometheus reads it; the exporter; alerts and
//! dashboard.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::{Duration, Instant};

use netpolicy_tests::command::assert_has;
use netpolicy_tests::metrics::{Scraped, promtool_findings};
use netpolicy_tests::process::Process;
use netpolicy_tests::{DatabaseHost, binary};
use netpolicy_user::metrics::{FAMILIES, MetricFamily};
use nix::sys::signal::Signal;
use serde_json::Value;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The user of the exporter; every host has it.
const USER: (&str, &str) = ("nobody", "nogroup");

const ALLOWED: &str = "10.0.0.1";
const BLOCKED: &str = "10.66.0.1";
const POSTGRES: u16 = 5432;

const POLICIES: &str = "\
[[service]]
name = \"postgres\"
ports = [\"5432\"]

[[list]]
name = \"bad\"
entries = [\"10.66.0.0/24\", \"10.67.0.0/24\"]

[[policy]]
name = \"office\"
allow = [\"10.0.0.0/24\", \"fd00::/64\"]
block = [\"@bad\", \"10.66.0.1\"]
bind = [\"postgres\"]

[[policy]]
name = \"draft\"
block = [\"192.0.2.9\"]
active = false
";

fn host() -> DatabaseHost {
    let host = DatabaseHost::start();
    host.write("policy.toml", POLICIES);
    host.ok("apply -f policy.toml --yes");
    host
}

fn scrape(host: &DatabaseHost, accept: &str) -> Scraped {
    Scraped::over_socket(&host.socket(), "/metrics", accept)
}

#[test]
fn agent_counts_real_attempts_in_text_that_promtool_accepts() {
    let host = host();
    let reported = |scraped: &Scraped, verdict: &str, reason: &str| {
        let labels = [
            ("scope", "postgres"),
            ("verdict", verdict),
            ("reason", reason),
        ];
        scraped
            .value("netpolicy_attempts_total", &labels)
            .unwrap_or(0.0)
    };
    let before = scrape(&host, "*/*");
    assert_eq!(
        (before.status.as_str(), before.media_type.as_str()),
        ("200 OK", TEXT)
    );
    assert_eq!(reported(&before, "drop", "blocked"), 0.0);
    host.assert_connects(&[(ALLOWED, POSTGRES), (ALLOWED, POSTGRES)]);
    host.assert_times_out(&[(BLOCKED, POSTGRES)]);
    host.ok("ban 203.0.113.7 --by fail2ban/sshd");
    host.ok("ban 203.0.113.8 203.0.113.9 --by \"x\"");
    host.ok("bypass grant 198.51.100.7");
    let refused = host.line("policy create office --block 10.0.0.9");
    assert_has(refused.failed(1), &["error: "]);

    let after = scrape(&host, "text/plain");
    assert_eq!(promtool_findings(&after.text), "");
    assert_eq!(reported(&after, "pass", "allowed"), 2.0);
    let blocked = host.counter("postgres", "blocked");
    assert!(blocked >= 1);
    assert_eq!(reported(&after, "drop", "blocked"), blocked as f64);
    let value = |name: &str, labels: &[(&str, &str)]| after.value(name, labels);
    assert!(
        value(
            "netpolicy_other_packets_total",
            &[("reason", "established")]
        )
        .unwrap()
            > 0.0
    );
    for (name, labels, expected) in [
        ("netpolicy_revision", vec![], 1.0),
        ("netpolicy_enforced_revision", vec![], 1.0),
        ("netpolicy_enforcement", vec![("state", "attached")], 1.0),
        ("netpolicy_enforcement", vec![("state", "detached")], 0.0),
        ("netpolicy_interfaces", vec![("state", "filtered")], 1.0),
        ("netpolicy_interfaces", vec![("state", "unfiltered")], 0.0),
        ("netpolicy_policies", vec![("state", "active")], 1.0),
        ("netpolicy_policies", vec![("state", "inactive")], 1.0),
        (
            "netpolicy_rules",
            vec![("policy", "office"), ("list", "allow")],
            2.0,
        ),
        (
            "netpolicy_rules",
            vec![("policy", "office"), ("list", "block")],
            1.0,
        ),
        ("netpolicy_list_entries", vec![("list", "bad")], 2.0),
        ("netpolicy_bypasses", vec![], 1.0),
        ("netpolicy_bans", vec![("origin", "fail2ban/sshd")], 1.0),
        ("netpolicy_bans_made_total", vec![], 3.0),
        ("netpolicy_changes_total", vec![], 1.0),
        (
            "netpolicy_requests_refused_total",
            vec![("code", "conflict")],
            1.0,
        ),
        (
            "netpolicy_scope_info",
            vec![
                ("scope", "postgres"),
                ("mode", "enforce"),
                ("on_deny", "drop"),
            ],
            1.0,
        ),
        ("netpolicy_faults", vec![("kind", "interfaces")], 0.0),
        ("netpolicy_drift_repaired_total", vec![], 0.0),
    ] {
        assert_eq!(value(name, &labels), Some(expected), "{name} {labels:?}");
    }
    for name in [
        "netpolicy_generation",
        "netpolicy_kernel_entries",
        "netpolicy_agent_open_fds",
        "netpolicy_kernel_memory_bytes",
        "netpolicy_agent_resident_memory_bytes",
        "netpolicy_agent_start_timestamp_seconds",
    ] {
        assert!(value(name, &[]).unwrap() >= 1.0, "{name}");
    }
    let now = jiff::Timestamp::now().as_second() as f64;
    let changed = value("netpolicy_last_change_timestamp_seconds", &[]).unwrap();
    assert!((now - changed).abs() < 60.0, "{changed}");
    // Every name is in the table, and the reference has it.
    let known: BTreeSet<_> = FAMILIES.iter().map(MetricFamily::sample_name).collect();
    for series in after.samples().into_keys() {
        let name = series.split('{').next().unwrap().to_owned();
        assert!(known.contains(&name), "{name}");
    }
}

#[test]
fn openmetrics_is_sent_to_who_prefers_it() {
    let host = host();
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                      version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let open = scrape(&host, prometheus);
    assert_eq!(open.media_type, OPEN);
    assert!(open.text.ends_with("\n# EOF\n"), "{}", open.text);
    assert!(open.text.contains("# TYPE netpolicy_build info\n"));
    let series = |scraped: &Scraped| scraped.samples().into_keys().collect::<BTreeSet<_>>();
    // A packet of the kernel's own that comes between the two begins a series.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (open, text) = (scrape(&host, prometheus), scrape(&host, "text/plain"));
        if series(&open) == series(&text) {
            break;
        }
        assert!(Instant::now() < deadline, "{}\n{}", open.text, text.text);
    }
}

#[test]
fn drift_faults_and_removed_services_are_in_the_metrics() {
    let host = host();
    host.assert_times_out(&[(BLOCKED, POSTGRES)]);
    host.write(
        "policy.toml",
        "[[policy]]\nname = \"office\"\nallow = [\"10.0.0.0/24\"]\n",
    );
    host.ok("apply -f policy.toml --yes");
    let labels = [
        ("scope", "postgres (removed)"),
        ("verdict", "drop"),
        ("reason", "blocked"),
    ];
    let scraped = scrape(&host, "");
    let blocked = scraped.value("netpolicy_attempts_total", &labels);
    assert!(blocked.unwrap() >= 1.0, "{}", scraped.text);

    host.ok("detach --yes");
    let scraped = scrape(&host, "");
    assert_eq!(promtool_findings(&scraped.text), "");
    let state = |name| scraped.value("netpolicy_enforcement", &[("state", name)]);
    assert_eq!(
        (state("detached"), state("attached")),
        (Some(1.0), Some(0.0))
    );
    let faults = scraped.value("netpolicy_faults", &[("kind", "interfaces")]);
    assert_eq!(faults, Some(1.0));
    host.ok("attach");

    // Another process removes the pins.
    fs::remove_dir_all(host.bpffs_dir().join("live")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let scraped = scrape(&host, "");
        let repaired = scraped.value("netpolicy_drift_repaired_total", &[]);
        let faults = scraped.value("netpolicy_faults", &[("kind", "drift")]);
        if repaired >= Some(1.0) && faults >= Some(1.0) {
            break;
        }
        assert!(Instant::now() < deadline, "{}", scraped.text);
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn privilege_metrics_permits_metrics_and_notices_and_nothing_else() {
    let host = host();
    host.ok("grant metrics --to user:nobody");
    let asks = |path: &str| {
        let mut curl = host.db().command("setpriv");
        curl.args(["--reuid", USER.0, "--regid", USER.1, "--init-groups", "--"]);
        curl.args([
            "curl",
            "--silent",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
        ]);
        curl.arg("--unix-socket").arg(host.socket());
        let out = curl.arg(format!("http://x{path}")).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    // The host's directory is opened for it.
    drop(host.command_as(USER.0, USER.1));
    let found = [
        "/metrics",
        "/v1/notices",
        "/v1/status",
        "/v1/policies",
        "/v1/export",
    ]
    .map(asks);
    assert_eq!(found, ["200", "200", "403", "403", "403"]);
    let refused = host.line_as(USER.0, USER.1, "policy list");
    let said = refused.failed(1);
    assert!(
        said.contains("nobody may read metrics and notices and nothing else"),
        "{said}"
    );
}

/// The exporter in the host's namespace.
fn exporter(host: &DatabaseHost, port: u16) -> (Process, SocketAddr) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut command = host.command_as(USER.0, USER.1);
    command.args(["exporter", "--listen", &address.to_string()]);
    let log = host.file("exporter.log");
    let process = Process::start(command, &log);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !process.log().contains("metrics are at") {
        assert!(Instant::now() < deadline, "{}", process.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    (process, address)
}

#[test]
fn exporter_without_rights_passes_on_what_the_agent_says_and_outlives_it() {
    let mut host = host();
    let root = host.line("exporter");
    assert!(root.failed(1).contains("refuses to run as root"));
    let (mut process, address) = exporter(&host, 9843);
    let ask = |host: &DatabaseHost, method: &str, path: &str| {
        Scraped::over_tcp(host.db(), address, method, path, "text/plain")
    };
    let up = |host: &DatabaseHost, expected: f64| {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let scraped = ask(host, "GET", "/metrics");
            assert_eq!(
                (scraped.status.as_str(), scraped.media_type.as_str()),
                ("200 OK", TEXT)
            );
            if scraped.value("netpolicy_agent_up", &[]) == Some(expected) {
                return scraped;
            }
            assert!(Instant::now() < deadline, "{}", scraped.text);
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let denied = up(&host, 0.0);
    assert_eq!(denied.samples().len(), 1, "nothing else is known");
    assert_eq!(promtool_findings(&denied.text), "");
    let log = process.log();
    assert!(log.contains("netpolicy grant metrics --to user:"), "{log}");

    host.ok("grant metrics --to user:nobody");
    let scraped = up(&host, 1.0);
    assert_eq!(promtool_findings(&scraped.text), "");
    assert_eq!(scraped.value("netpolicy_revision", &[]), Some(1.0));
    assert_eq!(ask(&host, "GET", "/").status, "200 OK");
    assert_eq!(ask(&host, "GET", "/v1/status").status, "404 Not Found");
    assert_eq!(
        ask(&host, "POST", "/metrics").status,
        "405 Method Not Allowed"
    );
    assert_eq!(ask(&host, "HEAD", "/metrics").text, "");

    host.kill_agent();
    let gone = up(&host, 0.0);
    assert_eq!(gone.samples().len(), 1);
    host.start_agent();
    up(&host, 1.0);
    process.signal(Signal::SIGTERM);
    assert!(process.wait(Duration::from_secs(10)).success());
}

#[test]
fn real_prometheus_scrapes_the_exporter_in_openmetrics() {
    let host = host();
    host.ok("grant metrics --to user:nobody");
    let (_exporter, address) = exporter(&host, 9843);
    host.assert_times_out(&[(BLOCKED, POSTGRES)]);
    let config = format!(
        "global:\n  scrape_interval: 250ms\n  scrape_timeout: 250ms\nscrape_configs:\n  \
         - job_name: netpolicy\n    static_configs:\n      - targets: [\"{address}\"]\n"
    );
    host.write("prometheus.yml", config);
    let mut command = host.db().command("prometheus");
    command.arg(format!(
        "--config.file={}",
        host.file("prometheus.yml").display()
    ));
    command.arg(format!(
        "--storage.tsdb.path={}",
        host.file("tsdb").display()
    ));
    command.args(["--web.listen-address=127.0.0.1:9090", "--log.level=warn"]);
    let prometheus = Process::start(command, &host.file("prometheus.log"));
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 9090));
    let deadline = Instant::now() + Duration::from_secs(30);
    let query = |query: &str| -> Option<Value> {
        let free = host.db().run(|| TcpListener::bind(at).is_ok());
        if free {
            return None;
        }
        let path = format!("/api/v1/query?query={query}");
        let answer = Scraped::over_tcp(host.db(), at, "GET", &path, "application/json");
        serde_json::from_str::<Value>(&answer.text).ok()
    };
    let wanted = "netpolicy_attempts_total%7Bverdict=%22drop%22,scope=%22postgres%22%7D";
    loop {
        let found = query(wanted);
        let value = found
            .as_ref()
            .map(|found| found["data"]["result"][0]["value"][1].clone());
        let value = value.as_ref().and_then(Value::as_str);
        if value.is_some_and(|value| value.parse::<f64>().unwrap() >= 1.0) {
            break;
        }
        assert!(Instant::now() < deadline, "{found:?}\n{}", prometheus.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let up = query("up").unwrap();
    assert_eq!(up["data"]["result"][0]["value"][1], "1", "{up:#}");
    // Of a scrape that Prometheus cannot parse it keeps nothing and says so.
    assert!(
        !prometheus.log().contains("append failed"),
        "{}",
        prometheus.log()
    );
}

#[test]
fn alerts_fire_when_they_should_and_not_otherwise() {
    let dir = binary::workspace().join("contrib/prometheus");
    let mut promtool = Command::new("promtool");
    promtool.args(["test", "rules", "alerts_test.yml", "alerts_week_test.yml"]);
    let out = promtool.current_dir(&dir).output().unwrap();
    let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(out.status.success(), "{said}");
    assert_eq!(said.matches("SUCCESS").count(), 2, "{said}");
    // Each alert is one that a test makes fire.
    let alerts = fs::read_to_string(dir.join("alerts.yml")).unwrap();
    let names = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let tests = ["alerts_test.yml", "alerts_week_test.yml"];
    let tests = tests
        .map(|name| fs::read_to_string(dir.join(name)).unwrap())
        .concat();
    for name in names {
        let fires = tests
            .split("alertname: ")
            .any(|test| test.starts_with(&format!("{name}\n")) && test.contains("exp_labels"));
        assert!(fires, "no test makes {name} fire");
    }
}

#[test]
fn alerts_and_dashboard_use_metrics_and_labels_that_are_there() {
    let dir = binary::workspace().join("contrib/prometheus");
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(dir.join("dashboard.json")).unwrap()).unwrap();
    let mut expressions: Vec<String> = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            expressions.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    assert!(expressions.len() >= 15, "{expressions:?}");
    expressions.push(fs::read_to_string(dir.join("alerts.yml")).unwrap());
    let known: BTreeSet<_> = FAMILIES.iter().map(MetricFamily::sample_name).collect();
    let mut used = BTreeSet::new();
    for expression in &expressions {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for word in expression.split(|c| !is_name(c)) {
            if word.starts_with("netpolicy_") {
                assert!(known.contains(word), "{word} in {expression}");
                used.insert(word.to_owned());
            }
        }
    }
    assert!(used.len() >= 15, "{used:?}");
}
