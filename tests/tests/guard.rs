//! An unconfirmed change is rolled back although the agent is not started again.

use std::thread::sleep;
use std::time::Duration;

use netpolicy_tests::{DatabaseHost, Outcome};

const CLIENT: &str = "10.0.0.1";
const PORT: u16 = 8080;

/// The guard's own second, and some for a busy machine.
const LATE: Duration = Duration::from_secs(15);

#[test]
fn unconfirmed_change_is_rolled_back_although_the_agent_stays_dead() {
    let mut host = DatabaseHost::start();
    host.ok("policy create nobody --only --confirm-within 3s");
    host.kill_agent();
    host.assert_times_out(&[(CLIENT, PORT)]);
    let came_back = (0..LATE.as_secs()).any(|_| {
        sleep(Duration::from_secs(1));
        host.connect_briefly(CLIENT, PORT) == Outcome::Connected
    });
    assert!(came_back, "still denied");

    host.start_agent();
    let history = host.json("history");
    assert_eq!(history[0]["action"], "rollback 0: not confirmed");
    assert_eq!(history[0]["actor"], "agent");
    assert!(
        host.json("policy list")
            .as_array()
            .is_some_and(Vec::is_empty)
    );
}

#[test]
fn a_confirmed_change_stays_although_the_agent_was_killed() {
    let mut host = DatabaseHost::start();
    host.ok("policy create nobody --only --confirm-within 2s");
    host.ok("confirm");
    host.kill_agent();
    sleep(Duration::from_secs(5));
    host.assert_times_out(&[(CLIENT, PORT)]);
}
