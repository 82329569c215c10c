//! The format on disk: stored states stay readable.

use super::*;
use crate::model::list::CHUNK_BYTES;
use crate::model::{Expectation, NamedList, NetworkRule, Place, PolicyTest, TestedAttempt};

/// Databases are out there: this may gain cases, never change. The hashes pin the
/// formats of lists and chunks, too.
#[test]
fn the_format_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    store.commit(&rich(), &by("apply")).unwrap();
    let sql = "SELECT CAST(body AS TEXT) FROM objects JOIN revisions ON state = hash";
    let document: String = store.conn.query_row(sql, [], |row| row.get(0)).unwrap();
    let expected = concat!(
        r#"{"format":1,"host":{"mode":"observe","failsafe_ports":[]},"#,
        r#""services":[{"name":"postgres","id":200,"ports":["5432","7000-7010"],"combine":"and","mode":"observe","comment":"the \"main\" one"}],"#,
        r#""policies":[{"name":"nobody","#,
        r#""allow":"aa2e89b6b6be41cbf7aa68eab26da476ed133e6a042a233712939101e49d00d9","#,
        r#""block":"aa2e89b6b6be41cbf7aa68eab26da476ed133e6a042a233712939101e49d00d9","#,
        r#""comment":null,"#,
        r#""owner":"root","created":"1970-01-01T00:00:01.123456789Z","altered":"1970-01-01T00:00:02.123456789Z","active":true,"on_host":true,"services":[]},"#,
        r#"{"name":"office","#,
        r#""allow":"28d044b72f04106b4d5f26662fc8056394243d54aa6045031d5d4472349a6b8d","#,
        r#""block":"28d044b72f04106b4d5f26662fc8056394243d54aa6045031d5d4472349a6b8d","#,
        r#""comment":"head office","#,
        r#""owner":"root","created":"1970-01-01T00:00:01.123456789Z","altered":"1970-01-01T00:00:02.123456789Z","active":false,"on_host":true,"services":["postgres"]}]}"#,
    );
    assert_eq!(document, expected);
}

