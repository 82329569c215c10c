//! Gathers entries and errors while a file is read, within bounds.

use std::collections::HashMap;
use std::time::Duration;

use netpolicy_policy::model::address::{self, Written};
use netpolicy_policy::model::counted;
use netpolicy_policy::model::error::Excerpt;

use crate::error::{Error, Problem};
use crate::{Entry, Filter, Format, Options, Place, Reading, Skipped, Span};

/// Errors that are kept.
const SHOWN: usize = 20;
/// Errors after which the rest is not read.
const HOPELESS: usize = 1000;
/// Characters of a comment that are kept: as many as a rule of netpolicy may have.
const COMMENT: usize = netpolicy_policy::model::MAX_COMMENT;

/// A set, chain or jail.
#[derive(Debug)]
struct Part {
    name: String,
    entries: usize,
}

/// Gathers what a file says.
#[derive(Debug)]
pub(crate) struct Collector<'f> {
    pub(crate) format: Format,
    pub(crate) filter: &'f Filter,
    options: Options,
    entries: Vec<Entry>,
    errors: Vec<Error>,
    error_count: usize,
    skipped: Skipped,
    notes: Vec<String>,
    parts: Vec<Part>,
    /// Indices of parts by name.
    part_of: HashMap<String, usize>,
    /// Index of the part that is being read.
    part: Option<usize>,
    /// Whether the parts are one list unless one of them is chosen.
    joins_parts: bool,
    temporary: usize,
    masked: usize,
    full: bool,
    pub(crate) has_columns: bool,
}

impl<'f> Collector<'f> {
    pub(crate) fn new(format: Format, filter: &'f Filter, options: Options) -> Self {
        Self {
            format,
            filter,
            options,
            entries: Vec::new(),
            errors: Vec::new(),
            error_count: 0,
            skipped: Skipped::default(),
            notes: Vec::new(),
            parts: Vec::new(),
            part_of: HashMap::new(),
            part: None,
            joins_parts: false,
            temporary: 0,
            masked: 0,
            full: false,
            has_columns: false,
        }
    }

    /// Without a choice all parts together are the list.
    pub(crate) fn join_parts(&mut self) {
        self.joins_parts = true;
    }

    /// Goes on with a part: what is added now belongs to it. Whether it is wanted.
    pub(crate) fn part(&mut self, name: &str) -> bool {
        let known = self.part_of.get(name).copied();
        let index = known.unwrap_or_else(|| {
            self.parts.push(Part {
                name: name.to_owned(),
                entries: 0,
            });
            let index = self.parts.len() - 1;
            self.part_of.insert(name.to_owned(), index);
            index
        });
        self.part = Some(index);
        self.wants_part(name)
    }

    /// Whether a part is wanted.
    pub(crate) fn wants_part(&self, name: &str) -> bool {
        let wanted = &self.filter.set;
        wanted.is_empty() || wanted.iter().any(|wanted| is_named(name, wanted))
    }

    /// Reads one address, CIDR or range and adds it.
    pub(crate) fn add(
        &mut self,
        text: &str,
        place: Place,
        comment: Option<&str>,
        expires: Option<Duration>,
    ) {
        let text = text.trim();
        match address::parse(text) {
            Ok(written) => self.add_written(written, text, place, comment, expires),
            Err(why) => {
                let text = Excerpt::new(text);
                self.refuse(place, Problem::Address { text, why });
            }
        }
    }

    /// Adds what was read.
    pub(crate) fn add_written(
        &mut self,
        written: Written,
        text: &str,
        place: Place,
        comment: Option<&str>,
        expires: Option<Duration>,
    ) {
        let span = match written {
            Written::Net(written) => {
                self.masked += usize::from(written.masked);
                Span::Net(written.net)
            }
            Written::Range(first, last) => Span::range(first, last),
        };
        self.push(Entry {
            text: text.into(),
            net: span,
            comment: comment.and_then(shortened),
            place,
            expires,
        });
    }

    /// Adds an entry.
    pub(crate) fn push(&mut self, entry: Entry) {
        if let Some(part) = self.part.and_then(|part| self.parts.get_mut(part)) {
            part.entries += 1;
        }
        if self.entries.len() >= self.options.most {
            if !self.full {
                self.full = true;
                let most = self.options.most;
                self.error(Some(entry.place), Problem::TooMany { most });
            }
            return;
        }
        self.temporary += usize::from(entry.expires.is_some());
        self.entries.push(entry);
    }

