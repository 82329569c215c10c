//! Rules with an end: which ends there are, and a state without what is over.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;

use super::{AllowPart, ListKind, Rule, RuleList, State};

/// Ended rules that are named one by one.
const SHOWN: usize = 3;

/// Rules that were taken out of a state because their end was over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndedRules {
    /// How many there were.
    pub count: usize,
    /// The first of them: "block 203.0.113.9 of policy 'office'".
    shown: Vec<String>,
}

impl EndedRules {
    fn add(&mut self, what: &str, of: &str, rules: &[Rule]) {
        self.count += rules.len();
        let room = SHOWN - self.shown.len().min(SHOWN);
        for rule in rules.iter().take(room) {
            self.shown.push(format!("{what} {} of {of}", rule.text()));
        }
    }

    /// The first ones by name, and how many more there are.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = self.shown.join(", ");
        let more = self.count - self.shown.len();
        if more > 0 {
            words.push_str(&format!(" and {more} more"));
        }
        words
    }
}

impl State {
    /// Whether any rule ends.
    #[must_use]
    pub fn has_rule_ends(&self) -> bool {
        self.each_end().next().is_some()
    }

    /// The instants at which rules end, each once.
    #[must_use]
    pub fn rule_ends(&self) -> BTreeSet<Timestamp> {
        self.each_end().collect()
    }

    /// The instants at which rules end whose network has one of these addresses.
    #[must_use]
    pub fn rule_ends_about(&self, addresses: &[IpAddr]) -> BTreeSet<Timestamp> {
        let rules = self.each_list().flat_map(RuleList::ending);
        let about = rules.filter(|rule| is_about(rule, addresses));
        about.filter_map(Rule::expires).collect()
    }

    /// The state with those rules only whose network has one of these addresses: these are
    /// judged as before, and soon.
    #[must_use]
    pub fn about(&self, addresses: &[IpAddr]) -> Self {
        let mut state = self.clone();
        let keep = |list: &mut RuleList| list.retain(|rule| is_about(rule, addresses));
        for policy in &mut state.policies {
            if let AllowPart::Only(list) = &mut policy.allow {
                keep(list);
            }
            keep(&mut policy.block);
            keep(&mut policy.except);
        }
        for list in &mut state.lists {
            keep(&mut list.entries);
            keep(&mut list.every);
        }
        state
    }

    fn each_end(&self) -> impl Iterator<Item = Timestamp> {
        self.each_list().flat_map(RuleList::ends)
    }

    fn each_list(&self) -> impl Iterator<Item = &RuleList> {
        let own = self.policies.iter().flat_map(|policy| {
            let lists = ListKind::ALL.into_iter();
            lists.filter_map(|kind| policy.rules(kind))
        });
        let named = self.lists.iter();
        let named = named.flat_map(|list| [&list.entries, &list.every]);
        own.chain(named)
    }

    /// Takes away the rules whose end is over. An allow list that loses its last rule stays, and
    /// allows no source.
    pub fn end_rules(&mut self, now: Timestamp, is_over: &dyn Fn(Timestamp) -> bool) -> EndedRules {
        let mut ended = EndedRules::default();
        for policy in &mut self.policies {
            let of = format!("policy '{}'", policy.name);
            let mut allowed = match &mut policy.allow {
                AllowPart::Any => None,
                AllowPart::Only(list) => Some(list),
            };
            let lists = [
                (ListKind::Allow, allowed.take()),
                (ListKind::Block, Some(&mut policy.block)),
                (ListKind::Except, Some(&mut policy.except)),
            ];
            let before = ended.count;
            for (kind, list) in lists {
                let rules = list.map(|list| list.take_ended(is_over));
                ended.add(&kind.to_string(), &of, &rules.unwrap_or_default());
            }
            if ended.count > before {
                policy.altered = now;
            }
        }
        for list in &mut self.lists {
            let of = format!("list {}", list.reference());
            let before = ended.count;
            for entries in [&mut list.entries, &mut list.every] {
                ended.add("entry", &of, &entries.take_ended(is_over));
            }
            if ended.count > before {
                list.altered = now;
            }
        }
        ended
    }
}

