//! `pg_hba.conf` to a policy file, which reads back as a policy that admits what the file does.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use jiff::Timestamp;
use netpolicy_formats::hba;
use netpolicy_policy::model::{AllowPart, ChangeContext, Limits, SourceText, State, file};

fn text() -> String {
    let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join("../../tests/corpus/formats/pg_hba.conf")).unwrap()
}

fn outcomes(text: &str) -> Vec<String> {
    let hba = hba::read(text.as_bytes()).unwrap();
    let lines = hba.lines.iter();
    lines
        .map(|carried| format!("{}: {}", carried.line.number, carried.outcome))
        .collect()
}

fn state(text: &str) -> State {
    let hba = hba::read(text.as_bytes()).unwrap();
    let file = SourceText {
        name: "policy.toml".into(),
        text: hba.policy_file("pg_hba", "/etc/pg_hba.conf"),
    };
    let cx = ChangeContext {
        now: Timestamp::UNIX_EPOCH,
        actor: "test",
        limits: Limits::default(),
        force: false,
    };
    match file::parse(&file, &[], false, &cx) {
        Ok(applied) => applied.state,
        Err(errors) => panic!("{errors}\n{}", file.text),
    }
}

fn lists(state: &State) -> (Vec<String>, Vec<String>) {
    let policy = &state.policies[0];
    let AllowPart::Only(allow) = &policy.allow else {
        panic!("{policy:?}");
    };
    let texts = |list: &netpolicy_policy::model::RuleList| {
        list.iter().map(|rule| rule.text().into_owned()).collect()
    };
    (texts(allow), texts(&policy.block))
}

#[test]
fn lines_are_explained_one_by_one() {
    assert_eq!(
        outcomes(&text()),
        [
            "2: by unix socket, which passes no NIC: nothing to carry",
            "3: admitted by password (SCRAM); loopback passes no NIC: nothing to carry",
            "4: rejected",
            "5: admitted by password (SCRAM)",
            "6: admitted by password (MD5 or SCRAM)",
            "7: not carried: it rejects some databases, users or kinds of connection alone, which no packet shows; the server goes on rejecting",
            "8: admitted by TLS client certificate",
            "10: admitted by password (SCRAM)",
        ]
    );
}

#[test]
fn policy_file_allows_what_is_admitted_and_blocks_what_is_rejected_first() {
    let state = state(&text());
    let (allow, block) = lists(&state);
    assert_eq!(
        allow,
        ["10.1.0.0/16", "192.0.2.7", "198.51.100.0/24", "2001:db8::7"]
    );
    assert_eq!(block, ["10.1.2.0/24"]);
    let policy = &state.policies[0];
    assert!(policy.active);
    assert_eq!(state.services[0].name.as_str(), "postgres");
    let comment = |list: usize| match &policy.allow {
        AllowPart::Only(allow) => allow[list].comment().unwrap().to_owned(),
        AllowPart::Any => String::new(),
    };
    assert_eq!(comment(1), "line 6: md5");
}

#[test]
fn first_matching_line_decides() {
    let text =
        "host all all 10.1.0.0/16 md5\nhost all all 10.0.0.0/8 reject\nhost all all all md5\n";
    let (allow, block) = lists(&state(text));
    assert_eq!(allow, ["10.1.0.0/16", "0.0.0.0/0", "::/0"]);
    // All of 10/8 but 10.1/16, which the first line admits.
    assert!(!block.contains(&"10.0.0.0/8".to_owned()));
    assert!(block.contains(&"10.0.0.0/16".to_owned()), "{block:?}");
    assert!(
        !block.iter().any(|net| net.starts_with("10.1.")),
        "{block:?}"
    );
    let covered: f64 = block
        .iter()
        .map(|net| 2_f64.powi(32 - net.split_once('/').unwrap().1.parse::<i32>().unwrap()))
        .sum();
    assert!((covered - (2_f64.powi(24) - 2_f64.powi(16))).abs() < 0.5);
    let text =
        "host all all 10.1.0.0/16 md5\nhost all all all reject\nhost all all 10.2.0.0/16 md5\n";
    assert_eq!(lists(&state(text)).0, ["10.1.0.0/16"]);
    let text = "host all all 10.0.0.0/8 md5\nhost all all 10.1.0.0/16 reject\n";
    assert!(outcomes(text)[1].contains("without effect"));
    assert!(lists(&state(text)).1.is_empty());
}

#[test]
fn policy_is_inactive_where_admitted_sources_are_missing() {
    for line in [
        "host all all samenet md5",
        "host all all .example.com md5",
        "host all all 10.0.0.0 255.0.255.0 md5",
        "include other.conf",
        "include_dir conf.d",
    ] {
        let hba = hba::read(format!("{line}\n").as_bytes()).unwrap();
        assert!(hba.is_incomplete, "{line}");
        let state = state(&format!("host all all 192.0.2.1/32 md5\n{line}\n"));
        assert!(!state.policies[0].active, "{line}");
    }
    // A reject behind such a line may be behind what it admits.
    let text = "host all all samenet md5\nhost all all 10.0.0.0/8 reject\n";
    assert!(
        outcomes(text)[1].starts_with("2: not carried"),
        "{:?}",
        outcomes(text)
    );
}

#[test]
fn quoted_keyword_is_a_name() {
    let text = "host \"all\" all 10.0.0.0/8 reject\nhost all all 10.0.0.0/8 md5\n";
    assert!(outcomes(text)[0].contains("not carried"));
    assert!(lists(&state(text)).1.is_empty());
}

#[test]
fn lines_that_postgresql_does_not_read_are_errors() {
    for (line, expected) in [
        (
            "host all all 10/8 md5",
            "1: '10/8' is not an address or CIDR",
        ),
        ("host all all 192.0.2.010/32 md5", "leading zero"),
        ("host all all 192.0.2.1 md5", "has no length and no mask"),
        ("host all all 192.0.2.1/32", "ends before its method"),
        ("host all all 192.0.2.1/32 scram", "unknown method 'scram'"),
        (
            "hosts all all 192.0.2.1/32 md5",
            "is not part of pg_hba.conf",
        ),
        ("host all", "ends before its database and user"),
        ("host all all 10.0.0.1-10.0.0.9 md5", "as a host's name"),
    ] {
        let errors = hba::read(line.as_bytes()).unwrap_err();
        assert!(
            errors[0].to_string().contains(expected),
            "{line}: {}",
            errors[0]
        );
    }
}
