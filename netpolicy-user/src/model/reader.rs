//! Text to [`RuleList`]: list files and single items, with every error and its place.
//!
//! A list file holds an address, CIDR or range (`a-b`) a line, or several separated by
//! commas; `#` and `;` begin comments. Ranges become the CIDRs that they consist of.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::address::{self, Written, WrittenNet};
use super::change::{ListInput, SourceText};
use super::error::{Excerpt, ModelError, Place, Problem};
use super::evaluate::ListKind;
use super::report::{ModelErrors, Report};
use super::rule::{self, Note, Rule, Spelling};
use super::{MAX_COMMENT, RuleList};

/// Errors in one file after which the rest is not read: it is no address list.
const HOPELESS: usize = 1000;

/// How a list is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListOptions {
    /// Which list it is; a block list refuses `/0`.
    pub kind: ListKind,
    /// Rules that it may have.
    pub limit: usize,
    /// Leave out bad lines and duplicates, with a warning, instead of refusing.
    pub skip_invalid: bool,
}

/// Reads a list file. Also gives the warnings: host bits that were masked, and lines
/// that were left out.
///
/// # Errors
/// All that is wrong with it, each with line and column.
pub fn parse_list(
    source_name: &str,
    text: &str,
    options: &ListOptions,
) -> Result<(RuleList, Vec<String>), ModelErrors> {
    let mut report = Report::default();
    let mut reader = ListReader::new(options.kind, options.limit, &mut report);
    reader.file(source_name, text, options.skip_invalid);
    let list = reader.finish();
    Ok((list, report.finish()?))
}

/// Where a rule is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    /// From [`ListReader::source`].
    pub(super) source: u16,
    /// From 1; 0: the source has no lines.
    pub(super) line: u32,
    /// From 1; 0: not known.
    pub(super) column: u32,
}

/// Gathers one list from any number of files and items.
pub(super) struct ListReader<'r> {
    kind: ListKind,
    limit: usize,
    /// Whether the rules are to be taken away, not enforced.
    removing: bool,
    report: &'r mut Report,
    rules: Vec<Rule>,
    /// Names of sources, and whether their bad rules are left out.
    sources: Vec<(Box<str>, bool)>,
    /// Indices of the rules that ranges became, ascending.
    pieces: Vec<usize>,
    full: bool,
}

impl<'r> ListReader<'r> {
    pub(super) fn new(kind: ListKind, limit: usize, report: &'r mut Report) -> Self {
        Self {
            kind,
            limit,
            removing: false,
            report,
            rules: Vec::new(),
            sources: Vec::new(),
            pieces: Vec::new(),
            full: false,
        }
    }

    /// For rules that are to be taken away: what only matters when they are enforced
    /// is not checked.
    pub(super) fn removing(mut self) -> Self {
        self.removing = true;
        self
    }

    /// Reads all of `input`; `option` is what its items were given with.
    pub(super) fn input(&mut self, option: &str, input: &ListInput) {
        if !input.items.is_empty()
            && let Some(source) = self.source(option, false)
        {
            for item in &input.items {
                self.item(
                    Spot {
                        source,
                        line: 0,
                        column: 0,
                    },
                    item,
                    None,
                    None,
                );
            }
        }
        for SourceText { name, text } in &input.files {
            self.file(name, text, input.skip_invalid);
        }
    }

    /// For what is wrong beside the rules.
    pub(super) fn report(&mut self) -> &mut Report {
        self.report
    }

    /// Registers a source; `None`, with an error, if there are too many.
    pub(super) fn source(&mut self, name: &str, tolerant: bool) -> Option<u16> {
        let Ok(index) = u16::try_from(self.sources.len()) else {
            if !self.full {
                self.full = true;
                self.report.error_at(None, Problem::TooManySources);
            }
            return None;
        };
        self.sources.push((name.into(), tolerant));
        Some(index)
    }

