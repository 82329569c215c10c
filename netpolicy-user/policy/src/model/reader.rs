//! Text to [`RuleList`]: list files and single items, with every error and its place.
//!
//! A list file holds an address, CIDR or range (`a-b`) a line, or several separated by
//! commas; `#` and `;` begin comments, which the rules of their line keep. Ranges become the
//! CIDRs that they consist of.

mod equal;
mod finish;
mod line;
mod reference;
mod whole;

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::address::{self, Written, WrittenNet};
use super::error::{Excerpt, ListProblem, ModelError, Place, Problem};
use super::evaluate::ListKind;
use super::list::{Cutter, Earlier, Sameness};
use super::report::{ModelErrors, Report};
use super::rule::{self, Note, Rule, Spelling};
use super::{MAX_COMMENT, RuleList};

use self::line::COMMENT;
pub(super) use self::line::GivenNote;
use self::reference::REFERENCE;
pub(super) use self::reference::Reference;
pub(super) use self::whole::Tolerance;

/// Errors in one list after which the rest is not read: it is no address list.
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

/// Reads a list file, which may be empty. Also gives the warnings: host bits that were
/// masked, and lines that were left out.
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
    reader.file(
        source_name,
        text,
        options.skip_invalid,
        GivenNote::default(),
    );
    let list = reader.finish();
    Ok((list, report.finish()?))
}

/// Where a rule is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleSpot {
    /// From [`ListReader::source`].
    pub(super) source: u16,
    /// From 1; 0: the source has no lines.
    pub(super) line: u32,
    /// From 1; 0: not known.
    pub(super) column: u32,
}

/// Gathers one list from any number of files and items.
pub(super) struct ListReader<'r> {
    /// Which list of a policy; `None`: a named list.
    kind: Option<ListKind>,
    limit: usize,
    /// Whether the rules are to be removed, not enforced.
    removing: bool,
    /// Whether a blocked `/0` is accepted.
    forced: bool,
    report: &'r mut Report,
    rules: Cutter,
    /// Names of sources, and whether their bad rules are left out.
    sources: Vec<(Box<str>, bool)>,
    /// Indices of the rules that ranges became, ascending.
    pieces: Vec<usize>,
    full: bool,
    /// Errors in the report after which the rest is not read.
    hopeless: usize,
    /// Named lists that are referred to.
    references: Vec<Reference>,
    /// Whether a list file is being read, which refers to none.
    in_file: bool,
    /// The note of the rule before: neighbours often have the same.
    last_note: Option<Arc<Note>>,
}

impl<'r> ListReader<'r> {
    pub(super) fn new(kind: ListKind, limit: usize, report: &'r mut Report) -> Self {
        Self::of(Some(kind), limit, report)
    }

    /// For a named list.
    pub(super) fn of_named(limit: usize, report: &'r mut Report) -> Self {
        Self::of(None, limit, report)
    }

    /// For a list of that kind; `None`: a named list.
    pub(super) fn of(kind: Option<ListKind>, limit: usize, report: &'r mut Report) -> Self {
        let hopeless = report.error_count() + HOPELESS;
        Self {
            kind,
            limit,
            removing: false,
            forced: false,
            report,
            rules: Cutter::default(),
            sources: Vec::new(),
            pieces: Vec::new(),
            full: false,
            hopeless,
            references: Vec::new(),
            in_file: false,
            last_note: None,
        }
    }

    /// For rules that are to be removed: what only matters when they are enforced
    /// is not checked.
    pub(super) fn removing(mut self) -> Self {
        self.removing = true;
        self
    }

    /// For a new version of a list, which shares what is the same. Before anything is read.
    pub(super) fn sharing_with(mut self, earlier: Option<&RuleList>, sameness: Sameness) -> Self {
        if let Some(earlier) = earlier {
            self.rules = Cutter::sharing_with(Earlier::new(earlier, sameness));
        }
        self
    }

    /// Whether a blocked `/0` is accepted, with a warning, instead of refused.
    pub(super) fn forced(mut self, forced: bool) -> Self {
        self.forced = forced;
        self
    }

