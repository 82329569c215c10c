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
pub(super) enum Item<'t> {
    /// A string that stands for itself, and where its quote is.
    Plain(&'t str, usize),
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
    let mut at = from;
    loop {
        match plain(text, at) {
            Some(Plain { after, .. }) => at = after,
            None => match piece(text, at, 0) {
                (end, Stop::Comma) => at = end,
                (end, stop) => return (end, stop == Stop::Bracket),
            },
        }
    }
}

/// Visits items, until it is told to break. `is_closed`: see [`end`].
///
/// # Errors
/// What is there is no part of an array.
pub(super) fn visit(
    text: &str,
    items: Range<usize>,
    is_closed: bool,
    mut visit: impl FnMut(Item<'_>) -> ControlFlow<()>,
) -> Result<(), SyntaxError> {
    let content = text.get(..items.end).unwrap_or_default();
    let mut at = items.start;
    let mut buffer = String::new();
    loop {
        while let Some(Plain { quote, end, after }) = plain(content, at) {
            let item = content.get(quote + 1..end).unwrap_or_default();
            if visit(Item::Plain(item, quote)).is_break() {
                return Ok(());
            }
            at = after;
        }
        let (end, stop) = piece(content, at, PIECE);
        buffer.clear();
        buffer.push('[');
        buffer.push_str(content.get(at..end).unwrap_or_default());
        if stop == Stop::Comma || is_closed {
            buffer.push(']');
        }
        let failed = |error| SyntaxError { error, base: at };
        let parsed = DeValue::parse(&buffer).map_err(failed)?;
        if let DeValue::Array(items) = parsed.get_ref()
            && visit(Item::Parsed(items, at)).is_break()
        {
            return Ok(());
        }
        match stop {
            Stop::Comma => at = end,
            Stop::Bracket | Stop::End => return Ok(()),
        }
    }
}

/// A string without escapes, and the comma behind it.
struct Plain {
    /// The opening quote.
    quote: usize,
    /// The closing one.
    end: usize,
    /// What follows the comma.
    after: usize,
}

fn plain(text: &str, at: usize) -> Option<Plain> {
    let bytes = text.as_bytes();
    let quote = gap(bytes, at)?;
    let mark = *bytes.get(quote)?;
    if mark != b'"' && mark != b'\'' {
        return None;
    }
    let mut end = quote + 1;
    loop {
        match *bytes.get(end)? {
            byte if byte == mark => break,
            // Where a string may hold more, the parser says so.
            b'\\' | 0x7f | ..b' ' => return None,
            _ => end += 1,
        }
    }
    // Two quotes may be the beginning of three.
    if end == quote + 1 {
        return None;
    }
    let comma = gap(bytes, end + 1)?;
    (bytes.get(comma) == Some(&b',')).then_some(Plain {
        quote,
        end,
        after: comma + 1,
    })
}

/// The end of blanks, ends of lines and comments.
#[inline]
fn gap(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            b' ' | b'\t' | b'\n' => at += 1,
            b'\r' if bytes.get(at + 1) == Some(&b'\n') => at += 2,
            b'#' => loop {
                at += 1;
                match *bytes.get(at)? {
                    b'\n' | b'\r' => break,
                    b'\t' => {}
                    0x7f | ..b' ' => return None,
                    _ => {}
                }
            },
            _ => return Some(at),
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
