//! A store that does not go on from what was in force last.

use std::sync::Arc;

use super::*;
use crate::agent::change::Consent;
use crate::agent::error::AgentError;
use crate::agent::testing::{Bench, DRY, PLAIN, ROOT, create, state_with_policy};
use crate::api::BypassRequest;
use crate::clock::testing::Hands;
use crate::compiler::Ruleset;
use crate::store::{Departure, RevisionMeta, SqliteStore};

const OLDER: StoreHold = StoreHold {
    kind: DepartureKind::Older,
    last: 7,
    keeps: true,
};

fn bypass(source: &str) -> BypassRequest {
    BypassRequest {
        source: source.to_owned(),
        minutes: 30,
        service: None,
    }
}

/// A writer whose store blocks 203.0.113.0/24, while the kernel enforces something later.
fn held(in_force: Ruleset) -> Bench {
    let mut bench = Bench::new();
    let first = create("first", &[], &["203.0.113.0/24"]);
    bench.writer.change(first, ROOT, PLAIN).unwrap();
    bench
        .writer
        .grant_bypass(&bypass("0.0.0.0/0"), ROOT, Consent::Any)
        .unwrap();
    bench.writer.hold(Some(OLDER));
    {
        let mut kernel = bench.kernel.lock();
        kernel.generation += 1;
        kernel.live = Some(Arc::new(in_force));
        kernel.bypasses.clear();
    }
    bench.kernel.journal();
    bench
}

#[test]
fn held_store_takes_no_change_and_comes_into_force_only_when_it_is_acknowledged() {
    let mut bench = held(compile(&state_with_policy("later", &[], &["10.0.0.0/8"])));
    bench.writer.reconcile();
    let journal = bench.kernel.journal();
    assert_eq!(journal, Vec::<String>::new(), "nothing is repaired");
    let faults = bench.snapshot().faults.join("\n");
    assert!(
        faults.contains("holds revision 1, and revision 7 was put in force"),
        "{faults}"
    );
    let second = || create("second", &[], &["198.51.100.0/24"]);
    let error = bench.writer.change(second(), ROOT, PLAIN).unwrap_err();
    assert!(matches!(error, AgentError::HeldStore { .. }), "{error}");
    bench.writer.change(second(), ROOT, DRY).unwrap();
    let refused = bench
        .writer
        .grant_bypass(&bypass("10.0.0.2"), ROOT, Consent::Any);
    assert!(refused.is_err());
    assert!(bench.writer.verify_all().is_err());

    bench.kernel.journal();
    let done = bench.writer.acknowledge(ROOT, Consent::Any, false).unwrap();
    assert_eq!((done.revision, done.before), (1, 7));
    // In force before it is noted as the one in use: killed between, it is held again.
    assert_eq!(
        bench.kernel.journal(),
        [
            "distrust",
            "prepare",
            "flip",
            "adopt",
            "bypasses 1",
            "ready 0",
            "bans"
        ]
    );
    assert_eq!(bench.snapshot().faults, Vec::<String>::new());
    bench.writer.change(second(), ROOT, PLAIN).unwrap();
    assert!(matches!(
        bench.writer.acknowledge(ROOT, Consent::Any, false),
        Err(AgentError::NotHeld)
    ));
}

#[test]
fn acknowledgement_requires_consent_to_what_rules_and_bypasses_open() {
    let mut bench = held(Ruleset::closed());
    let look = bench.writer.acknowledge(ROOT, Consent::Nothing, true);
    let opens = look.unwrap().opens.unwrap();
    assert_eq!(opens.sentence(), "opens the host to every source");
    let refused = bench.writer.acknowledge(ROOT, Consent::Nothing, false);
    assert!(matches!(refused, Err(AgentError::Opens { .. })));
    bench.writer.publish();
    assert!(bench.snapshot().held.is_some());
    let key = u64::from_str_radix(&opens.key, 16).unwrap();
    let other = bench.writer.acknowledge(ROOT, Consent::To(key ^ 1), false);
    assert!(matches!(other, Err(AgentError::Opens { .. })));
    bench.kernel.journal();
    bench
        .writer
        .acknowledge(ROOT, Consent::To(key), false)
        .unwrap();
    assert!(bench.kernel.journal().contains(&"flip".to_owned()));
    let audit = bench.audit_log(1);
    assert!(
        audit[0].changes.concat().contains("(with consent)"),
        "{audit:?}"
    );
}

