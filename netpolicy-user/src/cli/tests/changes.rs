//! Commands that change the desired state.

use super::*;

#[test]
fn create_sends_lists_from_flags_and_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pests.txt");
    std::fs::write(&file, "203.0.113.0/24\n").unwrap();
    let file = file.to_str().unwrap();
    let line = [
        "policy",
        "create",
        "office",
        "--allow",
        "10.0.0.0/8, 10.1.0.0/16",
        "--allow",
        "::1",
        "--block-file",
        file,
        "--comment",
        "c",
        "--inactive",
        "--service",
        "pg",
    ];
    assert_eq!(
        sends(&line),
        json!({
            "change": "create-policy", "name": "office",
            "allow": {"items": ["10.0.0.0/8", "10.1.0.0/16", "::1"], "files": [], "skip_invalid": false},
            "block": {"items": [], "files": [{"name": file, "text": "203.0.113.0/24\n"}], "skip_invalid": false},
            "comment": "c", "inactive": true, "services": ["pg"],
        })
    );
}

#[test]
fn create_sends_an_allow_list_only_if_requested() {
    assert_eq!(sends(&["policy", "create", "office"])["allow"], Value::Null);
    let only = sends(&["policy", "create", "office", "--only"]);
    assert_eq!(only["allow"]["items"], json!([]));
    // `--allow "$UNSET"` must not come out as "allow any".
    assert_eq!(
        sends(&["policy", "create", "office", "--allow="])["allow"]["items"],
        json!([""])
    );
}

#[test]
fn alter_sends_edits() {
    let change = sends(&[
        "policy",
        "alter",
        "office",
        "--add-allow",
        "10.0.0.1",
        "--remove-allow",
        "10.0.0.2",
        "--clear-block",
        "--comment",
        "",
    ]);
    assert_eq!(change["allow"]["edit"], "edit");
    assert_eq!(change["allow"]["add"]["items"], json!(["10.0.0.1"]));
    assert_eq!(change["allow"]["remove"]["items"], json!(["10.0.0.2"]));
    assert_eq!(change["block"], json!({"edit": "any"}));
    assert_eq!(change["comment"], "");
    let change = sends(&[
        "policy",
        "alter",
        "office",
        "--any",
        "--set-block",
        "10.0.0.1",
    ]);
    assert_eq!(change["allow"], json!({"edit": "any"}));
    assert_eq!(change["block"]["list"]["items"], json!(["10.0.0.1"]));
    let change = sends(&["policy", "alter", "office", "--comment", "x"]);
    assert_eq!(change["allow"], json!({"edit": "keep"}));
}

#[test]
fn exceptions_and_notes_of_rules_are_sent() {
    let change = sends(&[
        "policy",
        "create",
        "abuse",
        "--block",
        "10.0.0.0/8",
        "--except",
        "@our-own,10.1.0.0/16",
        "--rule-comment",
        "ours",
    ]);
    assert_eq!(
        change["except"]["items"],
        json!(["@our-own", "10.1.0.0/16"])
    );
    assert_eq!(change["block"]["comment"], "ours");
    let change = sends(&[
        "policy",
        "alter",
        "abuse",
        "--add-except",
        "10.1.0.0/16",
        "--remove-except",
        "10.2.0.0/16",
        "--rule-name",
        "vpn",
    ]);
    assert_eq!(change["block"], json!({"edit": "keep"}));
    assert_eq!(change["except"]["add"]["name"], "vpn");
    assert_eq!(change["except"]["remove"]["items"], json!(["10.2.0.0/16"]));
    assert_eq!(change["except"]["remove"]["name"], Value::Null);
    let change = sends(&["policy", "alter", "abuse", "--clear-except"]);
    assert_eq!(change["except"], json!({"edit": "any"}));
    usage(&[
        "policy",
        "alter",
        "abuse",
        "--clear-except",
        "--add-except",
        "10.1.0.0/16",
    ]);
    let change = sends(&["list", "add", "bad", "10.0.0.1", "--comment", "scan"]);
    assert_eq!(change["entries"]["add"]["comment"], "scan");
}

#[test]
fn end_of_rules_is_sent_with_the_rules_that_are_added() {
    let line = ["policy", "alter", "abuse", "--add-block", "10.0.0.1"];
    let change = sends(&[&line[..], &["--until", "2999-01-31T12:00:00Z"]].concat());
    assert_eq!(change["block"]["add"]["expires"], "2999-01-31T12:00:00Z");
    assert!(change["block"]["remove"].get("expires").is_none());
    let before = jiff::Timestamp::now();
    let change = sends(&["list", "add", "bad", "10.0.0.1", "--for", "4h"]);
    let end = change["entries"]["add"]["expires"].as_str().unwrap();
    let end: jiff::Timestamp = end.parse().unwrap();
    let left = end.duration_since(before).as_secs();
    assert!((14_400..14_460).contains(&left), "{left}");
    let ran = run(&["policy", "alter", "abuse", "--clear-block", "--for", "4h"]);
    assert_eq!(ran.exit, Exit::Usage);
    let now = "2020-01-31T12:00:00Z";
    let later = "2999-01-31T12:00:00Z";
    for end in [
        &["--for", "0s"][..],
        &["--until", now],
        &["--for", "4h", "--until", later],
    ] {
        let line = [&["netpolicy", "list", "add", "bad", "10.0.0.1"], end].concat();
        assert!(Cli::try_parse_from(line).is_err(), "{end:?}");
    }
}

