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
    Err(AgentError::Lockout {
        address,
        scope,
        policy: policy.map(|policy| policy.name.to_string()),
        why: explanation.sentence(new.state),
    })
}

#[cfg(test)]
mod tests {
    use crate::agent::access::{OperatorOrigin, Requester};
    use crate::agent::change::ChangeOptions;
    use crate::agent::error::AgentError;
    use crate::agent::testing::{Bench, PLAIN, ROOT, add_service, create};
    use crate::model::Change;

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