    /// Reads a list file.
    pub(super) fn file(&mut self, name: &str, text: &str, tolerant: bool) {
        let Some(source) = self.source(name, tolerant) else {
            return;
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.as_bytes().contains(&0) {
            let place = Place {
                source: name.into(),
                line: 0,
                column: 0,
            };
            self.report.error_at(Some(place), Problem::Binary);
            return;
        }
        let hopeless = self.report.error_count() + HOPELESS;
        for (line, number) in text.split('\n').zip(1_u32..) {
            let spot = Spot {
                source,
                line: number,
                column: 1,
            };
            match address::dotted(line.as_bytes().trim_ascii()) {
                Some((address, length)) => {
                    self.net(spot, address::v4(address.into(), length), line, None, None)
                }
                None => self.line(spot, line),
            }
            if self.full {
                return;
            }
            if self.report.error_count() > hopeless {
                self.report.give_up();
                return;
            }
        }
    }

    /// Reads a line that is more, or less, than one IPv4 address or CIDR.
    fn line(&mut self, spot: Spot, line: &str) {
        let content = &line[..line.find(['#', ';']).unwrap_or(line.len())];
        let mut column = 1;
        for field in content.split(',') {
            let item = field.trim();
            if !item.is_empty() {
                let blanks = field.chars().take_while(|c| c.is_whitespace()).count();
                self.item(
                    Spot {
                        column: column + count(blanks),
                        ..spot
                    },
                    item,
                    None,
                    None,
                );
            }
            column += count(field.chars().count()) + 1;
        }
    }

    /// Reads one address, CIDR or range.
    pub(super) fn item(
        &mut self,
        spot: Spot,
        text: &str,
        name: Option<&str>,
        comment: Option<&str>,
    ) {
        let text = text.trim();
        for (what, value) in [("rule name", name), ("comment", comment)] {
            let length = value.map_or(0, |value| value.chars().count());
            if length > MAX_COMMENT {
                self.refuse(spot, || Problem::TextTooLong { what, length });
            }
        }
        match address::parse(text) {
            Ok(Written::Net(net)) => self.net(spot, net, text, name, comment),
            Ok(Written::Range(first, last)) => self.range(spot, first, last, name, comment),
            Err(why) => {
                self.refuse(spot, || Problem::Address {
                    text: Excerpt::new(text),
                    why,
                });
            }
        }
    }

    fn net(
        &mut self,
        spot: Spot,
        written: WrittenNet,
        text: &str,
        name: Option<&str>,
        comment: Option<&str>,
    ) {
        let net = written.net;
        let text = text.trim();
        if self.kind == ListKind::Block && net.prefix_len() == 0 && !self.removing {
            self.refuse(spot, || Problem::BlocksAll {
                net: net.to_string(),
            });
            return;
        }
        if written.masked && !self.removing {
            let place = || place(&self.sources, spot);
            self.report.masked(|| {
                let canonical = rule::canonical(&net);
                format!(
                    "{}: {text} has host bits set; {canonical} is enforced",
                    place()
                )
            });
        }
        let note = Note {
            spelling: spelling(written, text),
            name: name.map(Into::into),
            comment: comment.map(Into::into),
        };
        self.push(
            spot,
            Rule {
                net,
                source: spot.source,
                line: spot.line,
                note: note.share(),
            },
        );
    }

    fn range(
        &mut self,
        spot: Spot,
        first: IpAddr,
        last: IpAddr,
        name: Option<&str>,
        comment: Option<&str>,
    ) {
        let nets: Vec<IpNet> = match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect()
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect()
            }
            _ => Vec::new(),
        };
        let spelling = Spelling::Canonical;
        let note = Note {
            spelling,
            name: name.map(Into::into),
            comment: comment.map(Into::into),
        };
        let note = note.share();
        for net in nets {
            if self.kind == ListKind::Block && net.prefix_len() == 0 && !self.removing {
                self.refuse(spot, || Problem::BlocksAll {
                    net: net.to_string(),
                });
                return;
            }
            self.pieces.push(self.rules.len());
            self.push(
                spot,
                Rule {
                    net,
                    source: spot.source,
                    line: spot.line,
                    note: note.clone(),
                },
            );
        }
    }

    #[inline]
    fn push(&mut self, spot: Spot, rule: Rule) {
        if self.rules.len() < self.limit {
            self.rules.push(rule);
        } else if !self.full {
            self.full = true;
            let place = place(&self.sources, spot);
            let problem = Problem::ListTooLong {
                list: self.kind,
                limit: self.limit,
            };
            self.report.error_at(Some(place), problem);
        }
    }

    /// Reports what is wrong at a spot: an error, or a warning from a tolerant source.
    fn refuse(&mut self, spot: Spot, problem: impl FnOnce() -> Problem) {
        let sources = &self.sources;
        let error = || ModelError {
            place: Some(place(sources, spot)),
            problem: problem(),
        };
        if is_tolerant(sources, spot.source) {
            self.report.skipped(error);
        } else {
            self.report.push(error());
        }
    }

    /// The list; duplicates are reported. Worth nothing if the report has errors.
    pub(super) fn finish(mut self) -> RuleList {
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
}

fn is_tolerant(sources: &[(Box<str>, bool)], source: u16) -> bool {
    sources
        .get(usize::from(source))
        .is_some_and(|(_, tolerant)| *tolerant)
}

fn place(sources: &[(Box<str>, bool)], spot: Spot) -> Place {
    let source = sources
        .get(usize::from(spot.source))
        .map(|(name, _)| name.clone());
    Place {
        source: source.unwrap_or_default(),
        line: spot.line,
        column: spot.column,
    }
}

/// How a network was written.
fn spelling(written: WrittenNet, text: &str) -> Spelling {
    let WrittenNet {
        net,
        masked,
        with_length,
    } = written;
    let host = net.prefix_len() == net.max_prefix_len();
    match net {
        // Strict IPv4 has no other spellings; mapped addresses have colons, and
        // blanks may stand around the slash.
        IpNet::V4(_) if !masked && !text.contains([':', ' ', '\t']) => {
            if host && with_length {
                Spelling::WithLength
            } else {
                Spelling::Canonical
            }
        }
        _ if text == rule::canonical(&net) => Spelling::Canonical,
        _ if host && text == net.to_string() => Spelling::WithLength,
        _ => Spelling::Text(text.into()),
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

/// For columns: more than fit are as many as fit.
fn count(characters: usize) -> u32 {
    u32::try_from(characters).unwrap_or(u32::MAX)
}

impl ListReader<'_> {
    /// As [`Self::finish`], for rules that are to be added to the list of a policy:
    /// one that is there is reported, and a piece of a range that is there left out.
    pub(super) fn finish_beside(mut self, policy: &str, existing: &RuleList) -> RuleList {
        let mut order: Vec<(IpNet, usize)> = self
            .rules
            .iter()
            .enumerate()
            .map(|(index, rule)| (rule.net, index))
            .collect();
        order.sort_unstable();
        let mut there = Vec::new();
        for rule in existing.rules() {
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
