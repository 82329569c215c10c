//! Lists as a whole: items and files; a file in which no line is an address is no address
//! list.

use super::{COMMENT, GivenNote, ListReader, RuleSpot};
use crate::model::change::{ListInput, SourceText};
use crate::model::error::{Excerpt, Place, Problem};
use crate::model::wording::{NamedBy, NoList};

/// What is taken from list files that is refused otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::model) struct Tolerance {
    /// Bad lines and duplicates are left out, with a warning.
    pub(in crate::model) skip_invalid: bool,
    /// A file in which no line is an address is an empty list.
    pub(in crate::model) allow_empty: bool,
}

impl ListReader<'_> {
    /// Reads all of `input`; `option` is what its items were given with.
    pub(in crate::model) fn input(&mut self, option: &str, input: &ListInput) {
        let given = GivenNote {
            name: input.name.as_deref().filter(|name| !name.is_empty()),
            comment: input.comment.as_deref().filter(|text| !text.is_empty()),
            expires: input.expires,
        };
        if !input.items.is_empty()
            && let Some(source) = self.source(option, false)
        {
            for item in &input.items {
                self.item(
                    RuleSpot {
                        source,
                        line: 0,
                        column: 0,
                    },
                    item,
                    given,
                );
                if self.is_done() {
                    return;
                }
            }
        }
        let tolerance = Tolerance {
            skip_invalid: input.skip_invalid,
            allow_empty: input.allow_empty,
        };
        for SourceText { name, text } in &input.files {
            self.list_file_as(name, text, tolerance, None, given);
        }
    }

    /// Reads a list file, which must hold an address: a download that failed leaves an
    /// empty file or another format, which must not empty the list.
    /// A page of HTML is refused as a whole, whatever one of its lines may look like.
    pub(in crate::model) fn list_file(
        &mut self,
        name: &str,
        text: &str,
        tolerance: Tolerance,
        named: Option<NamedBy>,
    ) {
        self.list_file_as(name, text, tolerance, named, GivenNote::default());
    }

    fn list_file_as(
        &mut self,
        name: &str,
        text: &str,
        tolerance: Tolerance,
        named: Option<NamedBy>,
        given: GivenNote<'_>,
    ) {
        let first = first_item(text);
        let format = first.and_then(format).filter(|_| !tolerance.allow_empty);
        let before = (self.rules.len(), self.report.error_count(), self.full);
        if format.is_none() {
            self.file(name, text, tolerance.skip_invalid, given);
        }
        let after = (self.rules.len(), self.report.error_count(), self.full);
        if before == after && !tolerance.allow_empty {
            let place = Place {
                source: name.into(),
                line: 0,
                column: 0,
            };
            let what = NoList {
                format,
                first: first.map(Excerpt::new),
                named,
            };
            self.report
                .error_at(Some(place), Problem::NoAddress(Box::new(what)));
        }
    }
}

/// The first item of a list file.
fn first_item(text: &str) -> Option<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let content = |line: &'_ str| line.find(COMMENT).unwrap_or(line.len());
    let mut lines = text.lines().map(|line| line[..content(line)].trim());
    lines.find(|line| !line.is_empty())
}

/// What a file is whose first item is this, if that can be no address list.
fn format(first: &str) -> Option<&'static str> {
    let mut characters = first.chars().filter(|c| !c.is_whitespace());
    match (characters.next()?, characters.next()) {
        ('<', _) => Some("HTML or XML"),
        ('{', _) | ('[', None | Some('{' | '[' | '"')) => Some("JSON"),
        ('%', Some('P')) => Some("PDF"),
        _ => None,
    }
}
