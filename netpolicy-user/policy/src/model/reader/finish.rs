//! The end of a list: what repeats is found, and the rules become a [`RuleList`].

use ipnet::IpNet;

use super::equal::equal_groups;
use super::{ListReader, RuleSpot, is_tolerant, place};
use crate::model::error::{ModelError, Problem};
use crate::model::list::Cutter;
use crate::model::wording::OnList;
use crate::model::{Rule, RuleList};

impl ListReader<'_> {
    /// The list; duplicates are reported. Worth nothing if the report has errors.
    pub(in crate::model) fn finish(mut self) -> RuleList {
        let (list, shared) = self.gathered();
        let dropped = self.duplicates(&list, &shared);
        without(list, dropped)
    }

    /// The rules that were read, and for each of their chunks whether it is an earlier
    /// version's.
    fn gathered(&mut self) -> (RuleList, Vec<bool>) {
        if self.rules.len() == 0 {
            // References alone, or a file without an address, are no source of rules.
            return (RuleList::default(), Vec::new());
        }
        let sources = self.sources.iter().map(|(name, _)| name.clone()).collect();
        std::mem::take(&mut self.rules).into_list(sources)
    }

    /// Reports rules that mean the same as an earlier one. Gives the indices of those
    /// to leave out: from tolerant sources, and pieces of ranges, since ranges may
    /// overlap with anything as CIDRs may.
    fn duplicates(&mut self, list: &RuleList, shared: &[bool]) -> Vec<usize> {
        let mut dropped = Vec::new();
        let mut repeated = Vec::new();
        for group in equal_groups(list, shared) {
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
            let (rule, first) = (&list[index], &list[first]);
            let error = || {
                let at = |rule: &Rule| {
                    place(
                        &self.sources,
                        RuleSpot {
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

    /// As [`Self::finish`], for rules that are to be added to a list: of the policy `of`, or
    /// the named list of that name. Also those that are there with another name or comment, which
    /// are to have the new one. One that is there as it is is left out, with a warning.
    pub(in crate::model) fn finish_as_addition(
        mut self,
        of: &str,
        existing: &RuleList,
    ) -> (RuleList, Vec<Rule>) {
        let (list, shared) = self.gathered();
        let mut order: Vec<(IpNet, usize)> = list
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
        let mut noted = Vec::new();
        for (index, first) in there {
            let rule = &list[index];
            dropped.push(index);
            if let Some(renoted) = first.with_note_of(rule) {
                noted.push(renoted);
                continue;
            }
            if self.pieces.binary_search(&index).is_ok() {
                continue;
            }
            let spot = RuleSpot {
                source: rule.source,
                line: rule.line,
                column: 0,
            };
            let message = || {
                let at = place(&self.sources, spot);
                let first = existing.place(first);
                let first = first.map(|place| format!(" ({place})")).unwrap_or_default();
                let (text, on) = (rule.text(), OnList::new(self.kind, of));
                format!("{at}: '{text}' is on {on} already{first}: nothing to add")
            };
            self.report.unneeded(message);
        }
        dropped.extend(self.duplicates(&list, &shared));
        dropped.sort_unstable();
        dropped.dedup();
        (without(list, dropped), noted)
    }
}

/// The list without the rules at these indices, which ascend.
fn without(list: RuleList, dropped: Vec<usize>) -> RuleList {
    if dropped.is_empty() {
        return list;
    }
    let mut dropped = dropped.into_iter().peekable();
    let mut cutter = Cutter::default();
    for (index, rule) in list.iter().enumerate() {
        if dropped.next_if_eq(&index).is_none() {
            cutter.push(rule.clone());
        }
    }
    cutter.into_list(list.sources().to_vec()).0
}
