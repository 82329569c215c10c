//! A real agent, and what a fleet process hands over: signed, forged, replayed, cut short; killed in
//! the middle; unconfirmed; with local changes over it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use netpolicy_tests::command::assert_has;
use netpolicy_tests::signed::{Operator, SignedState, exchange, give, put, try_exchange};
use netpolicy_tests::{DatabaseHost, Outcome};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

const PORT: u16 = 5432;
const OFFICE: &str = "10.1.0.1";
const BRANCH: &str = "10.2.0.1";

/// A state whose service admits this network alone.
fn admitting(net: &str) -> SignedState {
    SignedState::of(&format!(
        "[[service]]\nname = \"postgres\"\nports = [\"5432\"]\n\
         [[policy]]\nname = \"office\"\nallow = [\"{net}\"]\nbind = [\"postgres\"]\n"
    ))
}

fn host() -> (DatabaseHost, Operator) {
    let mut host = prepared();
    let operator = Operator::of(&host);
    host.start_agent();
    (host, operator)
}

/// A host whose agent looks for its fleet in the host's own directory.
fn prepared() -> DatabaseHost {
    let host = DatabaseHost::without_agent();
    let config = fs::read_to_string(host.file("config.toml")).unwrap();
    let file = host.file("fleet.toml").display().to_string();
    let config = format!("fleet_file = \"{file}\"\n{config}");
    host.write("config.toml", config);
    host
}

fn confirm(host: &DatabaseHost) {
    let (status, body) = exchange(host, "POST", "/v1/confirm", b"");
    assert_eq!(status, 200, "{body:#}");
}

#[test]
fn revision_is_enforced_probed_confirmed_and_shown_and_outlives_fleet_process_and_agent() {
    let (mut host, mut operator) = host();
    let (first, second) = (admitting("10.1.0.0/16"), admitting("10.2.0.0/16"));
    let (status, changed) = operator.hand_over(&host, 1, &first);
    assert_eq!(
        (status, &changed["pending"]["base"]),
        (200, &json!(0)),
        "{changed:#}"
    );
    host.assert_connects(&[(OFFICE, PORT)]);
    host.assert_times_out(&[(BRANCH, PORT)]);
    let probe = json!({"must_admit": [format!("{OFFICE}:{PORT}"), format!("{BRANCH}:{PORT}")]});
    let (_, probed) = exchange(
        &host,
        "POST",
        "/v1/fleet/probe",
        probe.to_string().as_bytes(),
    );
    assert_eq!(probed["verdicts"][0]["admitted"], json!(true), "{probed:#}");
    assert_eq!(
        probed["verdicts"][1]["admitted"],
        json!(false),
        "{probed:#}"
    );
    assert_eq!(
        probed["verdicts"][1]["reason"],
        json!("not-allowed"),
        "{probed:#}"
    );
    confirm(&host);
    let told = host.ok("status");
    assert_has(&told, &["Fleet", "prod, host db-1, group db: revision 1"]);
    let rows = host.netpolicy(&[
        "sql",
        "--dialect",
        "snowflake",
        "-e",
        "SHOW FAILOVER GROUPS",
    ]);
    assert_has(
        rows.ok(),
        &[
            "db-1",
            "prod",
            "revision 1, group db",
            "USERS, NETWORK POLICIES",
        ],
    );
    let refused = [
        "sql",
        "--dialect",
        "snowflake",
        "-e",
        "ALTER FAILOVER GROUP prod PRIMARY",
    ];
    let refused = host.netpolicy(&refused);
    assert_has(
        refused.failed(1),
        &["cannot be made the primary", "netpolicy fleet promote"],
    );
    let metrics = exchange_text(&host, "/metrics");
    assert_has(
        &metrics,
        &["netpolicy_fleet_revision{fleet=\"prod\",group=\"db\"} 1"],
    );

    // Nothing of it ends with the agent, and the next one knows where it was.
    host.kill_agent();
    host.assert_times_out(&[(BRANCH, PORT)]);
    host.start_agent();
    let (_, view) = exchange(&host, "GET", "/v1/fleet", b"");
    assert_eq!(
        (&view["at"]["revision"], &view["confirmed"]),
        (&json!(1), &json!(true))
    );
    let replayed = operator.push(1, &first);
    let (status, _) = operator.hand_over(&host, 2, &second);
    assert_eq!(status, 200);
    confirm(&host);
    let (status, problem) = put(&host, &replayed);
    assert_eq!(
        (status, &problem["code"]),
        (409, &json!("fleet-refused")),
        "{problem:#}"
    );
    host.assert_connects(&[(BRANCH, PORT)]);
    host.assert_times_out(&[(OFFICE, PORT)]);
}

