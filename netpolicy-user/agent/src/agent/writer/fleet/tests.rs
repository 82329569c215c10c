//! Revisions of a fleet that operators signed, and what is refused of them.

mod operator;
mod waiting;

use std::fs;
use std::time::Duration;

use self::operator::{SigningOperator, objects, state};
use crate::agent::access::{Caller, Requester};
use crate::agent::change::{ChangeOptions, Consent, Proposal};
use crate::agent::error::AgentError;
use crate::agent::fleet;
use crate::agent::testing::{Bench, DRY, PLAIN, ROOT, create};
use crate::api::{BypassRequest, Changed, ErrorCode, FleetView, PutRevision};
use crate::model::{Change, State};
use crate::store::{HandedOver, ObjectId, ObjectKind, references};

const OFFICE: &str = "[[service]]\nname = \"postgres\"\nports = [\"5432\"]\n\
                      [[policy]]\nname = \"office\"\nallow = [\"10.0.0.0/8\"]\nbind = [\"postgres\"]\n";
const BRANCH: &str = "[[service]]\nname = \"postgres\"\nports = [\"5432\"]\n\
                      [[policy]]\nname = \"branch\"\nallow = [\"10.0.0.0/8\", \"192.0.2.0/24\"]\n\
                      bind = [\"postgres\"]\n";

impl Bench {
    fn hand_over(&mut self, of: &State) -> ObjectId {
        let (root, objects) = objects(of);
        self.writer.take_objects(&objects, ROOT).unwrap();
        root
    }

    fn put(&mut self, request: &PutRevision) -> Result<Changed, AgentError> {
        self.writer.put_fleet_revision(request, ROOT)
    }

    fn refused(&mut self, request: &PutRevision) -> String {
        let before = self.writer.in_force().revision;
        let error = self.put(request).unwrap_err();
        assert_eq!(self.writer.in_force().revision, before, "{error}");
        error.to_string()
    }

    fn fleet(&self) -> FleetView {
        let snapshot = self.snapshot();
        let member = fleet::read(&self.dir.path().join("fleet.toml"));
        let pending = snapshot.pending.as_ref();
        snapshot
            .fleets
            .view(member.as_ref(), pending, &snapshot.clock)
    }

    fn at(&self) -> Option<u64> {
        self.fleet().at.map(|pin| pin.revision)
    }

    fn policies(&self) -> Vec<String> {
        let state = &self.writer.in_force().state;
        let names = state.policies.iter().map(|policy| policy.name.to_string());
        names.collect()
    }
}

fn overriding() -> ChangeOptions {
    ChangeOptions {
        local_override: true,
        ..PLAIN
    }
}

#[test]
fn signed_revision_is_in_force_once_and_stays_when_it_is_confirmed() {
    let mut bench = Bench::new();
    let mut operator = SigningOperator::new(&bench);
    let (root, all) = objects(&state(OFFICE));
    let ids: Vec<_> = all.iter().map(|object| object.id).collect();
    let missing = bench.writer.missing_objects(&ids, ROOT).unwrap();
    assert_eq!(missing, ids);
    let push = operator.push(7, &root);
    let error = bench.put(&push).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Incomplete, "{error}");
    bench.writer.take_objects(&all, ROOT).unwrap();
    let changed = bench.put(&push).unwrap();
    assert_eq!(changed.revision, 1);
    assert_eq!(changed.pending.unwrap().base, 0);
    let view = bench.fleet();
    assert_eq!(
        (view.fleet.as_deref(), view.host.as_deref()),
        (Some("prod"), Some("db-1"))
    );
    assert_eq!((bench.at(), view.confirmed), (Some(7), false));
    assert!(view.confirm_before.is_some());
    let entry = &bench.audit_log(1)[0];
    assert_eq!(entry.action, "fleet prod revision 7");
    assert!(
        entry.changes.contains(&"by alice: tighten".to_owned()),
        "{entry:?}"
    );

    // The same again changes nothing, and waits on.
    assert!(!bench.put(&push).unwrap().changed);
    assert!(!bench.fleet().confirmed);
    bench.writer.confirm(ROOT).unwrap();
    assert!(bench.fleet().confirmed);
    bench.clock.pass(Duration::from_secs(120));
    bench.writer.roll_back_unconfirmed();
    assert_eq!(bench.policies(), ["office"]);
    let mut bench = bench.restart(&["eth7"]);
    assert_eq!((bench.at(), bench.fleet().confirmed), (Some(7), true));

    // Records without a revision keep what was seen.
    let mut newer = operator.push(7, &root);
    newer.evidence.revision = None;
    assert!(!bench.put(&newer).unwrap().changed);
    assert_eq!(bench.fleet().counters.of("head"), 2);
    let told = bench.refused(&push);
    assert!(
        told.contains("head goes back: its counter is 1, 2 was seen"),
        "{told}"
    );
}