#[test]
fn acknowledgement_that_opens_nothing_requires_no_consent() {
    let mut bench = held(compile(&state_with_policy("later", &[], &["203.0.0.0/8"])));
    let later = bench.writer.now() + jiff::SignedDuration::from_hours(1);
    bench.writer.drop_expired_bypasses(later);
    let look = bench.writer.acknowledge(ROOT, Consent::Nothing, true);
    assert_eq!(look.unwrap().opens, None);
    bench
        .writer
        .acknowledge(ROOT, Consent::Nothing, false)
        .unwrap();
}

#[test]
fn held_store_that_is_in_force_for_want_of_another_is_kept_in_force() {
    let mut bench = held(compile(&state_with_policy("later", &[], &["10.0.0.0/8"])));
    bench.writer.hold(Some(StoreHold {
        keeps: false,
        ..OLDER
    }));
    bench.writer.reconcile();
    assert!(bench.kernel.journal().contains(&"flip".to_owned()));
    let faults = bench.snapshot().faults.join("\n");
    assert!(
        faults.contains("revision 1 is enforced for want"),
        "{faults}"
    );
    // Its bypasses may have been revoked.
    assert!(bench.kernel.lock().bypasses.is_empty());
    bench.kernel.lock().unpinned = true;
    bench.writer.reconcile();
    assert!(bench.snapshot().held.is_some());
}

/// What the start finds of a store with two revisions.
fn found(
    departure: Option<Departure>,
    is_restored: bool,
    enforced: Option<(u64, [u8; 32], bool)>,
) -> Option<StoreHold> {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open_with(dir.path(), Hands::new().clock()).unwrap();
    for name in ["first", "second"] {
        let by = RevisionMeta {
            created: jiff::Timestamp::UNIX_EPOCH,
            actor: "root".into(),
            action: "test".into(),
        };
        let state = state_with_policy(name, &[name_to_net(name)], &[]);
        store.commit(&state, &by).unwrap();
    }
    let stored = Stored {
        departure,
        restored: is_restored,
        ..store.load().unwrap()
    };
    let enforced = enforced.map(|(revision, digest, is_own_program)| Enforced {
        generation: 9,
        revision,
        entries: 1,
        digest,
        abi: 1,
        engine: Some(netpolicy_common::Engine::Flat),
        is_own_program,
    });
    at_start(&mut store, &stored, &digest("second"), enforced.as_ref()).unwrap()
}

fn name_to_net(name: &str) -> &'static str {
    match name {
        "first" => "10.1.0.0/16",
        _ => "10.2.0.0/16",
    }
}

fn digest(name: &str) -> [u8; 32] {
    compile(&state_with_policy(name, &[name_to_net(name)], &[])).digest()
}

#[test]
fn start_holds_a_store_by_what_is_in_force_and_by_what_was_recorded() {
    let other = [7; 32];
    let departed = |kind, last| Some(Departure { kind, last });
    let held = |kind, last, keeps| Some(StoreHold { kind, last, keeps });
    use DepartureKind::{Diverged, Older};
    let cases = [
        // Nothing is in force, nothing was recorded.
        (None, None, None),
        // All is as it was; names were changed; killed before the flip.
        (None, Some((2, digest("second"), true)), None),
        (None, Some((1, digest("second"), true)), None),
        (None, Some((1, digest("first"), true)), None),
        // Later rules are in force.
        (None, Some((3, other, true)), held(Older, 3, true)),
        (
            None,
            Some((3, digest("second"), true)),
            held(Older, 3, false),
        ),
        // Other rules are, of the same number or a number that the store has too.
        (None, Some((2, other, true)), held(Diverged, 2, true)),
        (None, Some((1, other, true)), held(Diverged, 1, true)),
        // Compiled by another version.
        (None, Some((2, other, false)), None),
        // A reboot: only the record is left.
        (departed(Older, 5), None, held(Older, 5, false)),
        (departed(Diverged, 2), None, held(Diverged, 2, false)),
        // Both; the later one counts.
        (
            departed(Older, 5),
            Some((3, other, true)),
            held(Older, 5, true),
        ),
        (
            departed(Diverged, 1),
            Some((3, other, true)),
            held(Older, 3, true),
        ),
    ];
    for (departure, enforced, expected) in cases {
        let got = found(departure, false, enforced);
        assert_eq!(got, expected, "{departure:?} {enforced:?}");
        // A restored backup is meant.
        assert_eq!(found(departure, true, enforced), None);
    }
}