fn exchange_text(host: &DatabaseHost, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::os::unix::net::UnixStream::connect(host.socket()).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: l\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn forged_revisions_and_objects_of_another_digest_open_nothing() {
    let (host, mut operator) = host();
    let (closed, open) = (admitting("10.1.0.0/16"), admitting("0.0.0.0/1"));
    assert_eq!(operator.hand_over(&host, 1, &closed).0, 200);
    confirm(&host);

    // Objects that are cut short, or altered: their names are computed, so no state needs them.
    // Those the host holds from revision 1 are left out: altering one of them lacks nothing.
    let held = closed.names();
    let mut names = open.names();
    names.retain(|name| !held.contains(name));
    assert!(!names.is_empty());
    let mut sequence = open.framed(&names);
    let cut = &sequence[..sequence.len() - 1];
    let (status, problem) = exchange(&host, "POST", "/v1/fleet/objects", cut);
    assert_eq!(
        (status, &problem["code"]),
        (400, &json!("bad-request")),
        "{problem:#}"
    );
    let last = sequence.len() - 1;
    sequence[last] ^= 1;
    // Kept under another name, or no object any more.
    let (status, _) = exchange(&host, "POST", "/v1/fleet/objects", &sequence);
    assert!(matches!(status, 200 | 400), "{status}");
    let push = operator.push(2, &open);
    let (status, problem) = put(&host, &push);
    assert_eq!(
        (status, &problem["code"]),
        (409, &json!("incomplete")),
        "{problem:#}"
    );

    // Another key, which is not trusted: root's file alone says which are.
    give(&host, &open);
    let trusted = fs::read(host.file("fleet.d/operator.pub")).unwrap();
    let mut stranger = Operator::of(&host);
    fs::write(host.file("fleet.d/operator.pub"), &trusted).unwrap();
    let forged = stranger.push(3, &open);
    let (status, problem) = put(&host, &forged);
    assert_eq!(
        (status, &problem["code"]),
        (409, &json!("fleet-refused")),
        "{problem:#}"
    );
    assert_has(&problem["detail"].to_string(), &["signature is refused"]);
    let mode = |mode| fs::set_permissions(host.file("fleet.d"), fs::Permissions::from_mode(mode));
    mode(0o777).unwrap();
    let (_, problem) = put(&host, &push);
    assert_has(
        &problem["detail"].to_string(),
        &["fleet.d is not trusted", "0777"],
    );
    mode(0o755).unwrap();

    // A revision that would cut off what the group must admit.
    operator.must_admit = vec![format!("{OFFICE}:{PORT}")];
    let (status, problem) = operator.hand_over(&host, 4, &admitting("10.2.0.0/16"));
    assert_eq!(status, 409);
    assert_has(
        &problem["detail"].to_string(),
        &["would deny 10.1.0.1 on port 5432"],
    );
    host.assert_connects(&[(OFFICE, PORT)]);
    host.assert_times_out(&[(BRANCH, PORT)]);
    assert_has(
        &host.ok("audit"),
        &["fleet revision", "signature is refused"],
    );
}

#[test]
fn each_of_two_hosts_takes_what_is_signed_for_it_alone() {
    let (first, mut operator) = host();
    let mut second = prepared();
    operator.trusted_by(&second, "db-2");
    second.start_agent();
    let state = admitting("10.1.0.0/16");
    let push = operator.push(1, &state);
    give(&second, &state);
    let (status, problem) = put(&second, &push);
    assert_eq!((status, &problem["code"]), (409, &json!("fleet-refused")));
    assert_has(
        &problem["detail"].to_string(),
        &["of another host: db-1, expected db-2"],
    );
    give(&first, &state);
    assert_eq!(put(&first, &push).0, 200);
    operator.host = "db-2";
    assert_eq!(operator.hand_over(&second, 1, &state).0, 200);
    for host in [&first, &second] {
        confirm(host);
        host.assert_connects(&[(OFFICE, PORT)]);
        host.assert_times_out(&[(BRANCH, PORT)]);
    }
    // Each goes on by itself: the one that is overridden is no other's affair.
    second.ok("policy deactivate office --local-override --yes");
    second.assert_connects(&[(BRANCH, PORT)]);
    first.assert_times_out(&[(BRANCH, PORT)]);
}

#[test]
fn user_of_the_fleet_process_may_hand_over_and_nothing_else() {
    let (host, mut operator) = host();
    host.ok("grant fleet --to user:nobody");
    for (line, code) in [
        ("status", 1),
        ("policy list", 1),
        ("policy create x --only", 1),
    ] {
        let out = host.line_as("nobody", "nogroup", line);
        assert_has(
            out.failed(code),
            &["may hand over what the fleet says and nothing else"],
        );
    }
    let state = admitting("10.1.0.0/16");
    assert_eq!(operator.hand_over(&host, 1, &state).0, 200);
    // It was root's to confirm.
    let out = host.line_as("nobody", "nogroup", "confirm");
    assert_has(out.failed(1), &["confirm another user's change"]);
}

#[test]
fn unconfirmed_revision_is_rolled_back_though_the_agent_stays_dead() {
    let (mut host, mut operator) = host();
    assert_eq!(
        operator.hand_over(&host, 1, &admitting("10.1.0.0/16")).0,
        200
    );
    confirm(&host);
    operator.within = 3;
    assert_eq!(
        operator.hand_over(&host, 2, &admitting("10.2.0.0/16")).0,
        200
    );
    host.assert_times_out(&[(OFFICE, PORT)]);
    host.kill_agent();
    let came_back = (0..40).any(|_| {
        std::thread::sleep(Duration::from_millis(500));
        host.connect_briefly(OFFICE, PORT) == Outcome::Connected
    });
    assert!(came_back, "still denied");
    host.start_agent();
    let (_, view) = exchange(&host, "GET", "/v1/fleet", b"");
    assert_eq!(view["at"]["revision"], json!(1), "{view:#}");
    assert_has(&view["faults"].to_string(), &["revision 2 was rolled back"]);
    assert_has(&host.line("status").stdout, &["revision 2 was rolled back"]);
}

#[test]
fn local_changes_are_refused_overridden_and_gone_with_the_next_revision() {
    let (host, mut operator) = host();
    assert_eq!(
        operator.hand_over(&host, 1, &admitting("10.1.0.0/16")).0,
        200
    );
    confirm(&host);
    let refused = host.line("policy create mine --block 10.1.0.1");
    assert_has(
        refused.failed(1),
        &[
            "fleet prod decides the policies of this host",
            "--local-override",
        ],
    );
    host.ok("ban 10.1.0.9 --for 1h");
    host.ok("bypass grant 10.3.0.1 --minutes 5");
    host.ok("host set --failsafe-ports 22,2222 --yes");
    let done = host.line("policy create mine --block 10.1.0.1 --service postgres --local-override");
    assert_has(&done.stderr, &["until the fleet's next revision"]);
    host.assert_times_out(&[(OFFICE, PORT)]);
    let told = host.line("status");
    assert_eq!(told.code, Some(1));
    assert_has(&told.stdout, &["made a local change"]);
    assert_eq!(
        operator.hand_over(&host, 2, &admitting("10.1.0.0/17")).0,
        200
    );
    confirm(&host);
    host.assert_connects(&[(OFFICE, PORT)]);
    assert_eq!(host.status()["faults"], json!([]));
    let settings = host.json("host show");
    assert!(settings.to_string().contains("2222"), "{settings:#}");
    let left = host.line("fleet leave --yes");
    assert_has(left.ok(), &["left fleet prod"]);
    assert!(!host.file("fleet.toml").exists());
    host.ok("policy create mine --block 10.1.0.1");
}

/// Whenever it dies, the old revision or the new one is in force and known, never a mixture.
#[test]
fn kill_9_in_the_middle_leaves_the_old_or_the_new() {
    let (mut host, mut operator) = host();
    let many = |from: u32| {
        let nets = (0..40_000_u32).map(|at| {
            format!(
                "\"172.{}.{}.{}\"",
                16 + (at >> 15),
                at >> 7 & 255,
                (at << 1 | from) & 255
            )
        });
        let nets: Vec<_> = nets.collect();
        SignedState::of(&format!(
            "[[policy]]\nname = \"bulk{from}\"\nblock = [{}]\n",
            nets.join(", ")
        ))
    };
    let states = [many(0), many(1)];
    assert_eq!(operator.hand_over(&host, 1, &states[0]).0, 200);
    confirm(&host);
    let waits: &[u64] = match netpolicy_tests::debian::is_long() {
        true => &[1, 3, 8, 15, 30, 45, 60, 80, 100, 120, 150, 200, 250, 300],
        false => &[5, 40, 120],
    };
    for (number, wait) in (2_u64..).zip(waits) {
        let (new, old) = ((number + 1) % 2, number % 2);
        let state = &states[usize::from(new == 1)];
        give(&host, state);
        let body = serde_json::to_vec(&operator.push(number, state)).unwrap();
        let pid = host.status()["agent"]["pid"].as_i64().unwrap();
        let pid = Pid::from_raw(i32::try_from(pid).unwrap());
        std::thread::scope(|scope| {
            let host = &host;
            let put =
                scope.spawn(move || drop(try_exchange(host, "PUT", "/v1/fleet/revision", &body)));
            std::thread::sleep(Duration::from_millis(*wait));
            kill(pid, Signal::SIGKILL).unwrap();
            put.join().unwrap();
        });
        host.kill_agent();
        host.start_agent();
        let (_, view) = exchange(&host, "GET", "/v1/fleet", b"");
        let is_new = view["at"]["revision"] == json!(number);
        let expected = if is_new { new } else { old };
        let policies = host.json("policy list");
        assert_eq!(
            policies[0]["name"],
            json!(format!("bulk{expected}")),
            "{view:#}"
        );
        assert_eq!(policies.as_array().unwrap().len(), 1, "{policies:#}");
        assert_eq!(view["confirmed"], json!(!is_new), "{view:#}");
        let status = host.status();
        let enforced = &status["enforcement"]["revision"];
        assert_eq!(status["agent"]["revision"], *enforced, "{status:#}");
        if !is_new {
            let (status, problem) = operator.hand_over(&host, number, state);
            assert_eq!(status, 200, "{problem:#}");
        }
        confirm(&host);
    }
}
