//! The guide to monitoring: each question of an operator has a command that answers it, and the
//! columns that the guide shows are those that the commands print.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::time::{Duration, Instant};

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::binary::workspace;
use netpolicy_tests::docs::page::Page;
use netpolicy_tests::docs::shell;
use netpolicy_tests::packet::Packet;

const CLIENT: &str = "203.0.113.10";
const BLOCKED: &str = "203.0.113.66";
const STRANGER: &str = "198.51.100.7";

const POLICIES: &str = "\
[[service]]
name = \"postgres\"
ports = [\"5432\"]

[[list]]
name = \"scanners\"
entries = [\"203.0.113.64/28\"]

[[policy]]
name = \"office\"
allow = [\"203.0.113.0/24\"]
block = [\"203.0.113.66\", \"192.0.2.99\"]
bind = [\"postgres\"]
";

/// A change by which the client would be denied, and the stranger would get in.
const CANDIDATE: &str = "\
[[service]]
name = \"postgres\"
ports = [\"5432\"]

[[policy]]
name = \"office\"
allow = [\"198.51.100.0/24\"]
bind = [\"postgres\"]
";

/// The guide's questions, and what is in the answer of each command here.
const QUESTIONS: [(&str, &[&str]); 18] = [
    ("Am I protected?", &["only sources that office allows"]),
    (
        "Which sources were denied most in the last hour?",
        &[BLOCKED],
    ),
    (
        "How often did each rule of a policy decide, and when last?",
        &[BLOCKED],
    ),
    ("Which rules decided nothing for a month?", &["192.0.2.99"]),
    ("Is it getting worse?", &["blocked", "DENIED/s"]),
    (
        "Who was denied at three in the morning?",
        &[BLOCKED, "blocked"],
    ),
    ("Since when do the counters count?", &["SINCE"]),
    (
        "Who is connected, by which rule?",
        &["office allow 203.0.113.0/24"],
    ),
    (
        "Which clients would a new attempt deny?",
        &["no such client"],
    ),
    ("Which ports are open to all?", &["no policy governs it"]),
    ("Which policies hold an address?", &["policy office, block"]),
    (
        "What was the verdict at revision 40?",
        &["on the block list"],
    ),
    ("Who changed a policy, when, and how?", &["root"]),
    (
        "What would a new policy have denied in the last day?",
        &[CLIENT],
    ),
    ("Who will fail after this change?", &[CLIENT]),
    (
        "Where does a block come from, and until when?",
        &["banned", "scanner"],
    ),
    ("How old is a list?", &["drop"]),
    ("What else filters this host?", &["nftables"]),
];

fn guide() -> Page {
    Page::read(&workspace().join("docs/guide/monitoring.md")).unwrap()
}

/// Commands of the guide's first table, each with its question.
fn questions() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(guide().path).unwrap();
    let table = text.split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let rows = rows.skip(1).map(|row| {
        let mut cells = row.trim_matches('|').split(" | ");
        let question = cells.next().unwrap().trim().to_owned();
        let spans = cells.next().unwrap().split('`').skip(1).step_by(2);
        let commands = spans.filter(|span| span.starts_with("netpolicy "));
        (question, commands.map(str::to_owned).collect())
    });
    rows.collect()
}

/// A host of which all of it can be asked, with a client that stays connected.
fn host() -> (DatabaseHost, std::net::TcpStream) {
    let host = DatabaseHost::start();
    host.write("policy.toml", POLICIES);
    host.ok("apply -f policy.toml --yes");
    host.write("policy.toml", CANDIDATE);
    host.write("new.toml", CANDIDATE);
    host.ok("feed create drop https://www.spamhaus.org/drop/drop_v4.json");
    let client = host.session(CLIENT, 5432);
    let raw = host.raw();
    for (source, attempts) in [(BLOCKED, 5), (STRANGER, 3)] {
        let frame = Packet::syn(source, 5432).build();
        (0..attempts).for_each(|_| raw.send(&frame));
    }
    let begun = Instant::now();
    while host.json("sources")["total"] != 3 {
        assert!(begun.elapsed() < Duration::from_secs(15));
        std::thread::sleep(Duration::from_millis(100));
    }
    host.ok("ban 203.0.113.66 --for 1h --reason scanner");
    (host, client)
}

/// What a command of the guide prints here: of its own terminal `top` would draw on it, and here
/// are fewer revisions.
fn answer(host: &DatabaseHost, command: &str) -> String {
    let words = shell::split(&command.replace("--revision 40", "--revision 1"));
    let mut words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    if words == ["top"] {
        words.push("--once");
    }
    let output = host.netpolicy(&words);
    // What `doctor` and `status` find to be wrong is their answer.
    let is_answered = matches!(output.code, Some(0 | 1)) && !output.stdout.is_empty();
    assert!(is_answered, "{command}: {}", output.stderr);
    output.stdout
}

#[test]
fn each_question_of_the_guide_is_answered_by_its_command() {
    let (host, _client) = host();
    let found = questions();
    let named: Vec<&str> = found
        .iter()
        .map(|(question, _)| question.as_str())
        .collect();
    assert_eq!(named, QUESTIONS.map(|(question, _)| question));
    for ((question, commands), (_, expected)) in found.iter().zip(QUESTIONS) {
        assert_eq!(commands.len(), expected.len(), "{question}");
        for (command, expected) in commands.iter().zip(expected) {
            let answer = answer(&host, command);
            assert!(answer.contains(expected), "{question} {command}:\n{answer}");
        }
    }
    tables_of_the_guide_have_the_columns_that_are_printed(&host);
}

/// Of each block that shows a command and its table.
fn tables_of_the_guide_have_the_columns_that_are_printed(host: &DatabaseHost) {
    let titles = |line: &str| -> Vec<String> {
        let words = line
            .split("  ")
            .map(str::trim)
            .filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    let is_head = |line: &&str| {
        let is_title = |c: char| c.is_ascii_uppercase() || matches!(c, ' ' | '/' | 's');
        line.starts_with(|c: char| c.is_ascii_uppercase()) && line.chars().all(is_title)
    };
    let mut compared = 0;
    for block in guide().blocks {
        let mut lines = block.text.lines();
        let command = lines
            .next()
            .and_then(|line| line.strip_prefix("$ netpolicy "));
        let Some(command) = command.filter(|command| !command.starts_with("top")) else {
            continue;
        };
        let Some(head) = lines.find(is_head) else {
            continue;
        };
        let answer = answer(host, &format!("netpolicy {command}"));
        let printed = answer.lines().find(is_head);
        assert_eq!(
            printed.map(titles),
            Some(titles(head)),
            "{command}:\n{answer}"
        );
        compared += 1;
    }
    assert!(compared >= 7, "{compared} tables were compared");
}
