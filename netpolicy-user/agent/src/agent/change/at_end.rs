//! What the ends of rules will deny the operator: the agent ends rules without anyone to ask, so
//! whoever makes a change is told beforehand.

use std::net::IpAddr;

use jiff::Timestamp;
use netpolicy_common::Action;

use super::clients::Judge;
use crate::agent::access::OperatorOrigin;
use crate::model::{State, evaluate, explain};

/// Ends that are looked at, the earliest first.
const MOST_ENDS: usize = 1024;

/// A warning for each address of the operator that gets in by the new rules, and will not when a
/// rule ends: with the first scope and the first end. Bypasses count on no side: they are for a
/// time as well.
///
/// Only a rule whose network has the address can matter, and most often none of those ends.
pub(in crate::agent) fn warnings(judge: &Judge<'_>, origin: OperatorOrigin) -> Vec<String> {
    let addresses = origin.judged().map(|address| address.to_canonical());
    let addresses: Vec<IpAddr> = addresses.collect();
    if addresses.is_empty() {
        return Vec::new();
    }
    let ends = judge.new.state.rule_ends_about(&addresses);
    if ends.is_empty() {
        return Vec::new();
    }
    let failsafe_ports = &judge.new.state.host.failsafe_ports;
    let mut ports = judge.ports();
    ports.retain(|port| !failsafe_ports.contains(*port));
    let passes = |address: IpAddr, port: &u16| {
        let (_, reason) = judge.new.rules.judge_port(*port, address);
        reason.action() != Action::Drop
    };
    let mut left: Vec<(IpAddr, Vec<u16>)> = addresses
        .iter()
        .map(|address| {
            let open = ports.iter().copied();
            (
                *address,
                open.filter(|port| passes(*address, port)).collect(),
            )
        })
        .collect();
    let mut about = judge.new.state.about(&addresses);
    let mut said = Vec::new();
    for (at, end) in ends.iter().enumerate() {
        if at == MOST_ENDS {
            let unknown = left.iter().map(|(address, _)| {
                format!(
                    "more than {MOST_ENDS} ends of rules are about your own address: whether \
                     one from {end} on denies {address} is not known"
                )
            });
            said.extend(unknown);
            break;
        }
        about.end_rules(judge.now, &|other| other <= *end);
        left.retain(|(address, ports)| {
            let lost = ports.iter().find(|port| denies(&about, *address, **port));
            said.extend(lost.map(|port| warning(judge, *address, *port, *end)));
            lost.is_none()
        });
        if left.is_empty() {
            break;
        }
    }
    said
}

fn denies(state: &State, address: IpAddr, port: u16) -> bool {
    let verdict = evaluate(state, state.service_of_port(port), address);
    verdict.reason.action() == Action::Drop
}

fn warning(judge: &Judge<'_>, address: IpAddr, port: u16, end: Timestamp) -> String {
    let mut state = State::clone(judge.new.state);
    state.end_rules(judge.now, &|other| other <= end);
    let why = explain(&state, &[], end, address, Some(port)).sentence(&state);
    let scope = judge.scope(port).1;
    format!(
        "from {end} on, when a rule ends, {address} is denied on {scope}: {why}; that is your own \
         address, and the agent ends rules without a question"
    )
}

#[cfg(test)]
mod tests {
    use crate::agent::access::{OperatorOrigin, Requester};
    use crate::agent::change::Consent;
    use crate::agent::testing::{Bench, PLAIN, ROOT, apply};
    use crate::api::BypassRequest;

    /// The warnings of ends of a change to one policy by an operator from an address.
    fn warned(bench: &mut Bench, allow: &str, from: &str) -> Vec<String> {
        let requester = Requester {
            origin: OperatorOrigin::Said(from.parse().unwrap()),
            ..ROOT
        };
        let file = apply(&format!(
            "[[policy]]\nname = \"office\"\nallow = [{allow}]\n"
        ));
        let changed = bench.writer.change(file, requester, PLAIN).unwrap();
        let said = changed.warnings.into_iter();
        said.filter(|said| said.starts_with("from ")).collect()
    }

    #[test]
    fn end_that_denies_the_operator_is_found_behind_many_others() {
        let mut bench = Bench::new();
        bench.sockets();
        let mut allow = String::new();
        // Ends of other networks, and of wider ones that leave one.
        for at in 0..40 {
            let ends = format!("expires = \"2100-01-31T12:00:{at:02}Z\"");
            allow += &format!("{{ address = \"198.51.100.{at}\", {ends} }}, ");
        }
        for length in 8..28 {
            let ends = format!("expires = \"2100-02-01T12:00:{length:02}Z\"");
            allow += &format!("{{ address = \"192.0.2.0/{length}\", {ends} }}, ");
        }
        let said = warned(&mut bench, &allow, "192.0.2.1");
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with("from 2100-02-01T12:00:27Z on"),
            "{said:?}"
        );
    }

    #[test]
    fn operator_that_only_a_bypass_lets_in_loses_nothing_by_an_end() {
        let mut bench = Bench::new();
        bench.sockets();
        let request = BypassRequest {
            source: "192.0.2.1".to_owned(),
            minutes: 30,
            service: None,
        };
        let granted = bench.writer.grant_bypass(&request, ROOT, Consent::Any);
        granted.unwrap();
        let block = "\"10.0.0.0/8\"]\nblock = [{ address = \"192.0.2.0/24\", \
                     expires = \"2100-01-31T12:00:00Z\" }";
        assert_eq!(warned(&mut bench, block, "192.0.2.1"), [""; 0]);
    }

    #[test]
    fn change_says_when_the_end_of_a_rule_will_deny_the_operator() {
        let mut bench = Bench::new();
        bench.sockets();
        let at = |address: &str| Requester {
            origin: OperatorOrigin::Said(address.parse().unwrap()),
            ..ROOT
        };
        let file = |more: &str| {
            apply(&format!(
                "[[policy]]\nname = \"office\"\nallow = [\"10.0.0.0/8\", \
                 {{ address = \"192.0.2.0/24\", expires = \"2100-01-31T12:00:00Z\" }}{more}]\n"
            ))
        };
        let mut warned = |more: &str, from: &str| {
            let changed = bench.writer.change(file(more), at(from), PLAIN).unwrap();
            changed
                .warnings
                .into_iter()
                .filter(|w| w.contains("ends"))
                .collect::<Vec<_>>()
        };
        let said = warned("", "192.0.2.1");
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with(
                "from 2100-01-31T12:00:00Z on, when a rule ends, 192.0.2.1 is denied on host: "
            ),
            "{said:?}"
        );
        assert!(warned(", \"192.0.2.1\"", "192.0.2.1").is_empty());
        let later = ", { address = \"192.0.2.1\", expires = \"2101-01-31T12:00:00Z\" }";
        assert!(warned(later, "192.0.2.1")[0].starts_with("from 2101-"));
        assert!(warned("", "10.0.0.1").is_empty());
    }
}
