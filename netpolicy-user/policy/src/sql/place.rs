//! Where something stands in a script.

/// A place in a script: 8 bytes. Its column is counted when asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// In bytes, from the script's start.
    pub offset: u32,
    /// From 1.
    pub line: u32,
}

impl Spot {
    /// The column in characters, from 1; `script` is the whole text. A byte order mark
    /// at its start has no width. Linear in the line's length.
    #[must_use]
    pub fn column(self, script: &str) -> u32 {
        let before = script.get(..offset(self.offset)).unwrap_or(script);
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.get(line..).unwrap_or_default();
        let line = if line.len() == before.len() {
            line.strip_prefix('\u{feff}').unwrap_or(line)
        } else {
            line
        };
        size(line.chars().count()).saturating_add(1)
    }

    /// The place `bytes` further on, of which `skipped` is the text between.
    pub(super) fn after(self, skipped: &str) -> Self {
        Self {
            offset: self.offset.saturating_add(size(skipped.len())),
            line: self.line.saturating_add(line_breaks(skipped)),
        }
    }
}

/// Line breaks in a text.
pub(super) fn line_breaks(text: &str) -> u32 {
    size(text.bytes().filter(|b| *b == b'\n').count())
}

/// A size within a script, which is shorter than 4 GiB (`MAX_TEXT`).
pub(super) fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// An offset as an index.
pub(super) fn offset(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_counted_in_characters() {
        let text = "\u{feff}ab\n\u{e4}\u{f6}x";
        let start = Spot { offset: 0, line: 1 };
        assert_eq!(start.column(text), 1);
        assert_eq!(start.after("\u{feff}a").column(text), 2);
        let x = start.after("\u{feff}ab\n\u{e4}\u{f6}");
        assert_eq!((x.line, x.column(text)), (2, 3));
        assert_eq!(
            Spot {
                offset: 99,
                line: 2
            }
            .column(text),
            4
        );
    }
}
