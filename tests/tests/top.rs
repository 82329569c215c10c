//! `netpolicy top` at a terminal of 80 columns, and its one look for programs.

use std::time::{Duration, Instant};

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use netpolicy_tests::packet::Packet;
use netpolicy_tests::terminal::Terminal;

const BLOCKED: &str = "10.66.0.1";
const CLIENT: &str = "10.0.0.1";

/// A host that denied attempts and let some in, and remembers them.
fn host() -> DatabaseHost {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    host.ok("policy create abuse --block 10.66.0.0/16 --service postgres");
    let raw = host.raw();
    for (source, attempts) in [(BLOCKED, 7), (CLIENT, 2)] {
        let frame = Packet::syn(source, 5432).build();
        for _ in 0..attempts {
            raw.send(&frame);
        }
    }
    let begun = Instant::now();
    while host.json("sources")["total"] != 2 {
        assert!(begun.elapsed() < Duration::from_secs(15));
        std::thread::sleep(Duration::from_millis(100));
    }
    host
}

fn top(host: &DatabaseHost, no_color: bool) -> Terminal {
    let mut command = host.command();
    command.args(["top", "--interval", "1s"]);
    command.env_remove("NO_COLOR");
    if no_color {
        command.env("NO_COLOR", "1");
    }
    Terminal::sized(command, 24, 80)
}

#[test]
fn sources_are_shown_explained_and_banned_by_keys() {
    let host = host();
    let mut terminal = top(&host, true);
    terminal.wait_for_text(BLOCKED);
    let seen = terminal.seen();
    assert_has(
        &seen,
        &[
            "netpolicy top  ",
            "all interfaces filtered",
            "SCOPE                   PASSED/s    DENIED/s  DENIED",
            "postgres",
            " 1 Denied ",
            "abuse: 10.66.0.0/16",
            "q quit",
        ],
    );
    assert!(!terminal.is_coloured(), "coloured in spite of NO_COLOR");

    terminal.press("2");
    terminal.wait_for_text("10.66.0.0/24");
    terminal.press("4");
    terminal.wait_for_text(CLIENT);
    terminal.press("1");
    terminal.wait_for_text("10.66.0.1 ");
    terminal.press("\r");
    terminal.wait_for_text("10.66.0.1 to port 5432 (postgres): drop");
    terminal.press(" ");
    terminal.press("b");
    terminal.wait_for_text("Ban 10.66.0.1 on the host for 1 hour?");
    terminal.press("y");
    terminal.wait_for_text("banned");
    assert_eq!(host.json("bans")["items"][0]["source"], "10.66.0.1/32");

    terminal.press("/nothing-has-this\r");
    terminal.wait_for_text("nothing with this text");
    terminal.press("q");
    assert_eq!(terminal.end().code(), Some(0), "{}", terminal.seen());
}

#[test]
fn colour_is_used_where_it_is_not_refused_and_ctrl_c_ends_it() {
    let host = host();
    let mut terminal = top(&host, false);
    host.ok("detach --yes");
    terminal.wait_for_text("detached by ");
    assert!(terminal.is_coloured());
    terminal.press("\x03");
    assert_eq!(terminal.end().code(), Some(0));
}

#[test]
fn one_look_is_json_for_programs_and_a_table_for_readers() {
    let host = host();
    // An agent that has counted for some seconds tells rates by itself.
    let begun = Instant::now();
    while host.json("counters")["recent"].is_null() {
        assert!(begun.elapsed() < Duration::from_secs(15));
        std::thread::sleep(Duration::from_millis(100));
    }
    let begun = Instant::now();
    let view = host.json("top --once");
    assert!(
        begun.elapsed() < Duration::from_millis(900),
        "it looked twice"
    );
    let postgres = view["scopes"].as_array().unwrap().iter();
    let postgres = postgres
        .clone()
        .find(|scope| scope["scope"] == "postgres")
        .unwrap();
    assert_eq!(
        (&postgres["denied"], &postgres["passed"]),
        (&7.into(), &2.into())
    );
    assert_eq!(view["denied"][0]["source"], BLOCKED);
    assert_eq!(view["denied"][0]["attempts"], 7);
    assert_eq!(view["networks"][0]["source"], "10.66.0.0/24");
    assert_eq!(view["allowed"][0]["source"], CLIENT);
    let rules = view["rules"].as_array().unwrap();
    let rule = rules
        .iter()
        .find(|row| row["rule"] == "10.66.0.0/16")
        .unwrap();
    assert_eq!(
        (&rule["hits"], &rule["policy"]),
        (&7.into(), &"abuse".into())
    );

    let table = host.ok("top --once --interval 1s");
    assert_has(
        &table,
        &["PASSED/s", "Denied since ", "abuse: 10.66.0.0/16"],
    );
    let no_terminal = host.line("top");
    assert_has(no_terminal.failed(1), &["no terminal", "top --once"]);
    let json = host.line("top --output json");
    assert_has(json.failed(1), &["top --once -o json"]);
}
