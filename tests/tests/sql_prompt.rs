//! `netpolicy sql` at a terminal, as a user types it.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;
use netpolicy_tests::terminal::Terminal;
use serde_json::{Value, json};

const PLAIN: &str = "netpolicy=>";
const SNOWFLAKE: &str = "netpolicy(snowflake)=>";
const SNOWFLAKE_ON: &str = "netpolicy(snowflake)->";
const LAKEHOUSE: &str = "netpolicy(lakehouse)=>";

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const UP: &str = "\x1b[A";
const TAB: &str = "\t";

/// `netpolicy sql` with these arguments; its history is the host's own.
fn command(host: &DatabaseHost, args: &[&str]) -> Command {
    let mut command = host.command();
    command
        .arg("sql")
        .args(args)
        .env("XDG_STATE_HOME", host.file("home"));
    command
}

/// The same, at its first prompt.
fn prompt(host: &DatabaseHost, args: &[&str], first: &str) -> Terminal {
    let mut terminal = Terminal::start(command(host, args));
    terminal.wait_for_line(first);
    terminal
}

/// Leaves the prompt, which is a success whatever was done at it.
#[track_caller]
fn quit(mut terminal: Terminal) {
    terminal.press("\\q\r");
    assert_eq!(terminal.end().code(), Some(0), "{}", terminal.seen());
}

#[test]
fn the_prompt_greets_helps_and_ends() {
    let host = DatabaseHost::start();
    let mut terminal = prompt(&host, &[], PLAIN);
    assert_has(&terminal.seen(), &["\\h for help", "\\q to quit"]);

    assert_has(&terminal.enter("\\dialect", PLAIN), &["no dialect is set"]);
    assert_has(&terminal.enter("\\h", PLAIN), &["\\d", "\\q", "\\dialect"]);
    assert_eq!(terminal.enter("\\dialect Snowflake", SNOWFLAKE), "");
    let help = terminal.enter("\\?", SNOWFLAKE);
    assert_has(&help, &["Ctrl-C", "CREATE", "ALTER ACCOUNT", "DIALECT"]);
    assert!(!help.contains("ALTER SYSTEM"), "{help}");
    assert_has(
        &terminal.enter("\\dialect postgres", SNOWFLAKE),
        &["error: ", "postgres"],
    );
    assert_has(
        &terminal.enter("\\z", SNOWFLAKE),
        &["error: ", "\\z", "hint: \\h"],
    );
    assert_has(&terminal.enter("\\d", SNOWFLAKE), &["no policies"]);

    terminal.press(CTRL_D);
    assert_eq!(terminal.end().code(), Some(0));
}

#[test]
fn a_statement_goes_on_until_its_semicolon_or_ctrl_c() {
    let host = DatabaseHost::start();
    let mut terminal = prompt(&host, &["--dialect", "snowflake"], SNOWFLAKE);
    for open in [
        "SHOW NETWORK",
        "SHOW NETWORK POLICIES -- ;",
        "SHOW NETWORK POLICIES LIKE 'a;",
        "/* SHOW NETWORK POLICIES;",
    ] {
        assert_eq!(terminal.enter(open, SNOWFLAKE_ON), "", "{open}");
        // What was begun is no command of the prompt's, whatever it looks like.
        assert_eq!(terminal.enter("quit", SNOWFLAKE_ON), "", "{open}");
        terminal.answer(CTRL_C, SNOWFLAKE);
    }
    // Ctrl-C within a line, and blank lines.
    terminal.press("DROP NETWORK POL");
    terminal.wait_for_line(&format!("{SNOWFLAKE} DROP NETWORK POL"));
    terminal.answer(CTRL_C, SNOWFLAKE);
    assert_eq!(terminal.enter("", SNOWFLAKE), "");
    assert_eq!(terminal.enter("   ", SNOWFLAKE), "");
    quit(terminal);
}