#[test]
fn list_commands_send_their_changes() {
    let none = json!({"items": [], "files": [], "skip_invalid": false});
    let some = |items: &[&str]| json!({"items": items, "files": [], "skip_invalid": false});
    for (line, expected) in [
        (
            &[
                "list",
                "create",
                "bad-hosts",
                "10.0.0.1,::1",
                "10.0.0.2",
                "--comment",
                "c",
            ][..],
            json!({"change": "create-list", "name": "bad-hosts", "comment": "c",
                "entries": some(&["10.0.0.1", "::1", "10.0.0.2"])}),
        ),
        (
            &["list", "add", "bad-hosts", "10.0.0.1", "10.0.0.2"],
            json!({"change": "alter-list", "name": "bad-hosts", "comment": null,
                "entries": {"edit": "edit", "add": some(&["10.0.0.1", "10.0.0.2"]), "remove": none}}),
        ),
        (
            &["list", "remove", "bad-hosts", "10.0.0.1"],
            json!({"change": "alter-list", "name": "bad-hosts", "comment": null,
                "entries": {"edit": "edit", "add": none, "remove": some(&["10.0.0.1"])}}),
        ),
        (
            &["list", "alter", "bad-hosts", "--set", "10.0.0.1"],
            json!({"change": "alter-list", "name": "bad-hosts", "comment": null,
                "entries": {"edit": "set", "list": some(&["10.0.0.1"])}}),
        ),
        (
            &["list", "alter", "bad-hosts", "--clear", "--comment", ""],
            json!({"change": "alter-list", "name": "bad-hosts", "comment": "",
                "entries": {"edit": "any"}}),
        ),
        (
            &["list", "rename", "bad-hosts", "worse"],
            json!({"change": "rename-list", "name": "bad-hosts", "to": "worse"}),
        ),
        (
            &["list", "owner", "bad-hosts", "group:dba"],
            json!({"change": "set-list-owner", "list": "bad-hosts", "owner": "group:dba"}),
        ),
        (
            &["list", "drop", "bad-hosts"],
            json!({"change": "drop-list", "name": "bad-hosts"}),
        ),
    ] {
        assert_eq!(sends(line), expected, "{line:?}");
    }
}

#[test]
fn service_host_and_bind_commands_send_their_changes() {
    assert_eq!(
        sends(&[
            "service",
            "add",
            "pg",
            "--port",
            "5432,7000-7010",
            "--combine",
            "and"
        ]),
        json!({"change": "add-service", "name": "pg", "ports": ["5432", "7000-7010"],
               "combine": "and", "mode": "enforce", "on_deny": "drop", "comment": null})
    );
    assert_eq!(
        sends(&["host", "set", "--failsafe-ports", "none"]),
        json!({"change": "set-host", "mode": null, "on_deny": null, "failsafe_ports": []})
    );
    assert_eq!(
        sends(&["bind", "office", "--service", "pg"]),
        json!({"change": "bind", "policy": "office", "service": "pg"})
    );
    assert_eq!(
        sends(&["unbind", "office"]),
        json!({"change": "unbind", "policy": "office", "service": null})
    );
}

#[test]
fn change_summary_goes_to_stdout_and_warnings_to_stderr() {
    let ran = run(&["policy", "activate", "office"]);
    assert_eq!(ran.exit, Exit::Done);
    assert_eq!(
        ran.out,
        "+ policy office\n    + block 10.0.0.0/8\nrevision 5, generation 7 in force on eth0 (3 ms)\n"
    );
    assert_eq!(ran.err, "warning: 10.0.0.1/8 means 10.0.0.0/8\n");
    let ran = run(&["policy", "activate", "office", "-o", "json"]);
    assert_eq!(ran.err, "");
    assert_eq!(
        serde_json::from_str::<Value>(&ran.out).unwrap()["revision"],
        5
    );
}

#[test]
fn nothing_is_sent_when_a_file_cannot_be_read() {
    let script = FakeAgent::default();
    let line = [
        "policy",
        "create",
        "office",
        "--allow-file",
        "/nonexistent/a",
        "--block-file",
        "/",
    ];
    let ran = run_against(Some(agent(script.clone())), &line);
    assert_eq!(ran.exit, Exit::Failed);
    assert_eq!(
        ran.err,
        "error: /nonexistent/a: there is no such file\nerror: /: is a directory, a file was expected\n"
    );
    assert!(script.seen.lock().unwrap().is_empty());
}

