//! Unconfirmed changes under clocks that are set.

use std::time::Duration;

use crate::agent::change::ChangeOptions;
use crate::agent::testing::{Bench, PLAIN, ROOT, create};

const MINUTE: Duration = Duration::from_secs(60);

/// A bench whose first change waits for a minute.
fn waiting() -> Bench {
    let mut bench = Bench::new();
    let options = ChangeOptions {
        confirm_within: Some(MINUTE),
        ..PLAIN
    };
    let change = create("abuse", &[], &["203.0.113.0/24"]);
    let changed = bench.writer.change(change, ROOT, options).unwrap();
    let deadline = changed.pending.unwrap().deadline;
    let now = bench.snapshot().clock.wall();
    assert_eq!(deadline.duration_since(now).as_secs(), 60);
    bench
}

fn policies(bench: &Bench) -> usize {
    bench.snapshot().state.policies.len()
}

#[test]
fn unconfirmed_change_rolls_back_by_the_boot_clock() {
    for step in [86_400, -86_400] {
        for restart in [false, true] {
            let mut bench = waiting();
            bench.clock.pass(MINUTE / 2);
            bench.clock.set_wall(step);
            if restart {
                bench = bench.restart(&["eth7"]);
            }
            bench.writer.reconcile();
            assert_eq!(policies(&bench), 1, "{step} {restart}");
            let deadline = bench.writer.pending_view().unwrap().deadline;
            let now = bench.snapshot().clock.wall();
            assert_eq!(
                deadline.duration_since(now).as_secs(),
                30,
                "{step} {restart}"
            );

            bench.clock.pass(MINUTE / 2);
            bench.writer.reconcile();
            assert_eq!(policies(&bench), 0, "{step} {restart}");
            assert!(bench.snapshot().pending.is_none());
        }
    }
}

#[test]
fn after_a_reboot_an_unconfirmed_change_waits_for_the_smaller_of_wall_clock_and_whole() {
    let hour = Duration::from_secs(3600);
    // Off for ten seconds and up for ten; off for an hour; off with a clock that is set back.
    for (off, step, left) in [
        (Duration::from_secs(10), 0, Some(40)),
        (hour, 0, None),
        (hour, -86_400, Some(60)),
        (Duration::from_secs(10), 86_400, None),
    ] {
        let bench = waiting();
        bench.clock.reboot(off);
        bench.clock.set_wall(step);
        let bench = bench.restart(&["eth7"]);
        let waits = bench.snapshot().pending.clone();
        let remaining = waits.map(|waits| waits.remaining(bench.writer.now()).as_secs());
        assert_eq!(remaining, left, "{off:?} {step}");
        assert_eq!(policies(&bench), usize::from(left.is_some()));
        // Another start in the same boot prolongs nothing, whatever the wall clock says.
        bench.clock.pass(Duration::from_secs(20));
        bench.clock.set_wall(-7200);
        let bench = bench.restart(&["eth7"]);
        let waits = bench.snapshot().pending.clone();
        let remaining = waits.map(|waits| waits.remaining(bench.writer.now()).as_secs());
        assert_eq!(remaining, left.map(|left| left - 20), "{off:?} {step}");
    }
}