#[test]
fn tab_completes_keywords_and_what_the_agent_has() {
    let host = DatabaseHost::start();
    host.ok("policy create office");
    host.ok("service add postgres --port 5432");
    let mut terminal = prompt(&host, &["--dialect", "lakehouse"], LAKEHOUSE);
    for (keys, line) in [
        ("desc", " desc"),
        (TAB, " desc"),
        ("net\t", " desc network"),
        ("po\t", " desc network policy"),
        ("of\t", " desc network policy office"),
    ] {
        terminal.press(keys);
        terminal.wait_for_line(&format!("{LAKEHOUSE}{line}"));
    }
    terminal.answer(CTRL_C, LAKEHOUSE);

    terminal.enter("\\dialect snowflake", SNOWFLAKE);
    terminal.press("ALTER USER p\t");
    terminal.wait_for_line(&format!("{SNOWFLAKE} ALTER USER postgres"));
    terminal.answer(CTRL_C, SNOWFLAKE);

    // A policy that came later is known after the next answer.
    host.ok("policy create branch");
    assert_has(&terminal.enter("\\d", SNOWFLAKE), &["branch", "office"]);
    terminal.press("\\d b\t");
    terminal.wait_for_line(&format!("{SNOWFLAKE} \\d branch"));
    assert_has(&terminal.enter("", SNOWFLAKE), &["branch"]);
    quit(terminal);
}

#[test]
fn the_history_is_kept_for_its_user_alone() {
    let host = DatabaseHost::start();
    let mut terminal = prompt(&host, &[], PLAIN);
    terminal.enter("\\d", PLAIN);
    terminal.enter("\\dialect snowflake", SNOWFLAKE);
    quit(terminal);

    let file = host.file("home/netpolicy/sql_history");
    let mode = file.metadata().expect("a history").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let mut terminal = prompt(&host, &[], PLAIN);
    for line in ["\\q", "\\dialect snowflake", "\\d"] {
        terminal.press(UP);
        terminal.wait_for_line(&format!("{PLAIN} {line}"));
    }
    assert_has(&terminal.enter("", PLAIN), &["no policies"]);
    quit(terminal);
}

#[test]
fn without_a_place_for_the_history_the_prompt_works() {
    let host = DatabaseHost::start();
    let mut command = command(&host, &[]);
    // Not even root makes directories there.
    command.env("XDG_STATE_HOME", "/proc/nowhere");
    let mut terminal = Terminal::start(command);
    terminal.wait_for_line(PLAIN);
    assert_has(
        &terminal.enter("\\d", PLAIN),
        &["note: no history is kept: /proc/nowhere", "no policies"],
    );
    let again = terminal.enter("\\d", PLAIN);
    assert!(!again.contains("history"), "{again}");
    terminal.press(UP);
    terminal.wait_for_line(&format!("{PLAIN} \\d"));
    terminal.answer(CTRL_C, PLAIN);
    quit(terminal);
}

#[test]
fn a_lost_agent_is_said_and_the_prompt_goes_on() {
    let mut host = DatabaseHost::start();
    let mut terminal = prompt(&host, &["--dialect", "snowflake"], SNOWFLAKE);
    host.kill_agent();
    for line in ["\\d", "SHOW NETWORK POLICIES;"] {
        let said = terminal.enter(line, SNOWFLAKE);
        assert_has(&said, &["error: no agent answers", "hint: start it"]);
    }
    host.start_agent();
    assert_has(&terminal.enter("\\d", SNOWFLAKE), &["no policies"]);
    quit(terminal);
}

#[test]
fn without_an_agent_there_is_no_prompt() {
    let host = DatabaseHost::without_agent();
    let mut terminal = Terminal::start(command(&host, &[]));
    assert_eq!(terminal.end().code(), Some(3));
    assert_has(&terminal.seen(), &["error: no agent answers", "hint: "]);
    assert!(!terminal.seen().contains(PLAIN), "{}", terminal.seen());
}

#[test]
fn programs_at_a_terminal_get_json() {
    let host = DatabaseHost::start();
    host.ok("policy create office");
    let mut terminal = prompt(&host, &["--output", "json"], PLAIN);
    assert_eq!(terminal.seen(), PLAIN, "no greeting");
    let list: Value = serde_json::from_str(&terminal.enter("\\d", PLAIN)).expect("JSON");
    assert_eq!(list[0]["name"], "office");
    quit(terminal);
}