    /// For errors outside the rules.
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
        self.rules.source(name);
        self.sources.push((name.into(), tolerant));
        Some(index)
    }

    /// Reads a list file, whose rules are called as given unless they have comments themselves.
    pub(super) fn file(&mut self, name: &str, text: &str, tolerant: bool, given: GivenNote<'_>) {
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
        self.in_file = true;
        self.lines(source, text, given);
        self.in_file = false;
    }

    /// Whether reading on is pointless: the list is full, or it is no list at all.
    pub(super) fn is_done(&mut self) -> bool {
        let hopeless = self.report.error_count() > self.hopeless;
        if hopeless {
            self.report.give_up();
        }
        self.full || hopeless
    }

    /// Reads one text that most often is a strictly written network.
    #[inline]
    pub(super) fn text(&mut self, spot: RuleSpot, text: &str) {
        match address::strict(text.as_bytes()) {
            Some(written) => self.net(spot, written, text, GivenNote::default()),
            None => self.item(spot, text, GivenNote::default()),
        }
    }

    /// Reads one address, CIDR or range.
    pub(super) fn item(&mut self, spot: RuleSpot, text: &str, given: GivenNote<'_>) {
        let text = text.trim();
        if let Some(list) = text.strip_prefix(REFERENCE)
            && !self.in_file
        {
            self.reference(spot, list, !given.is_empty());
            return;
        }
        for (what, value) in [("rule name", given.name), ("comment", given.comment)] {
            let length = value.map_or(0, |value| value.chars().count());
            if length > MAX_COMMENT {
                self.refuse(spot, || Problem::TextTooLong { what, length });
            }
        }
        match address::parse(text) {
            Ok(Written::Net(net)) => self.net(spot, net, text, given),
            Ok(Written::Range(first, last)) => self.range(spot, first, last, given),
            Err(why) => {
                self.refuse(spot, || Problem::Address {
                    text: Excerpt::new(text),
                    why,
                });
            }
        }
    }

    fn net(&mut self, spot: RuleSpot, written: WrittenNet, text: &str, given: GivenNote<'_>) {
        let net = written.net;
        let text = text.trim();
        if self.blocks_all(spot, net) {
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
        let note = self.note(spelling(written, text), given);
        self.push(
            spot,
            Rule {
                net,
                source: spot.source,
                line: spot.line,
                note,
            },
        );
    }

    /// A rule's note, shared with the rule before if it has the same.
    fn note(&mut self, spelling: Spelling, given: GivenNote<'_>) -> Option<Arc<Note>> {
        let note = Note {
            spelling,
            name: given.name.map(Into::into),
            comment: given.comment.map(Into::into),
            expires: given.expires.map(rule::whole_seconds),
        };
        let note = note.share()?;
        match &self.last_note {
            Some(last) if *last == note => Some(Arc::clone(last)),
            _ => {
                self.last_note = Some(Arc::clone(&note));
                Some(note)
            }
        }
    }

    fn range(&mut self, spot: RuleSpot, first: IpAddr, last: IpAddr, given: GivenNote<'_>) {
        let nets: Vec<IpNet> = match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect()
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect()
            }
            _ => Vec::new(),
        };
        let note = self.note(Spelling::Canonical, given);
        for net in nets {
            if self.blocks_all(spot, net) {
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

    /// Refuses a blocked `/0`, or warns of one that is accepted.
    fn blocks_all(&mut self, spot: RuleSpot, net: IpNet) -> bool {
        if self.kind != Some(ListKind::Block) || net.prefix_len() != 0 || self.removing {
            return false;
        }
        let problem = || Problem::BlocksAll {
            net: net.to_string(),
        };
        if self.forced {
            let place = place(&self.sources, spot);
            self.report
                .warn(format!("{place}: a blocked {net} is enforced (--force)"));
            return false;
        }
        self.refuse(spot, problem);
        true
    }

    #[inline]
    fn push(&mut self, spot: RuleSpot, rule: Rule) {
        if self.rules.len() < self.limit {
            self.rules.push(rule);
        } else if !self.full {
            self.full = true;
            let place = place(&self.sources, spot);
            let limit = self.limit;
            let problem = match self.kind {
                Some(list) => Problem::ListTooLong { list, limit },
                None => ListProblem::NamedListTooLong { limit }.into(),
            };
            self.report.error_at(Some(place), problem);
        }
    }

    /// Reports what is wrong at a spot: an error, or a warning from a tolerant source.
    fn refuse(&mut self, spot: RuleSpot, problem: impl FnOnce() -> Problem) {
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
}

fn is_tolerant(sources: &[(Box<str>, bool)], source: u16) -> bool {
    sources
        .get(usize::from(source))
        .is_some_and(|(_, tolerant)| *tolerant)
}

fn place(sources: &[(Box<str>, bool)], spot: RuleSpot) -> Place {
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
pub(super) fn spelling(written: WrittenNet, text: &str) -> Spelling {
    let net = written.net;
    let host = net.prefix_len() == net.max_prefix_len();
    if written.strict && !written.masked {
        if host && written.with_length {
            Spelling::WithLength
        } else {
            Spelling::Canonical
        }
    } else if text == rule::canonical(&net) {
        Spelling::Canonical
    } else if host && text == net.to_string() {
        Spelling::WithLength
    } else {
        Spelling::Text(text.into())
    }
}

#[cfg(test)]
mod tests;
