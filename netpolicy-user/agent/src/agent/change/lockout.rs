//! Whether a change, or the end of a bypass, denies the operator's own address.

use std::net::IpAddr;

use netpolicy_common::{FAILSAFE_SCOPE, Reason};

use super::clients::Judge;
use crate::agent::access::OperatorOrigin;
use crate::agent::error::AgentError;
use crate::model::{AllowPart, explain};

/// Whether every address of the operator still gets in everywhere where it did.
///
/// One without an address has none to lose, and what comes over loopback is not filtered.
/// For each address it takes two look-ups for each scope; only a refusal looks at every rule.
///
/// # Errors
/// [`AgentError::Lockout`], with the first scope that the operator loses.
pub(in crate::agent) fn check_operator(
    judge: &Judge<'_>,
    origin: OperatorOrigin,
) -> Result<(), AgentError> {
    origin
        .judged()
        .try_for_each(|address| check(judge, address))
}

fn check(judge: &Judge<'_>, address: IpAddr) -> Result<(), AgentError> {
    let lost = |port: &u16| judge.denies_newly(address, *port);
    let Some(port) = judge.ports().into_iter().find(lost) else {
        return Ok(());
    };
    let new = judge.new;
    let explanation = explain(new.state, new.bypasses, judge.now, address, Some(port));
    let policies = || {
        let consulted = explanation.consulted.iter();
        consulted.filter_map(|&index| new.state.policies.get(index))
    };
    let policy = match (explanation.rule, explanation.reason) {
        (Some(rule), _) => new.state.policies.get(rule.policy),
        (None, Reason::NotAllowed) => {
            policies().find(|policy| matches!(policy.allow, AllowPart::Only(_)))
        }
        (None, _) => None,
    };
    let mut scope = judge.scope(port).1;
    let was = judge.old.rules.ports.get(usize::from(port));
    if was == Some(&FAILSAFE_SCOPE) {
        // Perhaps this port is the only one of the scope that the operator loses.
        scope += &format!(" (port {port}, no failsafe port any more)");
    }
    let (policy, why) = match judge.denying_ban(address, port) {
        Some(ban) => (None, ban),
        None => (
            policy.map(|policy| policy.name.to_string()),
            explanation.sentence(new.state),
        ),
    };
    Err(AgentError::Lockout {
        address,
        scope,
        policy,
        why,
    })
}

#[cfg(test)]
mod tests {
    use crate::agent::access::{OperatorOrigin, Requester};
    use crate::agent::bans::{BanJob, BanWork};
    use crate::agent::change::{ChangeOptions, Consent};
    use crate::agent::error::AgentError;
    use crate::agent::testing::{Bench, PLAIN, ROOT, add_service, create};
    use crate::api::{BanOutcome, BanRequest, BypassRequest};
    use crate::model::{Change, Mode};

    fn at(address: &str) -> Requester {
        Requester {
            origin: OperatorOrigin::Said(address.parse().unwrap()),
            ..ROOT
        }
    }

    #[track_caller]
    fn locks_out(bench: &mut Bench, change: Change, from: &str) -> (String, Option<String>) {
        bench.sockets();
        match bench.writer.change(change, at(from), PLAIN) {
            Err(AgentError::Lockout { scope, policy, .. }) => (scope, policy),
            other => panic!("{other:?}"),
        }
    }

    fn ports(name: &str, ports: &[&str]) -> Change {
        Change::AlterService {
            name: name.to_owned(),
            ports: Some(ports.iter().map(|&p| p.to_owned()).collect()),
            combine: None,
            mode: None,
            on_deny: None,
            comment: None,
        }
    }

    #[test]
    fn the_policy_that_denies_is_named_and_not_one_that_was_only_asked() {
        let mut bench = Bench::new();
        bench.sockets();
        bench
            .writer
            .change(create("abuse", &[], &["203.0.113.0/24"]), ROOT, PLAIN)
            .unwrap();
        let change = create("office", &["10.0.0.0/8"], &[]);
        let (scope, policy) = locks_out(&mut bench, change, "192.0.2.1");
        assert_eq!((&*scope, policy.as_deref()), ("host", Some("office")));
        // Nothing of it was made, and it is in the log.
        assert_eq!(bench.snapshot().revision, 1);
        let log = bench.audit_log(1);
        assert_eq!(log[0].from.as_deref(), Some("192.0.2.1"));
        assert!(log[0].errors[0].contains("lock you out"), "{log:?}");
    }