    /// Takes what was added since `from`, to add it otherwise.
    pub(crate) fn take_from(&mut self, from: usize) -> Vec<Entry> {
        let taken = self.entries.split_off(from.min(self.entries.len()));
        let temporary = taken.iter().filter(|entry| entry.expires.is_some());
        self.temporary -= temporary.count();
        if let Some(part) = self.part.and_then(|part| self.parts.get_mut(part)) {
            part.entries = part.entries.saturating_sub(taken.len());
        }
        taken
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// An entry that cannot be taken: an error, or left out on request.
    pub(crate) fn refuse(&mut self, place: Place, problem: Problem) {
        if self.options.skip_invalid {
            self.skip(place, problem);
        } else {
            self.error(Some(place), problem);
        }
    }

    /// An entry that another program may hold and a list cannot: left out, and said.
    pub(crate) fn skip(&mut self, place: Place, problem: Problem) {
        let place = Some(place);
        self.skipped.push(|| Error { place, problem });
    }

    /// An error whatever was requested.
    pub(crate) fn error(&mut self, place: Option<Place>, problem: Problem) {
        self.error_count += 1;
        if self.errors.len() < SHOWN {
            self.errors.push(Error { place, problem });
        }
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Whether reading on is pointless.
    pub(crate) fn is_done(&self) -> bool {
        self.full || self.error_count > HOPELESS
    }

    /// What was read, or all that is wrong.
    pub(crate) fn finish(mut self) -> Result<Reading, Vec<Error>> {
        self.check_parts();
        if self.error_count > 0 {
            let more = self.error_count - self.errors.len();
            if more > 0 {
                self.errors.push(Problem::More(more).into());
            }
            return Err(self.errors);
        }
        let repeated = remove_repeated(&mut self.entries);
        let mut notes = self.notes;
        if repeated > 0 {
            let repeated = counted(repeated, "entry stands", "entries stand");
            notes.push(format!("{repeated} there more than once and is taken once"));
        }
        if self.masked > 0 {
            let masked = counted(self.masked, "entry has", "entries have");
            notes.push(format!("{masked} host bits set, which are masked"));
        }
        if self.temporary > 0 {
            let temporary = counted(self.temporary, "entry expires", "entries expire");
            notes.push(format!(
                "{temporary} where the file comes from; in a list they stay until they are removed; `--into bans` keeps the time"
            ));
        }
        Ok(Reading {
            format: self.format,
            entries: self.entries,
            notes,
            skipped: self.skipped,
            has_columns: self.has_columns,
        })
    }

    fn check_parts(&mut self) {
        let noun = self.format.part();
        let is_unknown =
            |wanted: &&String| !self.parts.iter().any(|part| is_named(&part.name, wanted));
        if let Some(name) = self.filter.set.iter().find(is_unknown) {
            let known = self.parts.iter().map(|part| part.name.clone()).collect();
            let name = Excerpt::new(name);
            self.error(None, Problem::UnknownPart { noun, name, known });
            return;
        }
        let filled = self.parts.iter().filter(|part| part.entries > 0);
        let parts: Vec<_> = filled
            .map(|part| (part.name.clone(), part.entries))
            .collect();
        // Which of several is meant is not known: one may allow and another block.
        let is_open = self.filter.set.is_empty() && !self.joins_parts;
        let verdict = |part: &(String, usize)| part.0.rsplit_once(':').map(|(_, v)| v.to_owned());
        let mut verdicts: Vec<_> = parts.iter().filter_map(verdict).collect();
        verdicts.sort_unstable();
        verdicts.dedup();
        if parts.len() > 1 && is_open || verdicts.len() > 1 {
            self.error(None, Problem::SeveralParts { noun, parts });
        }
    }
}

/// Whether a part is named by a user: whole ("inet filter input:drop"), without its table, or
/// without its verdict.
fn is_named(part: &str, wanted: &str) -> bool {
    let own = part.rsplit(' ').next().unwrap_or(part);
    let chain = |name: &str| {
        name.rsplit_once(':')
            .is_some_and(|(chain, _)| chain == wanted)
    };
    part == wanted || own == wanted || chain(part) || chain(own)
}

/// A comment that is worth keeping, in one line.
fn shortened(comment: &str) -> Option<Box<str>> {
    let comment = comment.trim();
    if comment.is_empty() {
        return None;
    }
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    Some(comment.chars().take(COMMENT).map(clean).collect())
}

/// Leaves each span where it stands first; how many were removed.
fn remove_repeated(entries: &mut Vec<Entry>) -> usize {
    let Ok(count) = u32::try_from(entries.len()) else {
        return 0;
    };
    let at = |index: u32| &entries[index as usize].net;
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_unstable_by(|a, b| at(*a).cmp(at(*b)).then(a.cmp(b)));
    let repeated = order.windows(2).filter(|pair| at(pair[0]) == at(pair[1]));
    let mut repeated: Vec<u32> = repeated.map(|pair| pair[1]).collect();
    if repeated.is_empty() {
        return 0;
    }
    repeated.sort_unstable();
    let (mut index, mut next) = (0, repeated.iter().copied().peekable());
    entries.retain(|_| {
        let is_repeated = next.next_if_eq(&index).is_some();
        index += 1;
        !is_repeated
    });
    repeated.len()
}
