//! Whatever opens the host or a service to every source asks on a terminal, and requires
//! `--yes` without one, by whichever command or statement it comes.

use std::process::Command;

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::{assert_has, run};
use netpolicy_tests::terminal::Terminal;
use serde_json::{Value, json};

const DENIED: &str = "10.66.0.1";
const PORT: u16 = 8080;

fn revision(host: &DatabaseHost) -> Value {
    host.json("status")["agent"]["revision"].clone()
}

/// A host that lets in 10.0.0.0/24 alone, in revision 2.
fn restricted() -> DatabaseHost {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    host.ok("policy create office --allow 10.0.0.0/24 --comment office");
    host
}

/// `netpolicy` with these arguments at a terminal.
fn at_terminal(host: &DatabaseHost, args: &[&str]) -> Terminal {
    let mut command = host.command();
    command.args(args);
    Terminal::start(command)
}

#[test]
fn every_command_that_opens_the_host_requires_yes_without_a_terminal() {
    let host = restricted();
    host.write("empty.toml", "");
    host.write("any.toml", "[[policy]]\nname = \"office\"\n");
    host.write("unset.sql", "ALTER ACCOUNT UNSET NETWORK_POLICY;\n");
    let opening = [
        "policy drop office",
        "policy deactivate office",
        "policy alter office --any",
        "policy alter office --set-allow 0.0.0.0/0",
        "policy alter office --set-allow 0.0.0.0/1,128.0.0.0/1",
        "unbind office",
        "host set --mode observe",
        "host set --failsafe-ports 22,8080",
        "policy create open --service postgres --block 203.0.113.9",
        "apply -f empty.toml",
        "apply -f any.toml",
        "rollback 0",
        "rollback 1",
        "bypass grant 0.0.0.0/0",
        "bypass grant ::/0 --service postgres",
        "bypass grant 128.0.0.0/1",
        "sql --dialect snowflake -f unset.sql",
        "sql --atomic --dialect snowflake -f unset.sql",
        "detach",
    ];
    for line in opening {
        for force in ["", " --force"] {
            if force.is_empty() || !["bypass", "detach"].iter().any(|w| line.starts_with(w)) {
                let out = host.line(&format!("{line}{force}"));
                let said = out.failed(1);
                assert_has(said, &["error: ", " opens ", " to ", "hint: ", "--yes"]);
            }
        }
        assert_eq!(revision(&host), json!(2), "{line}");
        let can_try = !["bypass", "detach"].iter().any(|w| line.starts_with(w));
        if can_try {
            let out = host.line(&format!("{line} --dry-run"));
            let _ = out.ok();
            assert_has(&out.stderr, &["warning: this opens ", "requires --yes"]);
            let consented = host.line(&format!("{line} --dry-run --yes"));
            let _ = consented.ok();
            assert!(!consented.stderr.contains("requires --yes"), "{line}");
        }
    }
    host.assert_times_out(&[(DENIED, PORT)]);

    // Each is in the log as refused, and what is done as consented to.
    host.ok("policy drop office --yes");
    host.assert_connects(&[(DENIED, PORT)]);
    let audit = host.json("audit --limit 2");
    assert_eq!(audit[0]["outcome"], "refused");
    let changes = audit[1]["changes"].to_string();
    assert_has(
        &changes,
        &["opens the host", "to every source (with consent)"],
    );
}

#[test]
fn port_that_moves_to_a_service_with_a_bypass_of_every_source_requires_consent() {
    let host = restricted();
    host.ok("service add web --port 8443");
    // By its rules alone a port that moves there is open to fewer.
    host.ok("policy create dba --allow 10.0.0.1 --service web");
    host.ok("bypass grant 0.0.0.0/0 --service web --yes");
    host.assert_times_out(&[(DENIED, PORT)]);
    for line in [
        "service alter web --port 8443,8080",
        "service alter web --port 8080",
    ] {
        let out = host.line(line);
        assert_has(
            out.failed(1),
            &[
                "service web (port 8080) to every IPv4 source",
                "hint: ",
                "--yes",
            ],
        );
        host.assert_times_out(&[(DENIED, PORT)]);
    }
    host.ok("service alter web --port 8443,8080 --yes");
    host.assert_connects(&[(DENIED, PORT)]);
}

#[test]
fn what_opens_nothing_is_done_without_a_question() {
    let host = restricted();
    for line in [
        "policy create spare --allow 10.1.0.0/16 --inactive",
        "policy drop spare",
        "policy create branch --allow 10.0.0.0/24,10.1.0.0/16",
        "policy deactivate office",
        "policy drop office",
        "policy alter branch --remove-allow 10.1.0.0/16",
        "policy create abuse --block 203.0.113.0/24",
        "policy drop abuse",
        "bypass grant 10.9.0.0/16",
        "host set --failsafe-ports none",
        "service add web --port 8443",
        "service remove web",
    ] {
        host.ok(line);
    }
    host.ok("host set --mode observe --yes");
    host.ok("host set --mode observe");
    host.ok("policy drop branch");
    host.ok("detach --yes");
    host.ok("detach");
}

