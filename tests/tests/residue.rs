//! A database host leaves no namespace, pin, mount, file or process behind.

use std::time::{Duration, Instant};

use netpolicy_tests::{DatabaseHost, residue};

/// The only test of its process: what is left under the process's id is its own.
#[test]
fn a_dropped_host_leaves_nothing() {
    let prefix = format!("npt{}-", std::process::id());
    let host = DatabaseHost::start();
    host.ok("policy create office --block 10.66.0.0/16");
    assert!(
        residue::of(&prefix).len() >= 5,
        "the search finds what is there: {:?}",
        residue::of(&prefix)
    );
    drop(host);
    assert_eq!(wait_for_nothing(&prefix), Vec::<String>::new());

    // So also when a test fails while the agent runs.
    let failed = std::thread::spawn(|| {
        let host = DatabaseHost::start();
        host.ok("policy create office --block 10.66.0.0/16");
        let _session = host.session("10.0.0.1", 5432);
        panic!("on purpose");
    });
    assert!(failed.join().is_err());
    assert_eq!(wait_for_nothing(&prefix), Vec::<String>::new());

    // And of a process that was killed, the next one cleans up: its names carry a
    // process id that no longer exists.
    let dead = "npt4194999-0";
    std::fs::create_dir(netpolicy_tests::id::temp_dir(dead)).unwrap();
    netpolicy_tests::netns::run("ip", &["netns", "add", dead]);
    netpolicy_tests::id::sweep();
    assert_eq!(residue::of("npt4194999-"), Vec::<String>::new());
}

/// The kernel takes a moment to reap what was killed.
fn wait_for_nothing(prefix: &str) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let left = residue::of(prefix);
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
