//! A policy file's text: parsed, with the places of all that is in it.

use std::cell::Cell;
use std::ops::ControlFlow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::items::{self, ArrayItem, SyntaxError, TextCursor};
use super::outline::{Array, Outline};
use crate::model::address::is_typographic_quote;
use crate::model::error::{Place, Problem};
use crate::model::report::Report;

/// Bytes up to which all syntax errors are looked for; in longer texts only the first.
const THOROUGH: usize = 1 << 20;

/// Syntax errors after which the rest is not read: it is no policy file.
const HOPELESS: usize = 100;

/// A policy file's text, and its outline if it is long.
pub(super) struct Text<'t> {
    name: &'t str,
    whole: &'t str,
    outline: Option<Outline>,
}

impl<'t> Text<'t> {
    /// A text of this name.
    pub(super) fn new(name: &'t str, text: &'t str) -> Self {
        Self::with_outline_from(THOROUGH, name, text)
    }

    /// As [`Self::new`]; texts of more than so many bytes have an outline.
    pub(super) fn with_outline_from(length: usize, name: &'t str, text: &'t str) -> Self {
        let whole = text.strip_prefix('\u{feff}').unwrap_or(text);
        let start = &whole[..whole.floor_char_boundary(THOROUGH)];
        // What is cut off makes an error or two of its own; this many say that no more of
        // the text need be looked at.
        let is_hopeless =
            || start.len() < whole.len() && DeTable::parse_recoverable(start).1.len() > HOPELESS;
        let has_outline = whole.len() > length && !is_binary(whole) && !is_hopeless();
        Self {
            name,
            whole,
            outline: has_outline.then(|| Outline::of(whole)),
        }
    }
}

fn is_binary(text: &str) -> bool {
    text.as_bytes().contains(&0)
}

/// A parsed text.
pub(super) struct TomlDocument<'t> {
    text: &'t Text<'t>,
    /// What offsets are counted from, less one, while items of an array are visited.
    base: Cell<Option<usize>>,
    /// A place, from which later ones are counted: a file may have millions of lines, or
    /// one of a hundred thousand rules.
    last: Cell<TextCursor>,
}

impl<'t> TomlDocument<'t> {
    /// Parses a text; `None`, with the errors reported, if it is no TOML.
    pub(super) fn parse(text: &'t Text<'t>, report: &mut Report) -> Option<(Self, DeTable<'t>)> {
        let document = Self {
            text,
            base: Cell::new(None),
            last: Cell::new(TextCursor::START),
        };
        if is_binary(text.whole) {
            let place = Place {
                source: text.name.into(),
                line: 0,
                column: 0,
            };
            report.error_at(Some(place), Problem::Binary);
            return None;
        }
        let (root, mut errors) = match &text.outline {
            Some(outline) => {
                if let Some(array) = outline.unclosed()
                    && let Err(error) = document.items(array, |_| ControlFlow::Continue(()))
                {
                    document.syntax_error_in_items(&error, report);
                    return None;
                }
                match DeTable::parse(outline.text()) {
                    Ok(root) => (Some(root), Vec::new()),
                    Err(error) => (None, vec![error]),
                }
            }
            None => {
                let start = &text.whole[..text.whole.floor_char_boundary(THOROUGH)];
                if start.len() < text.whole.len() {
                    report.give_up();
                }
                let (root, errors) = DeTable::parse_recoverable(start);
                (Some(root), errors)
            }
        };
        errors.sort_by_key(|error| error.span().map_or(usize::MAX, |span| span.start));
        let mut line = 0;
        for error in &errors {
            document.syntax_error(error, &mut line, report);
        }
        let root = root.filter(|_| errors.is_empty())?;
        Some((document, root.into_inner()))
    }

    /// The items that were left out of what was parsed as this array.
    pub(super) fn left_out(&self, array: &Spanned<DeValue<'_>>) -> Option<&'t Array> {
        let outline = self.text.outline.as_ref()?;
        outline.array(array.span().start)
    }

    /// Visits such items.
    ///
    /// # Errors
    /// They are no TOML; see [`Self::syntax_error_in_items`].
    pub(super) fn items(
        &self,
        array: &Array,
        mut visit: impl FnMut(ArrayItem<'_>) -> ControlFlow<()>,
    ) -> Result<(), SyntaxError> {
        let (text, closed) = (self.text.whole, array.is_closed);
        let mut cursor = self.cursor(array.items.start);
        cursor.advance(text, array.items.start);
        items::visit(text, array.items.clone(), closed, cursor, |item| {
            if let ArrayItem::Parsed(_, base) = item {
                self.base.set(Some(base));
            }
            let flow = visit(item);
            self.base.set(None);
            flow
        })
    }

    /// Reports a syntax error among items.
    pub(super) fn syntax_error_in_items(&self, error: &SyntaxError, report: &mut Report) {
        self.base.set(Some(error.base));
        self.syntax_error(&error.error, &mut 0, report);
        self.base.set(None);
    }

    /// Reports a syntax error, unless it is on the `line` of the one before: what
    /// follows from that one.
    fn syntax_error(&self, error: &toml::de::Error, line: &mut u32, report: &mut Report) {
        let offset = match error.span() {
            Some(span) => self.original(span.start),
            None => self.text.whole.len(),
        };
        let place = self.place_of(offset);
        if std::mem::replace(line, place.line) == place.line {
            return;
        }
        let rest = self.text.whole.get(offset..);
        let found = rest.and_then(|rest| rest.chars().next());
        let message = match found.filter(|c| is_typographic_quote(*c)) {
            Some(quote) => {
                let code = u32::from(quote);
                format!("{quote} (U+{code:04X}) is a typographic quote; use plain ASCII quotes")
            }
            None => error.message().replace('\n', " "),
        };
        report.error_at(Some(place), Problem::Toml { message });
    }

    /// What the text is called.
    pub(super) fn name(&self) -> &'t str {
        self.text.name
    }

    /// The place of an offset in what was parsed.
    pub(super) fn place(&self, offset: usize) -> Place {
        self.place_of(self.original(offset))
    }

    /// Line and column, from 1, of an offset in what was parsed.
    pub(super) fn position(&self, offset: usize) -> (u32, u32) {
        self.position_of(self.original(offset))
    }

    /// Line and column, from 1, of an offset in the whole text.
    pub(super) fn position_of(&self, offset: usize) -> (u32, u32) {
        let text = self.text.whole;
        let offset = offset.min(text.len());
        let mut cursor = self.cursor(offset);
        let position = cursor.advance(text, offset);
        self.last.set(cursor);
        position
    }

    /// A place before an offset. Most are looked up in their order.
    fn cursor(&self, offset: usize) -> TextCursor {
        let last = self.last.get();
        if last.offset <= offset {
            last
        } else {
            TextCursor::START
        }
    }

    fn place_of(&self, offset: usize) -> Place {
        let (line, column) = self.position_of(offset);
        Place {
            source: self.text.name.into(),
            line,
            column,
        }
    }

    /// Where in the whole text an offset in what was parsed is.
    fn original(&self, offset: usize) -> usize {
        match (self.base.get(), &self.text.outline) {
            (Some(base), _) => (base + offset).saturating_sub(1),
            (None, Some(outline)) => outline.original(offset),
            (None, None) => offset,
        }
    }
}
