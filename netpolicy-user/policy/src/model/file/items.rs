//! The items of an array of rules, one by one, out of its text.
//!
//! Plain strings are recognised here. Everything else is given to the parser, a few items
//! at a time; what is wrong with it is the parser's to say.

use std::ops::{ControlFlow, Range};

use toml::de::{DeArray, DeValue};
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

/// Bytes after which the parser is given no more items at a time.
const PIECE: usize = 16 << 10;

/// What an array holds.
pub(super) enum ArrayItem<'t> {
    /// A string that stands for itself.
    Plain(Plain<'t>),
    /// Parsed items; their spans are counted from an offset of the text, less one.
    Parsed(&'t DeArray<'t>, usize),
}

/// An error of the parser; its span is counted from an offset of the text, less one.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) error: toml::de::Error,
    pub(super) base: usize,
}

/// Where the items that begin at `from` end, and whether a bracket follows.
pub(super) fn end(text: &str, from: usize) -> (usize, bool) {
    if let Some(end) = plain_end(text, from) {
        return (end, true);
    }
    let mut at = from;
    loop {
        match plain(text.as_bytes(), at) {
            Some(found) => at = found.behind.end + 1,
            None => match piece(text, at, 0) {
                (end, Stop::Comma) => at = end,
                (end, stop) => return (end, stop == Stop::Bracket),
            },
        }
    }
}

/// Visits items, until `visit` breaks. `is_closed`: see [`end`]. `cursor`: anywhere
/// before them.
///
/// # Errors
/// What is there is no part of an array.
pub(super) fn visit(
    text: &str,
    items: Range<usize>,
    is_closed: bool,
    mut cursor: TextCursor,
    mut visit: impl FnMut(ArrayItem<'_>) -> ControlFlow<()>,
) -> Result<(), SyntaxError> {
    let content = text.get(..items.end).unwrap_or_default();
    let mut at = items.start;
    let mut buffer = String::new();
    loop {
        while let Some(found) = plain(content.as_bytes(), at) {
            cursor.skip(&found.before);
            let quote = found.before.end;
            let item = Plain {
                text: content.get(quote + 1..found.end).unwrap_or_default(),
                position: cursor.advance(content, quote),
            };
            if visit(ArrayItem::Plain(item)).is_break() {
                return Ok(());
            }
            cursor.skip(&found.behind);
            at = found.behind.end + 1;
        }
        let (end, stop) = piece(content, at, PIECE);
        buffer.clear();
        buffer.push('[');
        buffer.push_str(content.get(at..end).unwrap_or_default());
        if stop == Stop::Comma || is_closed {
            buffer.push(']');
        }
        let (parsed, errors) = DeValue::parse_recoverable(&buffer);
        let start = |error: &toml::de::Error| error.span().map_or(usize::MAX, |span| span.start);
        if let Some(error) = errors.into_iter().min_by_key(start) {
            return Err(SyntaxError { error, base: at });
        }
        if let DeValue::Array(items) = parsed.get_ref()
            && visit(ArrayItem::Parsed(items, at)).is_break()
        {
            return Ok(());
        }
        match stop {
            Stop::Comma => {
                cursor.advance(content, end);
                at = end;
            }
            Stop::Bracket | Stop::End => return Ok(()),
        }
    }
}

/// The end of an array that is written as most long ones are: its bracket begins a line, and
/// there is no other in it, nor a string of several lines. `None` says nothing.
fn plain_end(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let end = rest.find(']')?;
    let items = rest.get(..end)?;
    let (_, line) = items.rsplit_once('\n')?;
    let is_plain = line.bytes().all(|byte| byte == b' ' || byte == b'\t')
        && !items.contains('[')
        && !items.contains("\"\"\"")
        && !items.contains("'''");
    is_plain.then_some(from + end)
}

/// A string without escapes, behind which there is a comma.
pub(super) struct Plain<'t> {
    /// What it says.
    pub(super) text: &'t str,
    /// Line and column of its opening quote, from 1.
    pub(super) position: (u32, u32),
}

