//! What the ends of rules will deny the operator: the agent ends rules without anyone to ask, so
//! whoever makes a change is told beforehand.

use std::net::IpAddr;

use jiff::Timestamp;
use netpolicy_common::Action;

use super::clients::{Judge, Side};
use crate::agent::access::OperatorOrigin;
use crate::model::{Explanation, State, explain};

/// Ends that are looked at, the earliest first.
const MOST_ENDS: usize = 16;

/// A warning for each address of the operator that gets in by `judge.new`, and will not when a
/// rule ends: with the first scope and the first end.
pub(in crate::agent) fn warnings(judge: &Judge<'_>, origin: OperatorOrigin) -> Vec<String> {
    let ends = judge.new.state.rule_ends();
    let mut addresses = origin.judged().peekable();
    if ends.is_empty() || addresses.peek().is_none() {
        return Vec::new();
    }
    let addresses: Vec<IpAddr> = addresses.collect();
    let now = |address, port| verdict(&judge.new, judge.new.state, judge.now, address, port);
    let mut left: Vec<(IpAddr, u16)> = Vec::new();
    for address in addresses {
        let ports = judge.ports().into_iter().map(|port| (address, port));
        left.extend(ports.filter(|(address, port)| !is_denial(&now(*address, *port))));
    }
    let mut said = Vec::new();
    for end in ends.into_iter().take(MOST_ENDS) {
        let mut state = State::clone(judge.new.state);
        state.end_rules(judge.now, &|other| other <= end);
        let mut found: Vec<(IpAddr, String)> = Vec::new();
        for (address, port) in &left {
            let explained = verdict(&judge.new, &state, end, *address, *port);
            if is_denial(&explained) && !found.iter().any(|(known, _)| known == address) {
                let scope = judge.scope(*port).1;
                let why = explained.sentence(&state);
                let text = format!(
                    "from {end} on, when a rule ends, {address} is denied on {scope}: {why}; \
                     that is your own address, and the agent ends rules without a question"
                );
                found.push((*address, text));
            }
        }
        left.retain(|(address, _)| !found.iter().any(|(known, _)| known == address));
        said.extend(found.into_iter().map(|(_, text)| text));
    }
    said
}

fn verdict(
    side: &Side<'_>,
    state: &State,
    at: Timestamp,
    address: IpAddr,
    port: u16,
) -> Explanation {
    explain(state, side.bypasses, at, address, Some(port))
}

fn is_denial(explained: &Explanation) -> bool {
    explained.reason.action() == Action::Drop
}

#[cfg(test)]
mod tests {
    use crate::agent::access::{OperatorOrigin, Requester};
    use crate::agent::testing::{Bench, PLAIN, ROOT, apply};

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