#[test]
fn a_terminal_is_asked_and_the_answer_decides() {
    let host = restricted();
    let question =
        "The change opens the host and service postgres to every source. Continue? [y/N]";
    for answer in ["n\r", "\r", "perhaps\r"] {
        let mut terminal = at_terminal(&host, &["policy", "drop", "office"]);
        terminal.wait_for_line(question);
        terminal.press(answer);
        assert_eq!(terminal.end().code(), Some(1), "{}", terminal.seen());
        assert_has(
            &terminal.seen(),
            &["error: not confirmed: nothing was changed"],
        );
        assert_eq!(revision(&host), json!(2));
    }
    let mut terminal = at_terminal(&host, &["policy", "drop", "office"]);
    terminal.wait_for_line(question);
    terminal.press("y\r");
    assert_eq!(terminal.end().code(), Some(0), "{}", terminal.seen());
    assert_has(&terminal.seen(), &["- policy office"]);
    host.assert_connects(&[(DENIED, PORT)]);

    host.ok("rollback 2");
    let mut terminal = at_terminal(&host, &["bypass", "grant", "0.0.0.0/0"]);
    terminal.wait_for_text("The bypass opens the host and service postgres to every IPv4 source.");
    terminal.press("yes\r");
    assert_eq!(terminal.end().code(), Some(0), "{}", terminal.seen());
    host.assert_connects(&[(DENIED, PORT)]);

    let mut terminal = at_terminal(&host, &["detach"]);
    terminal.wait_for_text("Continue? [y/N]");
    terminal.press("y\r");
    assert_eq!(terminal.end().code(), Some(0), "{}", terminal.seen());
    assert_has(&terminal.seen(), &["detached from "]);
}

#[test]
fn an_answer_is_for_what_was_asked_and_no_more() {
    let host = restricted();
    let mut terminal = at_terminal(&host, &["rollback", "1"]);
    terminal.wait_for_text("Continue? [y/N]");
    // Meanwhile the service gets a policy of its own, which the rollback would open, too.
    host.ok("policy deactivate office --yes");
    host.ok("policy create dba --allow 10.0.0.1 --service postgres");
    terminal.press("y\r");
    terminal.wait_for_text("The change opens service postgres to every source. Continue? [y/N]");
    terminal.press("n\r");
    assert_eq!(terminal.end().code(), Some(1), "{}", terminal.seen());
    assert_eq!(revision(&host), json!(4));
}

#[test]
fn a_script_asks_at_the_statement_that_opens_and_goes_on_behind_it() {
    let host = restricted();
    let text = "SET spare = '10.0.0.7'; CREATE NETWORK POLICY spare ALLOWED_IP_LIST=($spare);\n\
        ALTER ACCOUNT UNSET NETWORK_POLICY; CREATE NETWORK POLICY more ALLOWED_IP_LIST=('10.0.0.8');\n\
        DROP NETWORK POLICY nowhere;\n";
    host.write("office.sql", text);
    let args = ["sql", "--dialect", "snowflake", "-f", "office.sql"];
    let out = host.netpolicy(&args);
    assert_has(
        out.failed(1),
        &["office.sql:2:1: the change opens", "--yes", "and stay"],
    );
    assert_eq!(revision(&host), json!(3));
    host.ok("rollback 2");

    let mut terminal = at_terminal(&host, &args);
    terminal.wait_for_text("Continue? [y/N]");
    terminal.press("y\r");
    // It fails where it should: at its last statement, in its own line. What was set before the
    // question counts once.
    assert_eq!(terminal.end().code(), Some(1), "{}", terminal.seen());
    assert_has(
        &terminal.seen(),
        &["office.sql:3:", "the 4 statements before it"],
    );
    let policies = host.json("policy list");
    assert_eq!(policies.as_array().map(Vec::len), Some(3), "{policies}");
    host.assert_connects(&[(DENIED, PORT)]);
}

/// A request by HTTP alone: status and body.
fn http(host: &DatabaseHost, method: &str, path: &str, body: &str) -> (String, Value) {
    let mut curl: Command = host.db().command("curl");
    curl.args(["-sS", "-w", "\n%{http_code}", "-X", method, "--unix-socket"]);
    curl.arg(host.socket());
    curl.args(["-H", "content-type: application/json", "-d", body]);
    curl.arg(format!("http://localhost{path}"));
    let out = run(curl, &[path], "");
    let text = out.ok().trim_end();
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", text));
    (
        status.to_owned(),
        serde_json::from_str(body).unwrap_or(Value::Null),
    )
}

#[test]
fn http_clients_meet_the_same_guard_and_consent_by_key() {
    let host = restricted();
    let drop = r#"{"change":"drop-policy","name":"office"}"#;
    let (status, refusal) = http(&host, "POST", "/v1/changes", drop);
    assert_eq!(status, "409", "{refusal}");
    assert_eq!(refusal["opens"]["openings"][0]["scope"], "host");
    let key = refusal["opens"]["key"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    for (opens, expected) in [("0000000000000000", "409"), ("yes", "400"), (&*key, "200")] {
        let (status, answer) = http(&host, "POST", &format!("/v1/changes?opens={opens}"), drop);
        assert_eq!(status, expected, "{opens}: {answer}");
    }
    host.ok("rollback 2");
    let everyone = r#"{"source":"0.0.0.0/0","minutes":5}"#;
    for (path, expected) in [("/v1/bypasses", "409"), ("/v1/bypasses?opens=any", "200")] {
        let (status, answer) = http(&host, "POST", path, everyone);
        assert_eq!(status, expected, "{answer}");
    }
    for (path, expected) in [
        ("/v1/detach", "409"),
        ("/v1/detach?opens=any", "200"),
        ("/v1/detach", "200"),
    ] {
        let (status, answer) = http(&host, "POST", path, "");
        assert_eq!(status, expected, "{path}: {answer}");
    }
}
