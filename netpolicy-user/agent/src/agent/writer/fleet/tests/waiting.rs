//! What is known of the fleet while a change waits for its confirmation, and after it.

use std::time::Duration;

use super::operator::{SigningOperator, state};
use super::{BRANCH, OFFICE, overriding};
use crate::agent::change::{ChangeOptions, Proposal};
use crate::agent::fleet;
use crate::agent::testing::{Bench, PLAIN, ROOT, create};
use crate::model::Change;

const WAITING: ChangeOptions = ChangeOptions {
    confirm_within: Some(Duration::from_secs(60)),
    ..PLAIN
};

impl Bench {
    fn set_failsafe(&mut self, ports: &[&str]) {
        let change = Change::SetHost {
            mode: None,
            on_deny: None,
            failsafe_ports: Some(ports.iter().map(|&port| port.to_owned()).collect()),
        };
        self.writer.change(change, ROOT, PLAIN).unwrap();
    }

    fn is_outdated(&self) -> bool {
        let snapshot = self.snapshot();
        fleet::is_outdated(&snapshot.fleets, &snapshot.state)
    }

    fn let_expire(&mut self) {
        self.clock.pass(Duration::from_secs(61));
        self.writer.roll_back_unconfirmed();
    }

    fn roll_back(&mut self, revision: u64, options: ChangeOptions) {
        let back = Proposal::Rollback { revision };
        self.writer.change(back, ROOT, options).unwrap();
    }
}

#[test]
fn what_was_left_out_is_bound_once_the_host_has_it_and_waits_for_its_confirmation() {
    let mut bench = Bench::new();
    let mut operator = SigningOperator::new(&bench);
    bench.set_failsafe(&["22", "5432"]);
    let root = bench.hand_over(&state(OFFICE));
    bench.put(&operator.push(1, &root)).unwrap();
    bench.writer.confirm(ROOT).unwrap();
    let told = bench.fleet().faults.join("\n");
    assert!(told.contains("once the host has it"), "{told}");
    assert!(!bench.is_outdated());
    bench.set_failsafe(&["22"]);
    for stays in [false, true] {
        assert!(bench.is_outdated());
        let changed = bench.put(&operator.push(1, &root)).unwrap();
        assert!(changed.pending.is_some());
        assert!(!bench.fleet().confirmed && !bench.is_outdated());
        assert_eq!(bench.writer.in_force().state.services.len(), 1);
        if stays {
            bench.writer.confirm(ROOT).unwrap();
        }
        bench.let_expire();
        let services = bench.writer.in_force().state.services.len();
        assert_eq!(services, usize::from(stays));
        assert_eq!(bench.fleet().faults.is_empty(), stays);
        assert_eq!((bench.at(), bench.fleet().confirmed), (Some(1), true));
    }
}

#[test]
fn what_was_handed_over_again_and_rolled_back_by_hand_is_not_asked_for_again() {
    let mut bench = Bench::new();
    let mut operator = SigningOperator::new(&bench);
    bench.set_failsafe(&["22", "5432"]);
    let root = bench.hand_over(&state(OFFICE));
    bench.put(&operator.push(1, &root)).unwrap();
    bench.writer.confirm(ROOT).unwrap();
    bench.set_failsafe(&["22"]);
    let before = bench.writer.in_force().revision;
    bench.put(&operator.push(1, &root)).unwrap();
    bench.roll_back(before, PLAIN);
    assert_eq!((bench.at(), bench.fleet().confirmed), (Some(1), true));
    assert!(!bench.is_outdated());
}

#[test]
fn override_is_known_again_when_its_rollback_is_not_confirmed() {
    let mut bench = Bench::new();
    let mut operator = SigningOperator::new(&bench);
    let root = bench.hand_over(&state(OFFICE));
    bench.put(&operator.push(1, &root)).unwrap();
    bench.writer.confirm(ROOT).unwrap();
    let own = bench.writer.in_force().revision;
    let local = create("local", &[], &["192.0.2.1"]);
    bench.writer.change(local, ROOT, overriding()).unwrap();
    let overridden = bench.fleet().local_override;
    assert!(overridden.is_some());
    bench.roll_back(own, WAITING);
    assert_eq!(bench.fleet().local_override, None);
    bench.let_expire();
    assert_eq!(bench.policies(), ["local", "office"]);
    assert_eq!(bench.fleet().local_override, overridden);
    // Undone by hand as well.
    let to = bench.writer.in_force().revision;
    bench.roll_back(own, WAITING);
    bench.roll_back(to, PLAIN);
    assert_eq!(bench.fleet().local_override, overridden);
    // Confirmed, it is over.
    bench.roll_back(own, WAITING);
    bench.writer.confirm(ROOT).unwrap();
    let bench = bench.restart(&["eth7"]);
    assert_eq!(bench.policies(), ["office"]);
    assert_eq!(bench.fleet().local_override, None);
}

#[test]
fn rollback_to_elsewhere_ends_the_revision_that_waits() {
    let mut bench = Bench::new();
    let mut operator = SigningOperator::new(&bench);
    let root = bench.hand_over(&state(OFFICE));
    bench.put(&operator.push(1, &root)).unwrap();
    bench.writer.confirm(ROOT).unwrap();
    let own = bench.writer.in_force().revision;
    bench.set_failsafe(&["22", "2222"]);
    let next = bench.hand_over(&state(BRANCH));
    bench.put(&operator.push(2, &next)).unwrap();
    bench.roll_back(own, PLAIN);
    let view = bench.fleet();
    assert_eq!((bench.at(), view.confirmed), (Some(1), true));
    assert_eq!(
        (bench.policies(), view.local_override),
        (vec!["office".to_owned()], None)
    );
    // What the fleet did not say there is a local change over the revision before.
    bench.put(&operator.push(2, &next)).unwrap();
    let back = Proposal::Rollback { revision: 0 };
    assert!(bench.writer.change(back, ROOT, PLAIN).is_err());
    assert!(!bench.fleet().confirmed);
    bench.roll_back(0, overriding());
    let view = bench.fleet();
    assert_eq!((bench.at(), view.confirmed), (Some(1), true));
    assert!(view.local_override.is_some());
    assert!(bench.writer.pending_view().is_none());
}
