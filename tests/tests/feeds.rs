//! Feeds against a real HTTPS server, a real agent and real traffic; and what the internet may
//! send instead of a list.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use netpolicy_tests::command::assert_has;
use netpolicy_tests::fed::{Fed, HTTPS, LIMIT, USER, list};
use netpolicy_tests::https::{Answer, HttpsServer};
use netpolicy_tests::{DatabaseHost, binary};
use serde_json::{Value, json};

const PORT: u16 = 5432;

/// On the first content, and not on the second.
const FIRST: &str = "10.66.0.1";
/// On the second content, and not on the first.
const SECOND: &str = "10.77.0.1";
const NEVER: &str = "10.88.0.1";

#[test]
fn content_is_in_force_is_refreshed_makes_no_revision_and_survives_agent_and_network() {
    let special = "special_ranges = \"allow\"";
    let mut fed = Fed::with(special, Answer::tagged(&list(30, &[FIRST]), "one"));
    let feed = fed.wait("content", |feed| feed["entries"] == 31);
    assert_eq!(feed["error"], json!(null), "{feed:#}");
    assert_eq!(feed["format"], json!("plain"));
    assert_eq!(feed["policies"], json!(["abuse"]));
    fed.host.assert_times_out(&[(FIRST, PORT)]);
    fed.host.assert_connects(&[(SECOND, PORT), (NEVER, PORT)]);
    let (revision, generation) = (fed.revision(), fed.generation());
    let explained = fed.host.json(&format!("explain {FIRST} --port {PORT}"));
    assert_eq!(explained["matched"]["named_list"], json!("drop"));
    assert_eq!(explained["agrees"], json!(true));

    // Current: nothing is sent again, and nothing changes.
    fed.host.ok("feed refresh drop");
    let asked = fed.server().requests("/list.txt");
    let etag = asked.last().unwrap().headers.get("if-none-match");
    assert_eq!(etag.map(String::as_str), Some("\"one\""));
    assert_eq!(fed.generation(), generation);

    // New content: a generation, no revision, and an entry in the audit log.
    fed.server()
        .answer("/list.txt", Answer::tagged(&list(30, &[SECOND]), "two"));
    let said = fed.host.ok("feed refresh drop");
    assert_has(&said, &["drop", "31 entries", "current"]);
    fed.host.assert_times_out(&[(SECOND, PORT)]);
    fed.host.assert_connects(&[(FIRST, PORT)]);
    assert_eq!(fed.revision(), revision);
    assert!(fed.generation() > generation);
    assert_has(&fed.host.ok("audit"), &["feed drop"]);
    assert_has(&fed.host.ok("status"), &["drop: 31 entries, current"]);

    // A rollback to before brings no old content back.
    fed.host.ok("policy create other --block 192.168.9.9");
    fed.host.ok(&format!("rollback {revision}"));
    fed.host.assert_times_out(&[(SECOND, PORT)]);
    fed.host.assert_connects(&[(FIRST, PORT)]);
    let verified = fed.host.json("verify");
    assert_eq!(verified["differences"], json!([]), "{verified:#}");

    // Agent, reader and network gone: the next agent has the content, and goes on from its store,
    // also where a refresh was the last that came into force.
    fed.server()
        .answer("/list.txt", Answer::tagged(&list(31, &[SECOND]), "three"));
    fed.host.ok("feed refresh drop");
    let enforced = &fed.host.json("status")["enforcement"];
    assert_eq!(enforced["revision"], json!(fed.revision()));
    fed.reader = None;
    fed.server = None;
    fed.host.kill_agent();
    fed.host.assert_times_out(&[(SECOND, PORT)]);
    fed.host.start_agent();
    fed.host.assert_times_out(&[(SECOND, PORT)]);
    fed.host.assert_connects(&[(FIRST, PORT)]);
    let feed = fed.feed();
    assert_eq!(feed["entries"], json!(32));
    assert_eq!(feed["etag"], json!("\"three\""));
    assert_eq!(fed.host.status()["faults"], json!([]));

    // With nothing to be reached, the last good stays.
    fed.start_reader();
    let refused = fed.refused();
    assert_has(&refused, &["was not refreshed", "what is in force stays"]);
    fed.host.assert_times_out(&[(SECOND, PORT)]);
    assert_eq!(fed.feed()["entries"], json!(32));
}

