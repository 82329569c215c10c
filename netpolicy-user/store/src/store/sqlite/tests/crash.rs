//! `kill -9` in the middle of commits: what was committed is there, nothing else is.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::*;

/// Says to the test's own child process where its store is.
const CHILD: &str = "NETPOLICY_TEST_COMMITTER";

/// The state of revision `r`, different for every one and too large for one page.
fn expected(r: u64) -> State {
    if r == 0 {
        return State::empty();
    }
    let r = u32::try_from(r).unwrap();
    let mut state = blocking((0..6_000).filter(|i| (i / 1_000 + r) % 5 != 0 || i % 7 == r % 7));
    state.policies.push(policy(
        "second",
        AllowPart::Only(list([r])),
        list(0..r % 50),
    ));
    state
}

/// Commits one revision after the other until it is killed, and says each number
/// once it is durable.
fn commit_forever(dir: &Path) -> ! {
    let mut store = SqliteStore::open(dir).unwrap();
    let mut revision = store.load().unwrap().revision;
    loop {
        let committed = store
            .commit(&expected(revision + 1), &by("commit"))
            .unwrap();
        assert_eq!(committed, revision + 1);
        revision = committed;
        // In one piece, since it may be killed within.
        std::io::stderr()
            .write_all(format!("revision {revision}\n").as_bytes())
            .unwrap();
        if revision.is_multiple_of(10) {
            store
                .prune_to(Keep {
                    revisions: 20,
                    bytes: u64::MAX,
                    at_least: 1,
                })
                .unwrap();
        }
    }
}

#[test]
fn a_killed_writer_leaves_the_last_whole_revision() {
    if let Some(dir) = std::env::var_os(CHILD) {
        commit_forever(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut revision = 0;
    for round in 0..20_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("store::sqlite::tests::crash::a_killed_writer_leaves_the_last_whole_revision")
            .env(CHILD, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // From within the first opening to many commits later, at odd moments.
        std::thread::sleep(Duration::from_micros(5_000 + round * round * 1_337));
        child.kill().unwrap();
        child.wait().unwrap();
        let said: Vec<String> = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map(Result::unwrap)
            .collect();
        assert!(
            said.iter().all(|line| line.starts_with("revision ")),
            "{said:?}"
        );
        let durable = said
            .iter()
            .filter_map(|line| line["revision ".len()..].parse().ok())
            .max();

        let mut store = SqliteStore::open(dir.path()).unwrap();
        let stored = store.load().unwrap();
        let least: u64 = durable.unwrap_or(revision);
        assert!(
            (least..=least + 1).contains(&stored.revision),
            "{least}: {}",
            stored.revision
        );
        assert!(
            stored.state == expected(stored.revision),
            "revision {}",
            stored.revision
        );
        revision = stored.revision;
        let oldest = revisions(&store, usize::MAX)
            .last()
            .map_or(0, |last| last.revision);
        assert!(
            store.state_at(oldest).unwrap() == expected(oldest),
            "revision {oldest}"
        );
    }
    assert!(revision >= 20, "only {revision} commits in all rounds");
}
