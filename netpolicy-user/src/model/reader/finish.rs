//! The end of a list: what repeats is found, and the rules become a [`RuleList`].

use ipnet::IpNet;

use super::{ListReader, Spot, is_tolerant, place};
use crate::model::error::{ModelError, Problem};
use crate::model::{Rule, RuleList};

impl ListReader<'_> {
    /// The list; duplicates are reported. Worth nothing if the report has errors.
    pub(in crate::model) fn finish(mut self) -> RuleList {
        let dropped = self.duplicates();
        self.without(dropped)
    }

    /// The list without the rules at these indices, which ascend.
    fn without(mut self, dropped: Vec<usize>) -> RuleList {
        if !dropped.is_empty() {
            let mut dropped = dropped.into_iter().peekable();
            let mut index = 0;
            self.rules.retain(|_| {
                let keep = dropped.next_if_eq(&index).is_none();
                index += 1;
                keep
            });
        }
        self.rules.shrink_to_fit();
        let sources = self.sources.into_iter().map(|(name, _)| name).collect();
        RuleList::from_parts(self.rules, sources)
    }

    /// Reports rules that mean the same as an earlier one. Gives the indices of those
    /// to leave out: from tolerant sources, and pieces of ranges, since ranges may
    /// overlap with anything as CIDRs may.
    fn duplicates(&mut self) -> Vec<usize> {
        let mut dropped = Vec::new();
        let mut repeated = Vec::new();
        for group in equal_groups(&self.rules) {
            let is_piece = |index: &usize| self.pieces.binary_search(index).is_ok();
            let first = group
                .iter()
                .find(|index| !is_piece(index))
                .unwrap_or(&group[0]);
            for index in group.iter().filter(|&index| index != first) {
                if is_piece(index) || self.removing {
                    dropped.push(*index);
                } else {
                    repeated.push((*index, *first));
                }
            }
        }
        repeated.sort_unstable();
        for (index, first) in repeated {
            let (rule, first) = (&self.rules[index], &self.rules[first]);
            let error = || {
                let at = |rule: &Rule| {
                    place(
                        &self.sources,
                        Spot {
                            source: rule.source,
                            line: rule.line,
                            column: 0,
                        },
                    )
                };
                let problem = Problem::Duplicate {
                    other_file: rule.source != first.source && rule.line > 0 && first.line > 0,
                    text: rule.text().into_owned(),
                    first_text: first.text().into_owned(),
                    first: Some(at(first)),
                };
                ModelError {
                    place: Some(at(rule)),
                    problem,
                }
            };
            if is_tolerant(&self.sources, rule.source) {
                self.report.skipped(error);
                dropped.push(index);
            } else {
                self.report.push(error());
            }
        }
        dropped.sort_unstable();
        dropped
    }

    /// As [`Self::finish`], for rules that are to be added to the list of a policy:
    /// one that is there is reported, and a piece of a range that is there left out.
    pub(in crate::model) fn finish_beside(mut self, policy: &str, existing: &RuleList) -> RuleList {
        let mut order: Vec<(IpNet, usize)> = self
            .rules
            .iter()
            .enumerate()
            .map(|(index, rule)| (rule.net, index))
            .collect();
        order.sort_unstable();
        let mut there = Vec::new();
        for rule in existing.iter() {
            let from = order.partition_point(|(net, _)| *net < rule.net);
            let equal = order[from..].iter().take_while(|(net, _)| *net == rule.net);
            there.extend(equal.map(|&(_, index)| (index, rule)));
        }
        there.sort_unstable_by_key(|(index, _)| *index);
        let mut dropped = Vec::new();
        for (index, first) in there {
            let rule = &self.rules[index];
            if self.pieces.binary_search(&index).is_ok() {
                dropped.push(index);
                continue;
            }
            let spot = Spot {
                source: rule.source,
                line: rule.line,
                column: 0,
            };
            let error = || ModelError {
                place: Some(place(&self.sources, spot)),
                problem: Problem::AlreadyThere {
                    text: rule.text().into_owned(),
                    list: self.kind,
                    policy: policy.to_owned(),
                    first: existing.place(first),
                },
            };
            if is_tolerant(&self.sources, rule.source) {
                self.report.skipped(error);
                dropped.push(index);
            } else {
                self.report.push(error());
            }
        }
        dropped.extend(self.duplicates());
        dropped.sort_unstable();
        dropped.dedup();
        self.without(dropped)
    }
}

/// Indices of rules with equal networks, ascending within each group.
fn equal_groups(rules: &[Rule]) -> Vec<Vec<usize>> {
    // Lists that come sorted, as many do, have no duplicates to look for.
    if rules.is_sorted_by(|a, b| a.net < b.net) {
        return Vec::new();
    }
    // Sorting small keys of one family is several times faster than sorting rules.
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for (index, rule) in rules.iter().enumerate() {
        match rule.net {
            IpNet::V4(net) => {
                v4.push((
                    u64::from(u32::from(net.addr())) << 8 | u64::from(net.prefix_len()),
                    index,
                ));
            }
            IpNet::V6(net) => v6.push(((u128::from(net.addr()), net.prefix_len()), index)),
        }
    }
    let mut groups = Vec::new();
    groups_of(&mut v4, &mut groups);
    groups_of(&mut v6, &mut groups);
    groups
}

fn groups_of<K: Ord>(keys: &mut [(K, usize)], groups: &mut Vec<Vec<usize>>) {
    keys.sort_unstable();
    let equal = keys
        .chunk_by(|a, b| a.0 == b.0)
        .filter(|group| group.len() > 1);
    groups.extend(equal.map(|group| group.iter().map(|(_, index)| *index).collect()));
}