/// Earlier versions refuse a document with what they do not know, and read one without it.
#[test]
fn answer_to_denials_is_stored_unless_it_is_the_default() {
    let mut state = blocking(0..1);
    let body = |state: &State| {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(dir.path()).unwrap();
        store.commit(state, &by("apply")).unwrap();
        let sql = "SELECT CAST(body AS TEXT) FROM objects JOIN revisions ON state = hash";
        let body: String = store.conn.query_row(sql, [], |row| row.get(0)).unwrap();
        body
    };
    assert!(!body(&state).contains("on_deny"));
    state.host.on_deny = OnDeny::Reset;
    let answering = body(&state);
    assert!(answering.contains(r#""on_deny":"reset""#), "{answering}");
    assert!(document::Document::decode(answering.as_bytes()).is_ok());
}

#[test]
fn a_state_of_an_unknown_format_is_refused() {
    for (body, expected) in [
        (
            r#"{"format":7,"more":1}"#,
            "its format is 7, expected 1 to 6",
        ),
        (r#"{"format":1,"host":{}}"#, "missing field"),
        (r#"{}"#, "missing field `format`"),
        ("\0", "expected value"),
    ] {
        let error = document::Document::decode(body.as_bytes()).err().unwrap();
        assert!(error.contains(expected), "{body}: {error}");
    }
}

/// As before chunks were bounded in bytes.
#[test]
fn database_with_larger_chunks_is_read_backed_up_and_changed() {
    let dir = tempfile::tempdir().unwrap();
    let note = Note {
        comment: Some("c".repeat(1_000).into()),
        ..Note::default()
    };
    let note = note.share();
    let with_comments = |count| {
        let mut rules: Vec<Rule> = list(0..count).iter().cloned().collect();
        for rule in &mut rules {
            rule.note.clone_from(&note);
        }
        let mut state = blocking(0..1);
        state.policies[0].block = RuleList::from_parts(rules, vec!["list.txt".into()]);
        state
    };
    let old = with_comments(1_000);
    let mut store = SqliteStore::open(dir.path()).unwrap();
    store.commit(&blocking(0..1), &by("a")).unwrap();
    {
        let db = store.db();
        let rules: Vec<Rule> = old.policies[0].block.iter().cloned().collect();
        let id = list::put_cut(&db, &["list.txt"], &[&rules]).unwrap();
        let document = document::Document::of(&old, |_| Ok(id)).unwrap();
        let body = document.encode().unwrap();
        let state = objects::put(&db, ObjectKind::State, &body).unwrap();
        let sql = "UPDATE revisions SET state = ?1";
        store.conn.execute(sql, [state.as_bytes()]).unwrap();
    }
    drop(store);
    let longest = |store: &SqliteStore| -> usize {
        let sql = "SELECT max(length(body)) FROM objects WHERE hash IN (SELECT hash FROM fresh)";
        let longest = store.conn.query_row(sql, [], |row| row.get::<_, u32>(0));
        longest.unwrap() as usize
    };

    let mut store = SqliteStore::open(dir.path()).unwrap();
    let loaded = store.load().unwrap();
    assert_eq!((loaded.revision, &loaded.state), (1, &old));
    let backup = store.archivist().unwrap().write().unwrap();
    assert_eq!(backup.summary.policies, 1);
    let sql = "CREATE TEMP TABLE there AS SELECT hash FROM objects;
        CREATE TEMP VIEW fresh AS SELECT hash FROM objects WHERE hash NOT IN (SELECT hash FROM there)";
    store.conn.execute_batch(sql).unwrap();
    let new = with_comments(999);
    store.commit(&new, &by("b")).unwrap();
    assert!((50_000..=CHUNK_BYTES).contains(&longest(&store)));
    drop(store);
    let mut store = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(store.load().unwrap().state, new);
    assert_eq!(store.state_at(1).unwrap(), old);
}

/// With named lists: likewise pinned.
#[test]
fn the_format_with_named_lists_stays() {
    let dir = tempfile::tempdir().unwrap();
    let state = with_named_lists();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    store.commit(&state, &by("apply")).unwrap();
    let sql = "SELECT CAST(body AS TEXT) FROM objects JOIN revisions ON state = hash";
    let document: String = store.conn.query_row(sql, [], |row| row.get(0)).unwrap();
    let mut found: serde_json::Value = serde_json::from_str(&document).unwrap();
    // Hashes are those of lists, which have a test of their own.
    for (part, key) in [(0, "entries"), (0, "every"), (1, "entries")] {
        let hash = found["lists"][part][key].take();
        assert_eq!(hash.as_str().map(str::len), Some(64), "{part} {key}");
    }
    assert_eq!(found["format"], 2);
    assert_eq!(
        found["lists"],
        serde_json::json!([
            {
                "name": "BLOCKED", "entries": null, "every": null,
                "network_rule": {"type": "IPV4", "mode": "INGRESS", "database": "DB", "schema": "PUBLIC"},
                "comment": null, "owner": "root",
                "created": "1970-01-01T00:00:01.123456789Z", "altered": "1970-01-01T00:00:02.123456789Z",
            },
            {
                "name": "vpce", "entries": null,
                "network_rule": {"type": "AWSVPCEID", "mode": "INGRESS", "values": ["vpce-1"]},
                "comment": "endpoints", "owner": "root",
                "created": "1970-01-01T00:00:01.123456789Z", "altered": "1970-01-01T00:00:02.123456789Z",
            },
        ])
    );
    assert_eq!(
        found["policies"][0]["block_lists"],
        serde_json::json!(["BLOCKED"])
    );
    assert_eq!(
        found["policies"][0]["allow_lists"],
        serde_json::json!(["vpce"])
    );
    drop(store);
    let mut store = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(store.load().unwrap().state, state);
    // Nothing of it is lost by pruning, and a backup counts it.
    store.commit(&blocking(0..1), &by("a")).unwrap();
    store.commit(&state, &by("b")).unwrap();
    let keep = Keep {
        revisions: 1,
        bytes: u64::MAX,
        at_least: 1,
    };
    assert_eq!(store.prune_to(keep).unwrap().revisions, 2);
    assert_eq!(store.load().unwrap().state, state);
    let backup = store.archivist().unwrap().write().unwrap();
    assert_eq!(backup.summary.policies, 1);
    // A reference to what is not there is damage.
    let lost = document.replace("[\"BLOCKED\"]", "[\"OTHER\"]");
    let read = document::Document::decode(lost.as_bytes()).unwrap();
    let error = read.into_state(|_| Some(RuleList::default())).unwrap_err();
    assert_eq!(error, "a policy refers to list 'OTHER', which is missing");
}

/// With exceptions and policy tests: likewise pinned.
#[test]
fn the_format_with_exceptions_and_tests_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = with_named_lists();
    let policy = &mut state.policies[0];
    policy.except = state.lists[0].entries.clone();
    policy.except_lists = vec![state.lists[1].name.clone()];
    state.tests = vec![PolicyTest {
        attempt: TestedAttempt {
            source: "10.0.0.1".parse().unwrap(),
            service: Some(Name::new("postgres").unwrap()),
            port: Some(5432),
        },
        expect: Expectation::Drop,
        comment: Some("blocked".into()),
        place: Some(Place {
            source: "office.toml".into(),
            line: 7,
            column: 1,
        }),
    }];
    let mut store = SqliteStore::open(dir.path()).unwrap();
    store.commit(&state, &by("apply")).unwrap();
    let sql = "SELECT CAST(body AS TEXT) FROM objects JOIN revisions ON state = hash";
    let document: String = store.conn.query_row(sql, [], |row| row.get(0)).unwrap();
    let found: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(found["format"], 3);
    let policy = &found["policies"][0];
    assert_eq!(policy["except"], found["lists"][0]["entries"]);
    assert_eq!(policy["except_lists"], serde_json::json!(["vpce"]));
    assert_eq!(
        found["tests"],
        serde_json::json!([{
            "source": "10.0.0.1", "service": "postgres", "port": 5432, "expect": "drop",
            "comment": "blocked", "place": ["office.toml", 7, 1],
        }])
    );
    drop(store);
    let mut store = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(store.load().unwrap().state, state);
    // Nothing of it is lost by pruning.
    store.commit(&blocking(0..1), &by("a")).unwrap();
    store.commit(&state, &by("b")).unwrap();
    let keep = Keep {
        revisions: 1,
        bytes: u64::MAX,
        at_least: 1,
    };
    assert_eq!(store.prune_to(keep).unwrap().revisions, 2);
    assert_eq!(store.load().unwrap().state, state);
}

fn with_named_lists() -> State {
    let rules = |nets: &[&str]| {
        let rule = |net: &&str| Rule {
            net: net.parse().unwrap(),
            source: 0,
            line: 0,
            note: None,
        };
        RuleList::from_parts(nets.iter().map(rule).collect(), vec!["office.sql".into()])
    };
    let list = |name: &str| NamedList {
        name: Name::exact(name).unwrap(),
        entries: RuleList::default(),
        every: RuleList::default(),
        rule: None,
        feed: None,
        max_shrink: None,
        comment: None,
        owner: "root".into(),
        created: time(1),
        altered: time(2),
    };
    let rule = |kind: &str| NetworkRule {
        kind: kind.into(),
        mode: "INGRESS".into(),
        ..NetworkRule::default()
    };
    let mut state = blocking(0..1);
    state.lists = vec![
        NamedList {
            entries: rules(&["10.0.0.0/8"]),
            every: rules(&["0.0.0.0/0"]),
            rule: Some(NetworkRule {
                database: Some("DB".into()),
                schema: Some("PUBLIC".into()),
                ..rule("IPV4")
            }),
            ..list("BLOCKED")
        },
        NamedList {
            rule: Some(NetworkRule {
                values: vec!["vpce-1".into()],
                ..rule("AWSVPCEID")
            }),
            comment: Some("endpoints".into()),
            ..list("vpce")
        },
    ];
    let policy = &mut state.policies[0];
    policy.allow = AllowPart::Only(RuleList::default());
    policy.block_lists = vec![state.lists[0].name.clone()];
    policy.allow_lists = vec![state.lists[1].name.clone()];
    state
}

#[test]
fn state_with_ends_of_rules_or_limits_of_lists_has_a_format_of_its_own_and_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path()).unwrap();
    let plain = blocking(0..3);
    let mut ending = plain.clone();
    let end = Note {
        expires: Some("2030-01-31T12:00:00Z".parse().unwrap()),
        ..Note::default()
    };
    let mut rules: Vec<Rule> = plain.policies[0].block.iter().cloned().collect();
    rules[1].note = end.share();
    let sources = plain.policies[0].block.sources().to_vec();
    ending.policies[0].block = RuleList::from_parts(rules, sources);
    let mut limited = with_named_lists();
    limited.lists[0].max_shrink = Some(10);
    let mut format = |state: &State| {
        store.commit(state, &by("apply")).unwrap();
        assert_eq!(store.load().unwrap().state, *state);
        let sql = "SELECT CAST(body AS TEXT) FROM objects JOIN revisions ON state = hash
                   ORDER BY revision DESC LIMIT 1";
        let body: String = store.conn.query_row(sql, [], |row| row.get(0)).unwrap();
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        body["format"].as_u64()
    };
    assert_eq!(format(&plain), Some(1));
    assert_eq!(format(&ending), Some(5));
    assert_eq!(format(&limited), Some(5));
}