#[test]
fn statements_are_carried_out_and_their_dialect_stays() {
    let host = DatabaseHost::start();
    let mut terminal = prompt(&host, &[], PLAIN);
    terminal.enter("SET dialect = snowflake;", SNOWFLAKE);
    terminal.enter("CREATE NETWORK POLICY office", SNOWFLAKE_ON);
    terminal.enter(
        "  ALLOWED_IP_LIST = ('10.0.0.0/8') -- all; of it",
        SNOWFLAKE_ON,
    );
    let said = terminal.enter("  COMMENT = 'head office';", SNOWFLAKE);
    assert_has(&said, &["OFFICE", "revision 1"]);
    assert_eq!(host.json("policy list")[0]["comment"], "head office");

    let said = terminal.enter("SHOW NETWORK POLICIES;", SNOWFLAKE);
    assert_has(
        &said,
        &[
            "created_on",
            "name",
            "comment",
            "entries_in_allowed_ip_list",
            "entries_in_blocked_ip_list",
            "OFFICE",
            "head office",
            "1",
            "0",
            "(1 row)",
        ],
    );
    // A policy that came by a statement is completed.
    terminal.press("DESC NETWORK POLICY of\t");
    terminal.wait_for_text("DESC NETWORK POLICY OFFICE");
    let said = terminal.enter(";", SNOWFLAKE);
    assert_has(&said, &["name", "value", "ALLOWED_IP_LIST", "10.0.0.0/8"]);

    let said = terminal.enter("SET dialect = lakehouse; SHOW NETWORK POLICIES;", LAKEHOUSE);
    assert_has(
        &said,
        &["name", "creator", "created_time", "status", "(1 row)"],
    );
    quit(terminal);
}

#[test]
fn a_statement_that_opens_the_host_asks_at_the_prompt() {
    let host = DatabaseHost::start();
    host.ok("policy create office --allow 10.0.0.0/8");
    let mut terminal = prompt(&host, &["--dialect", "lakehouse"], LAKEHOUSE);
    let question = "The change opens the host to every source. Continue? [y/N]";
    for (answer, words) in [
        ("n\r", "error: sql:1:1: not confirmed: the change opens"),
        ("y\r", "Network policy office is dropped."),
    ] {
        terminal.press("DROP NETWORK POLICY office;\r");
        terminal.wait_for_line(question);
        assert_has(&terminal.answer(answer, LAKEHOUSE), &[words]);
    }
    quit(terminal);
}

#[test]
fn a_statement_that_fails_says_where_and_the_prompt_goes_on() {
    let host = DatabaseHost::start();
    let mut terminal = prompt(&host, &["--dialect", "snowflake"], SNOWFLAKE);
    let said = terminal.enter("DROP NETWORK POLICY nowhere;", SNOWFLAKE);
    assert_has(
        &said,
        &[
            "error: sql:1:",
            "Network policy 'NOWHERE' does not exist or not authorized.",
        ],
    );
    let said = terminal.enter(
        "CREATE NETWORK POLICY a; SET dialect = materialize; DROP NETWORK POLICY b;",
        "netpolicy(materialize)=>",
    );
    assert_has(
        &said,
        &[
            "A",
            "error: sql:1:",
            "note: the 2 statements before it were carried out and stay",
        ],
    );
    assert_eq!(host.json("policy list")[0]["name"], "A");
    // Where the text is wrong nothing is done, nor is the dialect set.
    let said = terminal.enter(
        "SET dialect = lakehouse; DROP NETWORK POLICY; SHOW NETWORK POLICY;",
        "netpolicy(materialize)=>",
    );
    assert_has(&said, &["error: sql:1:45"]);
    assert!(!said.contains("note:"), "{said}");
    quit(terminal);
}

#[test]
fn lines_pasted_without_bracketed_paste_are_all_read() {
    let host = DatabaseHost::start();
    let mut terminal = prompt(&host, &["--dialect", "lakehouse"], LAKEHOUSE);
    terminal.press(
        "CREATE NETWORK POLICY office\r  ALLOWED_IP_LIST = ('10.0.0.0/8');\r\
         CREATE NETWORK POLICY branch;\rCREATE NETWORK POLICY third;\rSHOW NETWORK POLICY;\r",
    );
    terminal.wait_for_text("(3 rows)");
    let names: Vec<_> = host
        .json("policy list")
        .as_array()
        .expect("a list")
        .iter()
        .map(|policy| policy["name"].clone())
        .collect();
    assert_eq!(names, ["branch", "office", "third"]);
    quit(terminal);
}

#[test]
fn closing_open_connections_is_asked_for_first() {
    let host = DatabaseHost::start();
    let session = host.session("10.0.0.1", 5432);
    let mut terminal = prompt(&host, &["--dialect", "snowflake"], SNOWFLAKE);
    terminal.enter(
        "CREATE NETWORK POLICY office ALLOWED_IP_LIST = ('10.0.0.2');",
        SNOWFLAKE,
    );
    terminal.press("ALTER ACCOUNT SET NETWORK_POLICY = office;\r");
    let question = "This closes the open connections of 10.0.0.1, which it denies; \
                    --existing keep keeps them. Continue? [y/N]";
    terminal.wait_for_line(question);
    let said = terminal.answer("n\r", SNOWFLAKE);
    assert_has(&said, &["not confirmed: nothing was changed"]);
    assert_eq!(host.json("policy list")[0]["active"], json!(false));
    terminal.press("ALTER ACCOUNT SET NETWORK_POLICY = office;\r");
    terminal.wait_for_line(question);
    terminal.answer("y\r", SNOWFLAKE);
    assert_eq!(host.json("policy list")[0]["active"], json!(true));
    drop(session);
    quit(terminal);
}