    #[test]
    fn a_single_port_that_moves_is_a_loss() {
        let mut bench = Bench::new();
        bench.sockets();
        bench
            .writer
            .change(add_service("postgres", "5432"), ROOT, PLAIN)
            .unwrap();
        let mut dba = create("dba", &["10.0.0.0/8"], &[]);
        let Change::CreatePolicy { services, .. } = &mut dba else {
            unreachable!()
        };
        services.push("postgres".to_owned());
        bench.writer.change(dba, ROOT, PLAIN).unwrap();
        let (scope, policy) = locks_out(
            &mut bench,
            ports("postgres", &["5432", "6432"]),
            "192.0.2.1",
        );
        assert_eq!((&*scope, policy.as_deref()), ("postgres", Some("dba")));
        // An operator who keeps access loses nothing.
        let requester = at("10.0.0.1");
        let change = ports("postgres", &["5432", "6432"]);
        bench.writer.change(change, requester, PLAIN).unwrap();
    }

    /// A bench with a service in observe mode, on which nothing is denied but by a ban.
    fn with_ban(source: &str) -> Bench {
        let mut bench = Bench::new();
        bench.sockets();
        let mut service = add_service("postgres", "5432");
        let Change::AddService { mode, .. } = &mut service else {
            unreachable!()
        };
        *mode = Mode::Observe;
        bench.writer.change(service, ROOT, PLAIN).unwrap();
        let host = Change::SetHost {
            mode: Some(Mode::Observe),
            on_deny: None,
            failsafe_ports: None,
        };
        bench.writer.change(host, ROOT, PLAIN).unwrap();
        ban(&mut bench, source);
        bench
    }

    fn ban(bench: &mut Bench, source: &str) {
        let ban = BanRequest {
            source: source.to_owned(),
            ..BanRequest::default()
        };
        let work = BanWork::Ban(vec![ban.into()]);
        let (job, mut answer) = BanJob::new(ROOT, work, Box::new(()));
        bench.writer.bans_now(vec![job]);
        let outcomes = answer.try_recv().unwrap().unwrap();
        assert_eq!(BanOutcome::from(&outcomes[0]).detail, None);
    }

    #[track_caller]
    fn locked_out_by_ban(error: &AgentError) {
        match error {
            AgentError::Lockout { policy, why, .. } => {
                assert!(why.starts_with("it is banned (203.0.113.0/24"), "{why}");
                assert_eq!(*policy, None);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn banned_operator_is_locked_out_by_a_failsafe_port_that_is_removed() {
        let mut bench = Bench::new();
        bench.sockets();
        ban(&mut bench, "203.0.113.0/24");
        let change = Change::SetHost {
            mode: None,
            on_deny: None,
            failsafe_ports: Some(Vec::new()),
        };
        let refused = bench.writer.change(change, at("203.0.113.1"), PLAIN);
        locked_out_by_ban(&refused.unwrap_err());
    }

    #[test]
    fn banned_operator_is_locked_out_when_a_scope_is_enforced() {
        let mut bench = with_ban("203.0.113.0/24");
        let host = Change::SetHost {
            mode: Some(Mode::Enforce),
            on_deny: None,
            failsafe_ports: None,
        };
        let mut service = ports("postgres", &["5432"]);
        let Change::AlterService { mode, .. } = &mut service else {
            unreachable!()
        };
        *mode = Some(Mode::Enforce);
        for change in [host, service] {
            let refused = bench
                .writer
                .change(change.clone(), at("203.0.113.1"), PLAIN);
            locked_out_by_ban(&refused.unwrap_err());
            // One who is not banned loses nothing, and one who was denied before neither.
            bench
                .writer
                .change(change, at("198.51.100.1"), PLAIN)
                .unwrap();
        }
        let change = create("abuse", &[], &["203.0.113.0/24"]);
        bench
            .writer
            .change(change, at("203.0.113.1"), PLAIN)
            .unwrap();
    }

    #[test]
    fn banned_operator_is_locked_out_when_the_bypass_is_revoked() {
        let mut bench = Bench::new();
        bench.sockets();
        ban(&mut bench, "203.0.113.0/24");
        let request = BypassRequest {
            source: "203.0.113.1".to_owned(),
            minutes: 30,
            service: None,
        };
        let granted = bench.writer.grant_bypass(&request, ROOT, Consent::Any);
        granted.unwrap();
        let mut revoke = |force| {
            let from = at("203.0.113.1");
            bench.writer.revoke_bypass("203.0.113.1", None, from, force)
        };
        locked_out_by_ban(&revoke(false).unwrap_err());
        revoke(true).unwrap();
    }

    #[test]
    fn loopback_is_not_filtered_and_force_is_force() {
        let mut bench = Bench::new();
        bench.sockets();
        for (name, from) in [("one", "127.0.0.1"), ("two", "::1")] {
            let change = create(name, &[], &["127.0.0.0/8", "::1"]);
            bench.writer.change(change, at(from), PLAIN).unwrap();
        }
        let change = || create("three", &["10.0.0.0/8"], &[]);
        locks_out(&mut bench, change(), "192.0.2.1");
        let force = ChangeOptions {
            force: true,
            ..PLAIN
        };
        let made = bench
            .writer
            .change(change(), at("192.0.2.1"), force)
            .unwrap();
        assert!(made.warnings[0].contains("--force"), "{made:?}");
    }
}
