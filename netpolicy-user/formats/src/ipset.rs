//! `ipset save` and `ipset list`.

use std::time::Duration;

use ipnet::IpNet;
use netpolicy_policy::model::counted;
use netpolicy_policy::model::error::Excerpt;

use crate::collect::Collector;
use crate::error::Problem;
use crate::subtract::without;
use crate::text::{lines, place, require_last_line};
use crate::{Entry, Format, Place, Span};

/// The set that is being read.
#[derive(Debug, Default)]
struct Set {
    name: String,
    /// Of a kind whose elements are addresses alone.
    is_addresses: bool,
    /// Whether it is wanted.
    is_wanted: bool,
    /// Entries before it.
    from: usize,
    exceptions: Vec<IpNet>,
}

impl Set {
    fn begin(name: &str, kind: &str, at: Place, into: &mut Collector<'_>) -> Self {
        let is_wanted = into.part(name);
        let is_addresses = matches!(kind, "hash:ip" | "hash:net" | "bitmap:ip");
        if is_wanted && !is_addresses {
            let why =
                format!("set {name} is of type {kind}, whose elements are no addresses alone");
            into.skip(at, Problem::Entry(why));
        }
        Self {
            name: name.to_owned(),
            is_addresses,
            is_wanted,
            from: into.len(),
            exceptions: Vec::new(),
        }
    }

    fn element(&mut self, element: &str, options: &str, at: Place, into: &mut Collector<'_>) {
        if !self.is_wanted || !self.is_addresses {
            return;
        }
        let options = Options::read(options);
        let before = into.len();
        into.add(element, at, options.comment, options.timeout);
        if options.is_exception {
            let exceptions = into.take_from(before);
            let nets = exceptions.iter().flat_map(|entry| entry.net.nets());
            self.exceptions.extend(nets);
        }
    }

    /// Takes exceptions out of the entries that hold them: in the set the longest match
    /// decides.
    fn end(&mut self, into: &mut Collector<'_>) {
        if self.exceptions.is_empty() {
            return;
        }
        let mut exceptions = std::mem::take(&mut self.exceptions);
        let taken = exceptions.len();
        exceptions.sort_unstable();
        exceptions.dedup();
        for entry in into.take_from(self.from) {
            for net in entry.net.nets() {
                if into.is_done() {
                    return;
                }
                // Networks overlap as a whole or not at all: those inside follow it in order.
                let first = exceptions.partition_point(|hole| *hole <= net);
                let holes = exceptions.get(first..).unwrap_or_default().iter().copied();
                let holes: Vec<_> = holes.take_while(|hole| net.contains(hole)).collect();
                if holes.is_empty() {
                    into.push(Entry {
                        net: Span::Net(net),
                        ..entry.clone()
                    });
                    continue;
                }
                let comment = format!("{net} without exceptions (nomatch)");
                for part in without(net, &holes) {
                    into.push(Entry {
                        text: Span::Net(part).to_string().into(),
                        net: Span::Net(part),
                        comment: Some(comment.clone().into()),
                        ..entry.clone()
                    });
                }
            }
        }
        let taken = counted(taken, "exception was", "exceptions were");
        into.note(format!("{taken} (nomatch) taken out of set {}", self.name));
    }
}

/// What follows an element.
#[derive(Debug, Default)]
struct Options<'l> {
    timeout: Option<Duration>,
    comment: Option<&'l str>,
    is_exception: bool,
}

impl<'l> Options<'l> {
    fn read(text: &'l str) -> Self {
        let mut options = Self::default();
        // ipset takes no double quote in a comment.
        let (words, comment) = match text.split_once("comment \"") {
            Some((before, quoted)) => {
                let (comment, after) = quoted.split_once('"').unwrap_or((quoted, ""));
                ([before, after], Some(comment))
            }
            None => ([text, ""], None),
        };
        options.comment = comment;
        for words in words {
            let mut words = words.split_whitespace();
            while let Some(word) = words.next() {
                match word {
                    "timeout" => {
                        let seconds = words.next().and_then(|word| word.parse().ok());
                        let seconds = seconds.filter(|seconds| *seconds > 0);
                        options.timeout = seconds.map(Duration::from_secs);
                    }
                    "nomatch" => options.is_exception = true,
                    _ => {}
                }
            }
        }
        options
    }
}

/// Reads the output of `ipset save`.
pub(crate) fn read_save(text: &str, into: &mut Collector<'_>) {
    require_last_line(text, into);
    let mut set = Set::default();
    for (number, line) in lines(text) {
        let mut words = line.trim().splitn(4, ' ');
        let at = |part| place(number, line, part);
        match (words.next(), words.next(), words.next()) {
            (None | Some(""), ..) => {}
            (Some(word), ..) if word.starts_with('#') => {}
            (Some("create"), Some(name), Some(kind)) => {
                set.end(into);
                set = Set::begin(name, kind, at(name), into);
            }
            (Some("add"), Some(name), Some(element)) => {
                if set.name != name {
                    // As files for `ipset restore` are written by hand.
                    set.end(into);
                    set = Set::begin(name, "hash:net", at(name), into);
                }
                set.element(element, words.next().unwrap_or_default(), at(element), into);
            }
            _ => {
                let problem = Problem::Line {
                    format: Format::IpsetSave,
                    found: Excerpt::new(line.trim()),
                    expected: "`create SET TYPE …` or `add SET ELEMENT …`",
                };
                into.refuse(at(line.trim()), problem);
            }
        }
        if into.is_done() {
            return;
        }
    }
    set.end(into);
}

/// Reads the output of `ipset list`.
pub(crate) fn read_list(text: &str, into: &mut Collector<'_>) {
    const EXPECTED: &str = "Name:, Type:, Header: and so on, then Members: and an element a line";
    require_last_line(text, into);
    let mut set = Set::default();
    let (mut name, mut expected, mut found) = (String::new(), None::<usize>, 0);
    let mut in_members = false;
    let all = lines(text).chain([(0, "Name: ")]);
    for (number, line) in all {
        let trimmed = line.trim();
        let at = place(number, line, trimmed);
        if let Some(next) = line.strip_prefix("Name: ") {
            set.end(into);
            if expected.is_some_and(|expected| expected > found) {
                let missing = format!(
                    "the end of set {name}, of whose {} only {found} are there",
                    counted(expected.unwrap_or_default(), "entry", "entries"),
                );
                into.error(None, Problem::Truncated { missing });
            }
            (set, expected, found, in_members) = (Set::default(), None, 0, false);
            name = next.trim().to_owned();
        } else if trimmed.is_empty() {
            in_members = false;
        } else if in_members {
            found += 1;
            let (element, options) = trimmed.split_once(' ').unwrap_or((trimmed, ""));
            set.element(element, options, at, into);
        } else if let Some(kind) = trimmed.strip_prefix("Type: ") {
            set = Set::begin(&name, kind.trim(), at, into);
        } else if let Some(count) = trimmed.strip_prefix("Number of entries: ") {
            expected = count.trim().parse().ok();
        } else if trimmed == "Members:" {
            in_members = true;
        } else if !is_heading(trimmed) {
            let found = Excerpt::new(trimmed);
            let (format, expected) = (Format::IpsetList, EXPECTED);
            into.refuse(
                at,
                Problem::Line {
                    format,
                    found,
                    expected,
                },
            );
        }
        if into.is_done() {
            return;
        }
    }
}

fn is_heading(line: &str) -> bool {
    ["Revision:", "Header:", "Size in memory:", "References:"]
        .iter()
        .any(|heading| line.starts_with(heading))
}