#[test]
fn prompt_commands_work_within_a_statement() {
    let host = DatabaseHost::start();
    let mut terminal = prompt(&host, &["--dialect", "snowflake"], SNOWFLAKE);
    terminal.enter("SHOW NETWORK", SNOWFLAKE_ON);
    terminal.enter("\\dialect lakehouse", "netpolicy(lakehouse)->");
    // Which is a statement of Lakehouse alone.
    assert_has(&terminal.enter("POLICY;", LAKEHOUSE), &["(0 rows)"]);
    terminal.enter("SHOW NETWORK", "netpolicy(lakehouse)->");
    terminal.press("\\q\r");
    assert_eq!(terminal.end().code(), Some(0), "{}", terminal.seen());
}

#[test]
fn rows_fit_the_terminal_and_statements_can_be_copied() {
    let host = DatabaseHost::start();
    let wide = command(&host, &["--dialect", "snowflake"]);
    let mut narrow = Command::new("sh");
    narrow
        .args(["-c", "stty cols 80; exec \"$0\" \"$@\""])
        .arg(wide.get_program())
        .args(wide.get_args());
    for (name, value) in wide.get_envs() {
        narrow.env(name, value.unwrap_or_default());
    }
    let mut terminal = Terminal::start(narrow);
    terminal.wait_for_line(SNOWFLAKE);
    terminal.enter("CREATE NETWORK POLICY office", SNOWFLAKE_ON);
    terminal.enter("ALLOWED_IP_LIST = ('10.0.0.1') COMMENT='head';", SNOWFLAKE);
    let rows = terminal.enter("SHOW NETWORK POLICIES;", SNOWFLAKE);
    assert_has(
        &rows,
        &[
            "-[ row 1 ]-",
            "name",
            "OFFICE",
            "comment",
            "head",
            "(1 row)",
        ],
    );
    let table = terminal.enter("DESC NETWORK POLICY office;", SNOWFLAKE);
    assert!(!table.contains("-[ row"), "{table}");
    terminal.enter("\\x", SNOWFLAKE);
    let rows = terminal.enter("DESC NETWORK POLICY office;", SNOWFLAKE);
    assert_has(&rows, &["-[ row 1 ]-", "ALLOWED_IP_LIST"]);
    let statement = terminal.enter("SHOW CREATE NETWORK POLICY office;", SNOWFLAKE);
    assert_eq!(
        statement,
        "CREATE NETWORK POLICY OFFICE\n  ALLOWED_IP_LIST = ('10.0.0.1')\n  COMMENT = 'head';\n"
    );
    quit(terminal);
}

#[test]
fn a_paste_of_several_lines_is_one_script() {
    let host = DatabaseHost::start();
    let mut terminal = prompt(&host, &["--dialect", "lakehouse"], LAKEHOUSE);
    terminal.press(
        "\x1b[200~CREATE NETWORK POLICY office\r  ALLOWED_IP_LIST = ('10.0.0.0/8');\r\
         CREATE NETWORK POLICY branch;\x1b[201~",
    );
    terminal.wait_for_text("POLICY branch;");
    assert_has(
        &terminal.enter("", LAKEHOUSE),
        &["office", "branch", "revision 2"],
    );
    quit(terminal);
    let list = host.json("policy list");
    assert_eq!(list.as_array().map(Vec::len), Some(2), "{list}");
}

#[test]
fn safety_options_hold_for_every_statement_of_the_prompt() {
    let host = DatabaseHost::start();
    let args = ["--dialect", "lakehouse", "--dry-run"];
    let mut terminal = prompt(&host, &args, LAKEHOUSE);
    for _ in 0..2 {
        let said = terminal.enter("CREATE NETWORK POLICY office;", LAKEHOUSE);
        assert_has(&said, &["+ policy office", "dry run, nothing was changed"]);
    }
    quit(terminal);
    assert_eq!(host.json("policy list"), json!([]));
}