fn is_about(rule: &Rule, addresses: &[IpAddr]) -> bool {
    addresses.iter().any(|address| rule.net.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::change::{Change, SourceText};
    use crate::model::{ChangeContext, Limits};

    const EARLY: &str = "2030-01-31T12:00:00Z";
    const LATE: &str = "2030-01-31T13:00:00Z";

    fn state(text: &str) -> State {
        let change = Change::Apply {
            file: SourceText {
                name: "p.toml".into(),
                text: text.into(),
            },
            lists: Vec::new(),
            skip_invalid: false,
            allow_empty: false,
            keep_others: false,
        };
        let cx = ChangeContext {
            now: Timestamp::UNIX_EPOCH,
            actor: "root",
            limits: Limits::default(),
            force: false,
        };
        State::empty().apply_all(&[change], &cx).unwrap().state
    }

    #[test]
    fn rules_end_on_every_side_and_in_named_lists_and_others_stay() {
        let mut state = state(&format!(
            r#"
[[list]]
name = "guests"
entries = ["192.0.2.1", {{ address = "192.0.2.2", expires = "{EARLY}" }}]
[[policy]]
name = "office"
allow = [{{ address = "10.0.0.1", expires = {EARLY} }}]
block = [{{ address = "10.0.0.2", expires = "{LATE}" }}, "10.0.0.3"]
except = [{{ address = "10.0.0.4", name = "n", comment = "c", expires = "{EARLY}" }}]
"#
        ));
        let end = |text: &str| text.parse::<Timestamp>().unwrap();
        let ends: Vec<_> = state.rule_ends().into_iter().collect();
        assert_eq!(ends, [end(EARLY), end(LATE)]);
        let before = state.clone();
        let is_over = |at: Timestamp| at < end(EARLY);
        assert_eq!(state.end_rules(end(LATE), &is_over).count, 0);
        assert_eq!(state, before);

        let is_over = |at: Timestamp| at <= end(EARLY);
        let ended = state.end_rules(end(LATE), &is_over);
        assert_eq!(ended.count, 3);
        assert_eq!(
            ended.in_words(),
            "allow 10.0.0.1 of policy 'office', except 10.0.0.4 of policy 'office', entry 192.0.2.2 \
             of list @guests"
        );
        let policy = &state.policies[0];
        assert_eq!(policy.allow, AllowPart::Only(RuleList::default()));
        assert_eq!(policy.block.len(), 2);
        assert!(policy.except.is_empty());
        assert_eq!(policy.altered, end(LATE));
        assert_eq!(state.lists[0].entries.len(), 1);
        assert_eq!(
            state.rule_ends().into_iter().collect::<Vec<_>>(),
            [end(LATE)]
        );
    }

    #[test]
    fn end_of_one_rule_of_many_leaves_the_other_chunks() {
        let rules: Vec<_> = (0..50_000)
            .map(|i| format!("\"{}\"", std::net::Ipv4Addr::from(0x0a00_0000_u32 + i)))
            .collect();
        let mut state = state(&format!(
            "[[policy]]\nname = \"office\"\nblock = [{}, {{ address = \"192.0.2.1\", expires = \"{EARLY}\" }}]",
            rules.join(", ")
        ));
        let before = state.policies[0].block.clone();
        let ended = state.end_rules(Timestamp::UNIX_EPOCH, &|_| true);
        assert_eq!(ended.count, 1);
        let after = &state.policies[0].block;
        assert_eq!(after.len(), 50_000);
        let (ours, theirs) = before.differing_chunks(after);
        assert!(ours.len() <= 1 && theirs.len() <= 1);
    }
}