/// Where a plain string is.
struct PlainString {
    before: Gap,
    /// Its closing quote.
    end: usize,
    /// What stands between it and the comma.
    behind: Gap,
}

#[inline]
fn plain(bytes: &[u8], at: usize) -> Option<PlainString> {
    let before = gap(bytes, at)?;
    let quote = before.end;
    let mark = *bytes.get(quote)?;
    if mark != b'"' && mark != b'\'' {
        return None;
    }
    let content = bytes.get(quote + 1..)?;
    let length = content.iter().position(|byte| ENDS[usize::from(*byte)])?;
    // Where a string may hold more, the parser says so. Two quotes may be the beginning of
    // three.
    if content[length] != mark || length == 0 {
        return None;
    }
    let end = quote + 1 + length;
    let behind = gap(bytes, end + 1)?;
    (bytes.get(behind.end) == Some(&b',')).then_some(PlainString {
        before,
        end,
        behind,
    })
}

/// The bytes at which a plain string ends, or is none.
const ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        ends[control] = true;
        control += 1;
    }
    ends[0x7f] = true;
    ends[b'"' as usize] = true;
    ends[b'\'' as usize] = true;
    ends[b'\\' as usize] = true;
    ends
};

/// Blanks, ends of lines and comments.
#[derive(Clone, Copy, Default)]
struct Gap {
    end: usize,
    lines: u32,
    /// Where the last line begins, if there are several.
    line: usize,
}

#[inline]
fn gap(bytes: &[u8], at: usize) -> Option<Gap> {
    let mut gap = Gap {
        end: at,
        ..Gap::default()
    };
    loop {
        match *bytes.get(gap.end)? {
            b' ' | b'\t' => gap.end += 1,
            b'\n' => {
                gap.end += 1;
                gap.lines += 1;
                gap.line = gap.end;
            }
            b'\r' if bytes.get(gap.end + 1) == Some(&b'\n') => gap.end += 1,
            b'#' => loop {
                gap.end += 1;
                match *bytes.get(gap.end)? {
                    b'\n' | b'\r' => break,
                    b'\t' => {}
                    0x7f | ..b' ' => return None,
                    _ => {}
                }
            },
            _ => return Some(gap),
        }
    }
}

/// A place in a text, from which later ones are counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextCursor {
    pub(super) offset: usize,
    line: u32,
    column: u32,
}

impl TextCursor {
    pub(super) const START: Self = Self {
        offset: 0,
        line: 1,
        column: 1,
    };

    /// Goes on to a later offset; its line and column, from 1.
    pub(super) fn advance(&mut self, text: &str, offset: usize) -> (u32, u32) {
        let passed = text.as_bytes().get(self.offset..offset);
        for byte in passed.unwrap_or_default() {
            if *byte == b'\n' {
                self.line = self.line.saturating_add(1);
                self.column = 1;
            } else if byte & 0xc0 != 0x80 {
                // Not within a character.
                self.column = self.column.saturating_add(1);
            }
        }
        self.offset = offset;
        (self.line, self.column)
    }

    /// Goes on to the last line of a gap, if it has several: behind what has no end of a line.
    fn skip(&mut self, gap: &Gap) {
        if gap.lines > 0 {
            self.line = self.line.saturating_add(gap.lines);
            (self.offset, self.column) = (gap.line, 1);
        }
    }
}

/// What a piece of an array's text ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// A comma, which belongs to it.
    Comma,
    /// The array's bracket, which does not.
    Bracket,
    /// The text.
    End,
}

/// The end of the first item from `at` that ends at least `length` bytes from there.
fn piece(text: &str, at: usize, length: usize) -> (usize, Stop) {
    let rest = text.get(at..).unwrap_or_default();
    let mut depth = 0_usize;
    let source = Source::new(rest);
    for token in source.lex() {
        let span = token.span();
        match token.kind() {
            TokenKind::Comma if depth == 0 && span.end() >= length => {
                return (at + span.end(), Stop::Comma);
            }
            TokenKind::RightSquareBracket if depth == 0 => {
                return (at + span.start(), Stop::Bracket);
            }
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => depth += 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
    }
    (text.len(), Stop::End)
}