#[test]
fn forged_replayed_and_foreign_records_and_objects_are_refused() {
    let mut bench = Bench::new();
    let mut operator = SigningOperator::new(&bench);
    let root = bench.hand_over(&state(OFFICE));
    let other = bench.hand_over(&state(BRANCH));
    let good = operator.push(7, &root);
    let mut stranger = SigningOperator::stranger();
    let told = bench.refused(&stranger.push(8, &root));
    assert!(told.contains("signature is refused"), "{told}");
    // What one operator signed of a host is not for another.
    let told = bench.refused(&operator.push_with(8, &root, &[], &["db-2"]));
    assert!(
        told.contains("of another host: db-2, expected db-1"),
        "{told}"
    );
    // A revision that the head does not name.
    let mut swapped = operator.push(9, &other);
    swapped
        .evidence
        .revision
        .clone_from(&good.evidence.revision);
    let told = bench.refused(&swapped);
    assert!(
        told.contains("revision 7 was handed over, the records say 9"),
        "{told}"
    );
    let mut cut = good.clone();
    cut.evidence.head.truncate(100);
    assert!(bench.refused(&cut).contains("head is not a signed record"));

    bench.put(&good).unwrap();
    bench.writer.confirm(ROOT).unwrap();
    bench.put(&operator.push(9, &other)).unwrap();
    bench.writer.confirm(ROOT).unwrap();
    let told = bench.refused(&good);
    assert!(told.contains("goes back"), "{told}");
    assert_eq!(bench.policies(), ["branch"]);

    // No key, no trust.
    fs::remove_file(bench.dir.path().join("fleet.d/operator.pub")).unwrap();
    let told = bench.refused(&operator.push(10, &root));
    assert!(told.contains("no key is trusted"), "{told}");
    let refused = bench.audit_log(20);
    let refused = refused
        .iter()
        .filter(|entry| entry.action == "fleet revision");
    assert_eq!(refused.count(), 6);

    // A body that is no state is not one under any name.
    let body = b"{\"format\":99}".to_vec();
    let id = ObjectKind::State.id(&body);
    assert!(references(ObjectKind::State, &body).is_err());
    operator.trust(bench.dir.path());
    bench
        .writer
        .take_objects(&[HandedOver { id, body }], ROOT)
        .unwrap();
    let told = bench.refused(&operator.push(11, &id));
    assert!(told.contains("its format is 99"), "{told}");
}