#[test]
fn content_that_cannot_be_meant_is_refused_and_the_last_good_stays() {
    let mut fed = Fed::with(
        "special_ranges = \"allow\"\nmin_entries = 5\nmax_bytes = \"1MiB\"\ntimeout = \"2s\"",
        Answer::tagged(&list(100, &[FIRST]), "good"),
    );
    fed.wait("content", |feed| feed["entries"] == 101);
    let url = fed.server().url("/list.txt");
    let deep = "[".repeat(10_000);
    let long = "45.66.0.1\n".repeat(200_000);
    for (answer, expected) in [
        (Answer::body(&list(60, &[])), "shrink"),
        (Answer::body("45.66.0.1\n"), "min_entries"),
        (Answer::body(""), "empty"),
        (
            Answer::body("0.0.0.0/0\n1.1.1.0/24\n1.1.2.0/24\n1.1.3.0/24\n1.1.4.0/24\n"),
            "every address",
        ),
        (Answer::body("<!doctype html><html>"), "HTML"),
        (Answer::body(&deep), "JSON"),
        (Answer::body(&long), "larger than max_bytes"),
        (Answer::Endless, "larger than max_bytes"),
        (
            Answer::Cut {
                announced: 1 << 30,
                body: Vec::new(),
            },
            "larger than max_bytes",
        ),
        (
            Answer::Cut {
                announced: 4_000,
                body: list(100, &[]).into_bytes(),
            },
            "drop",
        ),
        (
            Answer::Body {
                body: vec![0, 159, 146, 150, 10, 0],
                etag: None,
            },
            "not",
        ),
        (Answer::Trickle(Duration::from_millis(500)), "timeout"),
        (Answer::Redirect(url), "redirects"),
        (Answer::Redirect("http://127.0.0.1:1/".into()), "not https"),
        (Answer::Status(404), "404"),
        (Answer::Status(503), "503"),
    ] {
        let what = format!("{answer:?}");
        let what: String = what.chars().take(80).collect();
        fed.server().answer("/list.txt", answer);
        let refused = fed.refused();
        assert!(refused.contains(expected), "{what}: {refused}");
        let feed = fed.feed();
        assert_eq!(feed["entries"], json!(101), "{what}");
        assert!(feed["error"].is_string(), "{what}: {feed:#}");
    }
    fed.host.assert_times_out(&[(FIRST, PORT)]);
    assert_has(&fed.host.ok("feed list"), &["last refresh failed"]);

    // Another certificate, which is not trusted.
    fed.server = None;
    let other = HttpsServer::start(fed.host.db(), HTTPS);
    other.answer("/list.txt", Answer::body(&list(101, &[])));
    let refused = fed.refused();
    assert_has(&refused, &["TLS failed"]);
    assert_eq!(other.requests("/list.txt").len(), 0);
    assert_eq!(fed.feed()["entries"], json!(101));
}

#[test]
fn first_answer_not_modified_and_special_ranges_leave_a_feed_without_content() {
    let fed = Fed::with("", Answer::Status(304));
    let feed = fed.wait("an error", |feed| feed["error"].is_string());
    assert_has(feed["error"].as_str().unwrap(), &["304 Not Modified"]);
    let status = fed.host.status();
    let faults = status["faults"].to_string();
    assert_has(&faults, &["feed 'drop' has never been read"]);

    // The host's own address, and a private range, are refused; left out if that is said.
    fed.server()
        .answer("/list.txt", Answer::body("10.66.0.0/16\n45.66.0.1\n"));
    assert_has(
        &fed.refused(),
        &["10.66.0.0/16", "private", "special_ranges"],
    );
    fed.server()
        .answer("/list.txt", Answer::body("192.0.2.0/23\n45.66.0.1\n"));
    assert_has(&fed.refused(), &["192.0.2.0/23"]);
    let url = fed.server().url("/list.txt");
    fed.apply(&format!("url = \"{url}\"\nspecial_ranges = \"skip\""));
    let feed = fed.wait("content", |feed| feed["entries"] == 1);
    assert_eq!(feed["skipped"], json!(1));
    fed.host.assert_connects(&[(FIRST, PORT)]);
    assert_eq!(fed.host.status()["faults"], json!([]));
}

