//! A host's policies with many rules, as a file and as a state.

use std::fmt::Write;

use ipnet::IpNet;
use netpolicy_tests::{host::DatabaseHost, rules};
use netpolicy_user::model::{AllowPart, Rule, RuleList, State};

use crate::{
    lists::{self, Family, Kind},
    random::Random,
};

/// Rules in one list at the most, as by default.
const LIST: usize = 100_000;

/// Room that is left in a full list, for rules that are added one by one.
const ROOM: usize = 64;

/// Lists for this many rules: a block list, an allow list, and so on by turns, two to
/// a policy. One that is not alone in being full has a little less than the limit.
pub(crate) fn lists(entries: usize) -> Vec<Vec<IpNet>> {
    let mut random = Random(entries as u64);
    (0..entries.div_ceil(LIST))
        .map(|list| {
            let rules = (entries - list * LIST).min(LIST - ROOM);
            lists::list(Kind::Mix, Family::V4, rules, &mut random)
        })
        .collect()
}

/// The name of a policy.
pub(crate) fn policy(number: usize) -> String {
    format!("bench_{number}")
}

/// Writes lists and a policy file for them into a host's directory, and returns the
/// policy file's name.
pub(crate) fn write(host: &DatabaseHost, lists: &[Vec<IpNet>]) -> &'static str {
    let mut file = String::new();
    for (number, pair) in lists.chunks(2).enumerate() {
        let _ = writeln!(file, "[[policy]]\nname = \"{}\"", policy(number));
        for (kind, list) in ["block", "allow"].iter().zip(pair) {
            let name = format!("{kind}-{number}.txt");
            let _ = writeln!(file, "{kind}_file = [\"{name}\"]");
            let mut text = String::with_capacity(list.len() * 16);
            for net in list {
                let _ = writeln!(text, "{net}");
            }
            host.write(&name, text);
        }
    }
    host.write("policy.toml", file);
    "policy.toml"
}

/// The state that such a file describes.
pub(crate) fn state(lists: &[Vec<IpNet>]) -> State {
    let policies = lists.len().div_ceil(2);
    let changes: Vec<_> = (0..policies)
        .map(|number| rules::policy(&policy(number), None, &[], &[]))
        .collect();
    let mut state = rules::state(&changes);
    for (number, pair) in lists.chunks(2).enumerate() {
        let name = policy(number);
        let policy = state.policies.iter_mut().find(|p| p.name.as_str() == name);
        let policy = policy.expect("a policy made above");
        policy.block = list_of(&pair[0]);
        if let Some(allow) = pair.get(1) {
            policy.allow = AllowPart::Only(list_of(allow));
        }
    }
    state
}

/// A list of these networks.
pub(crate) fn list_of(nets: &[IpNet]) -> RuleList {
    let rules = nets
        .iter()
        .map(|net| Rule {
            net: *net,
            source: 0,
            line: 0,
            note: None,
        })
        .collect();
    RuleList::from_parts(rules, vec!["bench".into()])
}