#[test]
fn unconfirmed_revision_is_rolled_back_also_by_the_next_agent() {
    let mut bench = Bench::new();
    let mut operator = SigningOperator::new(&bench);
    let root = bench.hand_over(&state(OFFICE));
    bench.put(&operator.push(1, &root)).unwrap();
    bench.writer.confirm(ROOT).unwrap();
    let next = bench.hand_over(&state(BRANCH));
    let push = operator.push(2, &next);
    bench.put(&push).unwrap();
    bench.clock.pass(Duration::from_secs(61));
    bench.writer.roll_back_unconfirmed();
    assert_eq!(
        (bench.policies(), bench.at()),
        (vec!["office".to_owned()], Some(1))
    );
    let faults = bench.snapshot().faults.join("\n");
    assert!(faults.contains("revision 2 was rolled back"), "{faults}");
    assert_eq!(bench.fleet().counters.of("head"), 2, "what was seen stays");

    // Once more, since etcd may have been away; then not before something newer is signed, which
    // the audit log has once.
    bench.put(&push).unwrap();
    bench.clock.pass(Duration::from_secs(61));
    bench.writer.roll_back_unconfirmed();
    for _ in 0..2 {
        let told = bench.refused(&push);
        assert!(told.contains("revision 2 was rolled back"), "{told}");
    }
    let log = bench.audit_log(9);
    let refused = log.iter().filter(|entry| entry.action == "fleet revision");
    assert_eq!(refused.count(), 1, "{log:?}");
    let push = operator.push(2, &next);
    let mut counted = push.clone();
    counted.evidence.revision = None;
    bench.put(&counted).unwrap();
    bench.put(&push).unwrap();
    // The next one waits in its stead, for the same to go back to.
    let third = bench.hand_over(&state(&format!("{BRANCH}comment = \"x\"\n")));
    bench.put(&operator.push(3, &third)).unwrap();
    assert_eq!(bench.at(), Some(3));
    bench.clock.reboot(Duration::from_secs(600));
    let bench = bench.restart(&["eth7"]);
    assert_eq!(
        (bench.policies(), bench.at()),
        (vec!["office".to_owned()], Some(1))
    );
    assert!(bench.fleet().confirmed);
    assert!(
        bench
            .fleet()
            .faults
            .join("\n")
            .contains("revision 3 was rolled back")
    );
}

#[test]
fn local_change_is_refused_unless_it_overrides_and_that_is_reported() {
    let mut bench = Bench::new();
    let mut operator = SigningOperator::new(&bench);
    let root = bench.hand_over(&state(OFFICE));
    bench.put(&operator.push(1, &root)).unwrap();
    // The operator at the host may undo what waits.
    let back = Proposal::Rollback { revision: 0 };
    bench.writer.change(back, ROOT, PLAIN).unwrap();
    assert_eq!(bench.at(), None);
    bench.put(&operator.push(2, &root)).unwrap();
    bench.writer.confirm(ROOT).unwrap();
    let own = bench.writer.in_force().revision;

    let local = || create("local", &[], &["192.0.2.1"]);
    let error = bench.writer.change(local(), ROOT, PLAIN).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Fleet);
    assert!(error.to_string().contains("revision 2"), "{error}");
    assert!(error.hint().unwrap().contains("--local-override"));
    let tried = bench.writer.change(local(), ROOT, DRY).unwrap();
    assert!(
        tried
            .warnings
            .iter()
            .any(|warning| warning.contains("would be refused"))
    );
    // What is never the fleet's is changed as ever.
    let failsafe = Change::SetHost {
        mode: None,
        on_deny: None,
        failsafe_ports: Some(vec!["22".into(), "2222".into()]),
    };
    bench.writer.change(failsafe, ROOT, PLAIN).unwrap();

    let changed = bench.writer.change(local(), ROOT, overriding()).unwrap();
    assert!(
        changed
            .warnings
            .iter()
            .any(|warning| warning.contains("until the fleet's next"))
    );
    assert!(bench.fleet().local_override.is_some());
    let faults = bench.snapshot().faults.join("\n");
    assert!(
        faults.contains("root made a local change (policy create local)"),
        "{faults}"
    );
    let mut bench = bench.restart(&["eth7"]);
    assert!(bench.fleet().local_override.is_some());
    // To undo it is none.
    let back = Proposal::Rollback { revision: own + 1 };
    bench.writer.change(back, ROOT, PLAIN).unwrap();
    assert_eq!(bench.fleet().local_override, None);
    bench.writer.change(local(), ROOT, overriding()).unwrap();
    // The fleet's next revision takes its place, and leaves the failsafe ports.
    let next = bench.hand_over(&state(BRANCH));
    bench.put(&operator.push(3, &next)).unwrap();
    assert_eq!((bench.fleet().local_override, bench.at()), (None, Some(3)));
    assert_eq!(bench.policies(), ["branch"]);
    let ports = &bench.writer.in_force().state.host.failsafe_ports;
    assert_eq!(ports.to_string(), "22,2222");
    // Rolled back, the local change is there again, and says so.
    bench.clock.pass(Duration::from_secs(61));
    bench.writer.roll_back_unconfirmed();
    assert_eq!(bench.policies(), ["local", "office"]);
    assert!(bench.fleet().local_override.is_some());
}