#[test]
fn file_is_watched_and_a_stale_feed_is_a_fault() {
    let mut fed = Fed::with("", Answer::Status(404));
    fed.host.write("hosts.txt", list(3, &[FIRST]));
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(fed.host.file("hosts.txt"), open).unwrap();
    let path = fed.host.file("hosts.txt").display().to_string();
    let lines = format!(
        "file = \"{path}\"\nspecial_ranges = \"allow\"\ninterval = \"60s\"\nstale_after = \"60s\""
    );
    fed.apply(&lines);
    fed.wait("content", |feed| feed["entries"] == 4);
    fed.host.assert_times_out(&[(FIRST, PORT)]);
    // Replaced as editors do it.
    fed.host.write("new.txt", list(3, &[FIRST, SECOND]));
    fs::set_permissions(fed.host.file("new.txt"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(fed.host.file("new.txt"), fed.host.file("hosts.txt")).unwrap();
    fed.wait("the file's new content", |feed| feed["entries"] == 5);
    fed.host.assert_times_out(&[(SECOND, PORT)]);

    // Nothing refreshes it: after its time that is a fault, and what is in force stays.
    fed.reader = None;
    fed.host.stop_agent();
    assert_eq!(fed.host.line("feed refresh drop").code, Some(3));
    fed.host.start_agent();
    fed.host.assert_times_out(&[(SECOND, PORT)]);
    let status = wait_long(&fed.host, "stale");
    assert_has(
        &status["faults"].to_string(),
        &["feed 'drop' is stale", "start netpolicy-feed.service"],
    );
    fed.host.assert_times_out(&[(FIRST, PORT), (SECOND, PORT)]);
    assert_has(&fed.host.ok("feed show drop"), &["stale"]);
}

/// Waits for a fault that takes up to a minute and more.
fn wait_long(host: &DatabaseHost, word: &str) -> Value {
    let begun = Instant::now();
    loop {
        let status = host.status();
        if status["faults"].to_string().contains(word) {
            return status;
        }
        assert!(begun.elapsed() < Duration::from_secs(100), "{status:#}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn reader_of_feeds_may_do_nothing_else_and_others_may_not_feed() {
    let mut fed = Fed::with(
        "special_ranges = \"allow\"",
        Answer::body(&list(30, &[FIRST])),
    );
    fed.wait("content", |feed| feed["entries"] == 31);
    for line in [
        "status",
        "policy list",
        "list show drop",
        "export",
        "audit",
        "policy create mine --block 10.0.0.1",
        "apply -f policy.toml",
        "bypass grant 10.0.0.1",
        "detach --yes",
    ] {
        let out = fed.host.line_as(USER.0, USER.1, line);
        assert_ne!(out.code, Some(0), "{line}: {}", out.stdout);
    }
    let out = fed.host.line_as(USER.0, USER.1, "feed list");
    assert_has(out.ok(), &["drop"]);

    // Another user may not, nor may this one any more once it is revoked.
    fed.host.ok("revoke feed --from user:nobody");
    fed.server()
        .answer("/list.txt", Answer::body(&list(30, &[SECOND])));
    fed.reader = None;
    fed.start_reader();
    let begun = Instant::now();
    let reader = fed.reader.as_ref().unwrap();
    while !reader.log().contains("the agent refused") {
        assert!(begun.elapsed() < LIMIT, "{}", reader.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    fed.host.assert_connects(&[(SECOND, PORT)]);
    fed.host.assert_times_out(&[(FIRST, PORT)]);

    // Root does not read what the internet sends.
    let mut as_root = fed
        .host
        .db()
        .command(&binary::netpolicy_net().display().to_string());
    as_root.args(["feed", "run"]);
    as_root.env("SSL_CERT_FILE", fed.host.file("ca.pem"));
    let out = as_root.output().unwrap();
    assert!(!out.status.success());
    assert_has(
        &String::from_utf8_lossy(&out.stderr),
        &["refuses to run as root"],
    );
}

#[test]
fn test_of_a_url_says_what_it_holds_and_what_would_be_refused() {
    let fed = Fed::with("", Answer::body(&list(30, &[FIRST])));
    let url = fed.server().url("/list.txt");
    // `netpolicy` finds the other program in its own directory.
    let tested = |source: &str, options: &str| {
        let line = format!("feed test {source} --ca ca.pem {options}");
        fed.host.line(line.trim_end())
    };
    let said = tested(&url, "");
    assert_has(said.ok(), &["plain", "31", "refuses it", "private"]);
    let said = tested(&url, "--special-ranges allow --min-entries 10");
    assert_has(said.ok(), &["a feed with these settings takes it"]);
    let json: Value = serde_json::from_str(tested(&url, "-o json").ok()).unwrap();
    assert_eq!(json["entries"], json!(31));
    for (source, options, said) in [
        ("http://127.0.0.1/x", "", "allow_http"),
        (&*url, "--format aws", "plain"),
        (&*url, "--max-bytes 10", "10"),
    ] {
        assert_has(tested(source, options).failed(1), &[said]);
    }
}

#[test]
fn command_line_links_no_tls() {
    let tree = |package: &str| {
        let out = Command::new(env!("CARGO"))
            .args(["tree", "--locked", "--offline", "--edges", "normal,build"])
            .args(["--prefix", "none", "--package", package])
            .current_dir(binary::workspace())
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8(out.stdout).unwrap()
    };
    let links = |tree: &str, name: &str| {
        tree.lines()
            .any(|line| line.starts_with(&format!("{name} ")))
    };
    let tls = [
        "rustls",
        "ring",
        "ureq",
        "openssl-sys",
        "native-tls",
        "aws-lc-rs",
        "netpolicy-net",
        "etcd-client",
        "tonic",
        "prost",
        "minisign",
        "zstd-sys",
    ];
    let own = tree("netpolicy-user");
    assert!(links(&own, "rusqlite"), "{own}");
    for name in tls {
        assert!(!links(&own, name), "netpolicy links {name}");
    }
    let net = tree("netpolicy-net");
    assert!(
        links(&net, "rustls") && links(&net, "netpolicy-policy") && links(&net, "etcd-client"),
        "{net}"
    );
    // tonic, below the client of etcd, brings axum.
    for name in ["netpolicy-user", "rusqlite", "openssl-sys"] {
        assert!(!links(&net, name), "netpolicy-net links {name}");
    }
}

#[test]
fn feed_is_created_altered_and_dropped_by_commands() {
    let fed = Fed::with(
        "special_ranges = \"allow\"",
        Answer::body(&list(30, &[FIRST])),
    );
    fed.wait("content", |feed| feed["entries"] == 31);
    let host = &fed.host;
    let url = fed.server().url("/other.txt");
    fed.server()
        .answer("/other.txt", Answer::body(&list(30, &[SECOND])));
    host.ok(&format!(
        "feed create other {url} --special-ranges allow --interval 2h --comment second"
    ));
    host.ok("policy create more --block @other");
    let begun = Instant::now();
    let other = || {
        let feeds = host.json("feed list");
        let mut feeds = feeds.as_array().cloned().unwrap_or_default();
        feeds.retain(|feed| feed["name"] == "other");
        feeds.pop().unwrap_or_default()
    };
    while other()["entries"] != 31 {
        assert!(begun.elapsed() < LIMIT, "{:#}", other());
        std::thread::sleep(Duration::from_millis(50));
    }
    host.assert_times_out(&[(FIRST, PORT), (SECOND, PORT)]);
    assert_eq!(other()["settings"]["jitter"], 720);

    let said = host.ok("feed alter other --interval 4h --max-shrink 50%");
    assert_has(
        &said,
        &[
            "- feed interval = \"2h\"",
            "+ feed interval = \"4h\"",
            "50%",
        ],
    );
    let settings = &other()["settings"];
    assert_eq!(settings["stale_after"], 12 * 3600);
    assert_eq!(settings["special_ranges"], "allow");
    assert_eq!(other()["entries"], 31, "the content stays");
    assert_has(&host.ok("export"), &["max_shrink = \"50%\""]);

    for (line, said) in [
        ("feed alter other", "no setting is named"),
        ("feed alter abuse --interval 2h", "abuse"),
        ("feed create other https://example.org/", "other"),
        ("feed create third http://example.org/", "allow_http"),
        ("feed drop other", "in use by"),
        ("feed drop abuse", "unknown feed 'abuse'"),
    ] {
        let out = host.line(line);
        assert_ne!(out.code, Some(0), "{line}");
        assert_has(&out.stderr, &[said]);
    }
    host.ok("policy drop more --yes");
    host.ok("feed drop other");
    host.assert_connects(&[(SECOND, PORT)]);
    assert_eq!(other(), Value::Null);
}