#[test]
fn change_that_opens_the_host_requires_yes() {
    let script = FakeAgent::default();
    let ran = run_against(Some(agent(script.clone())), &["policy", "drop", "OFFICE"]);
    assert_eq!(ran.exit, Exit::Failed);
    assert_eq!(
        ran.err,
        "error: the change opens the host to every source\nhint: --yes\n"
    );
    assert!(script.seen.lock().unwrap().is_empty());
    assert_eq!(
        sends(&["policy", "drop", "OFFICE", "--yes"]),
        json!({"change": "drop-policy", "name": "OFFICE"})
    );
}

/// A policy file that names two lists, in a directory of its own.
fn policy_file(lists: &[&str]) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.toml");
    let text = "[[policy]]\nname = \"office\"\nblock_file = [\"pests.txt\", \"lists/more.txt\"]\n";
    std::fs::write(&path, text).unwrap();
    std::fs::create_dir(dir.path().join("lists")).unwrap();
    for list in lists {
        std::fs::write(dir.path().join(list), "203.0.113.0/24\n").unwrap();
    }
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn apply_sends_the_file_and_its_list_files() {
    let (dir, path) = policy_file(&["pests.txt"]);
    std::fs::write(dir.path().join("lists/more.txt"), "198.51.100.0/24\n").unwrap();
    let change = sends(&["apply", "-f", &path, "--skip-invalid"]);
    assert_eq!(change["change"], "apply");
    assert_eq!(change["file"]["name"], path.as_str());
    assert_eq!(change["skip_invalid"], true);
    assert_eq!(
        change["lists"],
        json!([
            {"name": "pests.txt", "text": "203.0.113.0/24\n"},
            {"name": "lists/more.txt", "text": "198.51.100.0/24\n"},
        ])
    );
}

#[test]
fn apply_names_every_list_that_is_missing() {
    let (dir, path) = policy_file(&[]);
    let ran = run(&["apply", "-f", &path]);
    assert_eq!(ran.exit, Exit::Failed);
    let missing = |list: &str| {
        format!(
            "error: {}: there is no such file\n",
            dir.path().join(list).display()
        )
    };
    assert_eq!(ran.err, missing("pests.txt") + &missing("lists/more.txt"));
}

#[test]
fn diff_with_a_file_shows_texts_and_plan() {
    let (dir, path) = policy_file(&["pests.txt", "lists/more.txt"]);
    std::fs::write(dir.path().join("lists/more.txt"), "198.51.100.0/24\n").unwrap();
    let ran = run(&["diff", "-f", &path]);
    assert_eq!(ran.exit, Exit::Done, "{ran:?}");
    assert!(
        ran.out.starts_with(&format!("--- now\n+++ {path}\n@@ ")),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("198.51.100.0/24"), "{}", ran.out);
    assert!(
        ran.out.ends_with(&format!(
            "\napplying {path} would do this; nothing was changed:\n+ policy office\n    + block 10.0.0.0/8\n"
        )),
        "{}",
        ran.out
    );
    assert_eq!(
        run(&["diff", "-f", &path, "--exit-code"]).exit,
        Exit::Failed
    );
}

#[test]
fn service_without_ports_takes_those_of_a_well_known_one_and_says_so() {
    let added = |name: &str| sends(&["service", "add", name])["ports"].clone();
    assert_eq!(added("postgres"), json!(["5432"]));
    assert_eq!(added("MongoDB"), json!(["27017-27019"]));
    let given = sends(&["service", "add", "postgres", "--port", "6000"]);
    assert_eq!(given["ports"], json!(["6000"]));
    let ran = run(&["service", "add", "etcd", "--output", "json"]);
    assert!(
        ran.err
            .starts_with("note: the ports of etcd are 2379-2380: "),
        "{ran:?}"
    );

    let ran = run(&["service", "add", "postgre"]);
    assert_eq!(ran.exit, Exit::Usage, "{ran:?}");
    assert!(ran.err.contains("hint: did you mean postgres? "), "{ran:?}");
    let ran = run(&["service", "add", "billing"]);
    assert_eq!(ran.exit, Exit::Usage, "{ran:?}");
    assert!(ran.err.contains("as in --port 5432; "), "{ran:?}");
    // An empty shell variable is not the same as no option.
    let empty = sends(&["service", "add", "postgres", "--port", ""]);
    assert_eq!(empty["ports"], json!([""]));
}

#[test]
fn well_known_services_are_listed_without_an_agent() {
    let ran = run_against(None, &["service", "known"]);
    assert_eq!(ran.exit, Exit::Done);
    assert!(ran.out.starts_with("NAME "), "{}", ran.out);
    let ran = run_against(None, &["service", "known", "--output", "json"]);
    let known: Value = serde_json::from_str(&ran.out).unwrap();
    let mongodb = known
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["name"] == "mongodb");
    assert_eq!(mongodb.unwrap()["ports"], json!(["27017-27019"]));
    assert_eq!(mongodb.unwrap()["aliases"], json!(["mongo", "mongod"]));
}