#[test]
fn what_the_group_must_admit_is_judged_before_anything_changes() {
    let mut bench = Bench::new();
    let mut operator = SigningOperator::new(&bench);
    let root = bench.hand_over(&state(OFFICE));
    // What passes by a bypass alone is denied once that expires.
    let bypass = BypassRequest {
        source: "192.0.2.7".to_owned(),
        minutes: 30,
        service: None,
    };
    let granted = bench.writer.grant_bypass(&bypass, ROOT, Consent::Any);
    granted.unwrap();
    let told = bench.refused(&operator.push_with(1, &root, &["192.0.2.7:5432"], &[]));
    assert!(told.contains("would deny 192.0.2.7 on port 5432"), "{told}");
    let admitted = ["10.0.0.2:5432", "192.0.2.7:2379"];
    bench
        .put(&operator.push_with(1, &root, &admitted, &[]))
        .unwrap();
}

#[test]
fn only_who_may_hands_over_and_only_an_admin_leaves() {
    let mut bench = Bench::new();
    let mut operator = SigningOperator::new(&bench);
    let stranger = Requester {
        caller: Caller {
            uid: 3_999_999_999,
            gid: 3_999_999_999,
            pid: None,
            person: None,
        },
        ..ROOT
    };
    let (root, all) = objects(&state(OFFICE));
    let push = operator.push(1, &root);
    assert!(bench.writer.take_objects(&all, stranger).is_err());
    assert!(bench.writer.missing_objects(&[root], stranger).is_err());
    assert!(bench.writer.put_fleet_revision(&push, stranger).is_err());
    bench.writer.take_objects(&all, ROOT).unwrap();
    bench.put(&push).unwrap();
    bench.writer.confirm(ROOT).unwrap();
    assert!(bench.writer.leave_fleet(stranger).is_err());
    bench.writer.leave_fleet(ROOT).unwrap();
    assert_eq!(bench.policies(), ["office"]);
    bench
        .writer
        .change(create("local", &[], &["192.0.2.1"]), ROOT, PLAIN)
        .unwrap();
    // The counters stay: what was seen before is old for ever.
    let next = bench.hand_over(&state(BRANCH));
    bench.put(&operator.push(2, &next)).unwrap();
    bench.writer.confirm(ROOT).unwrap();
    let told = bench.refused(&push);
    assert!(told.contains("goes back"), "{told}");
}

#[test]
fn what_store_or_kernel_do_not_take_changes_nothing() {
    let mut bench = Bench::new();
    let mut operator = SigningOperator::new(&bench);
    let root = bench.hand_over(&state(OFFICE));
    let push = operator.push(1, &root);
    bench.kernel.lock().fail_commit = true;
    let told = bench.refused(&push);
    assert!(told.contains("could not be stored"), "{told}");
    assert_eq!(bench.at(), None);
    bench.kernel.lock().fail_commit = false;
    bench.put(&push).unwrap();
    assert_eq!(bench.at(), Some(1));
}
