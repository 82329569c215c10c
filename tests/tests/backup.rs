//! Backups of a running agent's state, and restoring them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use netpolicy_tests::DatabaseHost;
use netpolicy_tests::command::assert_has;

const FIRST: &str = "10.66.0.1";
const SECOND: &str = "10.77.0.1";

#[test]
fn backup_is_whole_private_and_replaces_nothing_unasked() {
    let host = DatabaseHost::start();
    host.ok("policy create abuse --block 10.66.0.0/16");
    assert_has(
        &host.ok("backup state.backup"),
        &["revision 1 is backed up in state.backup"],
    );
    let file = host.file("state.backup");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let before = fs::read(&file).unwrap();
    host.ok("policy create more --block 10.77.0.0/16");
    assert_has(
        host.line("backup state.backup").failed(1),
        &["state.backup is there already", "hint: ", "--force"],
    );
    assert_eq!(fs::read(&file).unwrap(), before);
    host.ok("backup state.backup --force");
    assert_ne!(fs::read(&file).unwrap(), before);
    let refused = host.line("backup no/such/file");
    assert_has(
        refused.failed(1),
        &[
            "cannot create no/such/file: there is no directory no/such",
            "hint: make the directory",
        ],
    );
    let refused = host.line("backup . --force");
    assert_has(
        refused.failed(1),
        &[
            "cannot create .: it is a directory",
            "hint: name a file in it",
        ],
    );
    assert_has(&host.ok("audit"), &["backup"]);
    let left = fs::read_dir(host.state_dir()).unwrap();
    let left: Vec<_> = left
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("backup"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn restored_backup_comes_into_force_with_all_that_was_in_it() {
    let mut host = DatabaseHost::start();
    host.ok("policy create abuse --block 10.66.0.0/16");
    host.ok("grant read --to user:nobody");
    host.ok("bypass grant 10.66.0.9 --minutes 30");
    host.ok("ban 10.88.0.1 --for 1h --by fail2ban --reason attack");
    host.ok("ban 10.88.0.2");
    // Over before it is restored.
    host.ok("ban 10.88.0.3 --for 1s");
    host.ok("backup state.backup");
    // Made and ended later.
    host.ok("ban 10.89.0.1");
    host.ok("unban 10.88.0.2");
    host.ok("policy create more --block 10.77.0.0/16");
    host.ok("revoke read --from user:nobody");
    let refused = host.line("restore state.backup --yes");
    assert_has(
        refused.failed(1),
        &["another netpolicy agent", "hint: stop the agent first"],
    );
    // With a log that SQLite would replay over what is restored.
    host.kill_agent();
    assert!(host.state_dir().join("state.db-wal").exists());
    assert_has(
        host.line("restore state.backup").failed(1),
        &["Replace the store", "revision 1", "nothing was changed"],
    );
    assert!(!host.state_dir().join("state.db.draft").exists());
    let out = host.ok("restore state.backup --yes");
    assert_has(
        &out,
        &[
            "revision 1 is restored",
            "the old store is kept as",
            " with its log ",
            "-wal",
        ],
    );
    // Until an agent starts, nothing changes.
    host.assert_times_out(&[(FIRST, 5432), (SECOND, 5432), ("10.89.0.1", 5432)]);
    host.start_agent();
    let status = host.json("status");
    assert_eq!(status["agent"]["revision"], 1);
    assert_eq!(status["faults"], serde_json::json!([]));
    host.assert_times_out(&[(FIRST, 5432), ("10.88.0.1", 5432), ("10.88.0.2", 5432)]);
    host.assert_connects(&[(SECOND, 5432), ("10.66.0.9", 5432)]);
    host.assert_connects(&[("10.88.0.3", 5432), ("10.89.0.1", 5432)]);
    let bans = host.json("bans --sort source");
    assert_eq!(bans["count"], 2, "{bans}");
    let ban = &bans["items"][0];
    let told = [&ban["source"], &ban["by"], &ban["reason"]];
    assert_eq!(told, ["10.88.0.1/32", "fail2ban", "attack"], "{bans}");
    assert_eq!(host.json("grants").as_array().unwrap().len(), 1);
    assert_has(&host.ok("audit"), &["restore state.backup"]);
    host.ok("policy create again --block 10.77.0.0/16");
    host.assert_times_out(&[(SECOND, 5432)]);
}

#[test]
fn what_is_no_backup_is_refused_and_changes_nothing() {
    let mut host = DatabaseHost::start();
    host.ok("policy create abuse --block 10.66.0.0/16");
    host.ok("backup state.backup");
    let backup = fs::read(host.file("state.backup")).unwrap();
    host.stop_agent();
    let before = fs::read(host.state_dir().join("state.db")).unwrap();
    host.write("cut", &backup[..backup.len() / 2]);
    host.write("text", "name,address\n");
    host.write("empty", "");
    host.write("beside", &backup);
    host.write("beside-wal", "half a log");
    for (file, why) in [
        ("cut", ""),
        ("text", "does not begin like an SQLite database"),
        ("empty", ""),
        ("beside", "beside-wal next to it holds a part of it"),
        ("missing", "No such file"),
    ] {
        let out = host.line(&format!("restore {file} --yes"));
        let said = out.failed(1);
        assert_has(said, &[file, why]);
        assert!(!said.contains("state database"), "{said}");
        assert!(!said.contains("store reset"), "{said}");
    }
    assert_eq!(fs::read(host.state_dir().join("state.db")).unwrap(), before);
    host.start_agent();
    host.assert_times_out(&[(FIRST, 5432)]);
}
