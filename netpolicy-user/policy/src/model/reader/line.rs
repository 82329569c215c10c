//! Lines of list files, and the comments in them.

use jiff::Timestamp;

use super::{ListReader, RuleSpot};
use crate::model::MAX_COMMENT;
use crate::model::address;

/// What begins a comment in a list file.
pub(super) const COMMENT: [char; 2] = ['#', ';'];

/// What rules are called that do not say it themselves.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::model) struct GivenNote<'a> {
    /// Their name.
    pub(in crate::model) name: Option<&'a str>,
    /// Their comment.
    pub(in crate::model) comment: Option<&'a str>,
    /// When they end.
    pub(in crate::model) expires: Option<Timestamp>,
}

impl GivenNote<'_> {
    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.name.is_none() && self.comment.is_none() && self.expires.is_none()
    }
}

impl ListReader<'_> {
    /// Reads all lines of a source.
    pub(super) fn lines(&mut self, source: u16, text: &str, given: GivenNote<'_>) {
        for (line, number) in text.split('\n').zip(1_u32..) {
            let item = line.trim_ascii();
            let spot = RuleSpot {
                source,
                line: number,
                column: count(line.len() - line.trim_ascii_start().len()) + 1,
            };
            match address::strict(item.as_bytes()) {
                Some(written) => self.net(spot, written, item, given),
                None => self.line(spot, line, given),
            }
            if self.is_done() {
                return;
            }
        }
    }

    /// Reads a line that is more, or less, than one IPv4 address or CIDR.
    fn line(&mut self, spot: RuleSpot, line: &str, given: GivenNote<'_>) {
        let (content, comment) = line.split_at(line.find(COMMENT).unwrap_or(line.len()));
        let comment = comment.trim_start_matches(COMMENT).trim();
        let comment = match comment.char_indices().nth(MAX_COMMENT) {
            Some((end, _)) => &comment[..end],
            None => comment,
        };
        let comment = Some(comment).filter(|text| !text.is_empty());
        let mut column = 1_u32;
        for field in content.split(',') {
            let item = field.trim();
            if !item.is_empty() {
                let blanks = field.chars().take_while(|c| c.is_whitespace()).count();
                self.item(
                    RuleSpot {
                        column: column.saturating_add(count(blanks)),
                        ..spot
                    },
                    item,
                    GivenNote {
                        comment: comment.or(given.comment),
                        ..given
                    },
                );
            }
            if self.is_done() {
                return;
            }
            column = column.saturating_add(count(field.chars().count()) + 1);
        }
    }
}

/// For columns: more than fit are as many as fit.
fn count(characters: usize) -> u32 {
    u32::try_from(characters).unwrap_or(u32::MAX - 1)
}
