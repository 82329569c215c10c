//! TOML with places: parsing, and typed access that reports what does not fit.

use std::cell::Cell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::pieces::pieces;
use crate::model::address::is_typographic_quote;
use crate::model::error::{Excerpt, Place, Problem, closest};
use crate::model::report::Report;

/// Bytes up to which all syntax errors are looked for; in longer texts only the first.
const THOROUGH: usize = 1 << 20;

/// Syntax errors after which the rest is not read: it is no policy file.
const HOPELESS: usize = 100;

/// A text of which only places are needed.
pub(super) struct Document<'t> {
    name: &'t str,
    text: &'t str,
    /// Where the piece begins that offsets are counted from.
    base: Cell<usize>,
    /// A place, from which later ones are counted: a file may have millions of lines, or
    /// one of a hundred thousand rules.
    last: Cell<Spot>,
}

/// An offset in the whole text with its line and column, from 1.
#[derive(Clone, Copy)]
struct Spot {
    offset: usize,
    line: u32,
    column: u32,
}

const START: Spot = Spot {
    offset: 0,
    line: 1,
    column: 1,
};

/// A document's tables.
pub(super) struct Tables<'t> {
    /// All of them, or all but the policies.
    pub(super) root: DeTable<'t>,
    /// The policies, each still to be parsed; empty: they are in the root.
    pub(super) policies: Vec<Range<usize>>,
}

impl<'t> Document<'t> {
    /// Parses a TOML text; `None`, with all errors reported, if it is none.
    pub(super) fn parse(
        name: &'t str,
        text: &'t str,
        report: &mut Report,
    ) -> Option<(Self, Tables<'t>)> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.as_bytes().contains(&0) {
            let place = Place {
                source: name.into(),
                line: 0,
                column: 0,
            };
            report.error_at(Some(place), Problem::Binary);
            return None;
        }
        let start = &text[..text.floor_char_boundary(THOROUGH)];
        let (mut table, mut errors) = DeTable::parse_recoverable(start);
        let mut policies = Vec::new();
        if start.len() < text.len() {
            // What is cut off makes an error or two of its own; this many say that no
            // more of the text need be looked at.
            if errors.len() > HOPELESS {
                report.give_up();
            } else {
                drop(std::mem::take(table.get_mut()));
                policies = pieces(text).unwrap_or_default();
                let end = policies.first().map_or(text.len(), |first| first.start);
                match DeTable::parse(&text[..end]) {
                    // Something else than tables of policies has their name.
                    Ok(part) if !policies.is_empty() && part.get_ref().contains_key("policy") => {
                        policies.clear();
                        match DeTable::parse(text) {
                            Ok(whole) => (table, errors) = (whole, Vec::new()),
                            Err(error) => errors = vec![error],
                        }
                    }
                    Ok(part) => (table, errors) = (part, Vec::new()),
                    Err(error) => errors = vec![error],
                }
            }
        }
        let document = Self {
            name,
            text,
            base: Cell::new(0),
            last: Cell::new(START),
        };
        errors.sort_by_key(|error| error.span().map_or(usize::MAX, |span| span.start));
        let mut line = 0;
        for error in &errors {
            document.syntax_error(error, &mut line, report);
        }
        let root = table.into_inner();
        let tables = Tables { root, policies };
        errors.is_empty().then_some((document, tables))
    }

    /// Parses a piece of the text: offsets are counted from its beginning from now on.
    /// `None`, with the error reported, if it is no TOML.
    pub(super) fn piece(&self, piece: Range<usize>, report: &mut Report) -> Option<DeTable<'t>> {
        self.base.set(piece.start);
        match DeTable::parse(&self.text[piece]) {
            Ok(table) => Some(table.into_inner()),
            Err(error) => {
                self.syntax_error(&error, &mut 0, report);
                None
            }
        }
    }

    /// Reports a syntax error, unless it is on the `line` of the one before: what
    /// follows from that one.
    fn syntax_error(&self, error: &toml::de::Error, line: &mut u32, report: &mut Report) {
        let offset = error.span().map_or(self.text.len(), |span| span.start);
        let place = self.place(offset);
        if std::mem::replace(line, place.line) == place.line {
            return;
        }
        let rest = self.text.get(self.base.get() + offset..);
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
        self.name
    }

    /// Line and column of an offset, from 1.
    pub(super) fn position(&self, offset: usize) -> (u32, u32) {
        let offset = (self.base.get() + offset).min(self.text.len());
        let known = self.last.get();
        // Most are asked for in their order.
        let Spot {
            offset: from,
            mut line,
            mut column,
        } = if known.offset <= offset { known } else { START };
        let mut passed = self.text.get(from..offset).unwrap_or_default();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        if let Some(last) = passed.rfind('\n') {
            let ends = passed.bytes().filter(|byte| *byte == b'\n').count();
            line = line.saturating_add(count(ends));
            column = 1;
            passed = &passed[last + 1..];
        }
        column = column.saturating_add(count(passed.chars().count()));
        self.last.set(Spot {
            offset,
            line,
            column,
        });
        (line, column)
    }

    /// The place of an offset.
    pub(super) fn place(&self, offset: usize) -> Place {
        let (line, column) = self.position(offset);
        Place {
            source: self.name.into(),
            line,
            column,
        }
    }
}

/// A table of the document, with the keys that it may have.
#[derive(Clone, Copy)]
pub(super) struct Table<'d> {
    document: &'d Document<'d>,
    entries: &'d DeTable<'d>,
    title: &'static str,
    offset: usize,
}

/// A value in a list of texts, and where it begins.
pub(super) type Text = (String, usize);

impl<'d> Table<'d> {
    /// The whole document as a table.
    pub(super) fn root(document: &'d Document<'d>, entries: &'d DeTable<'d>) -> Self {
        Self {
            document,
            entries,
            title: "the policy file",
            offset: 0,
        }
    }

    /// Where it begins.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// The same table, after every key that is not among `known` was reported.
    pub(super) fn with_keys(self, known: &'static [&'static str], report: &mut Report) -> Self {
        let mut unknown: Vec<_> = self
            .entries
            .iter()
            .filter(|(key, _)| !known.contains(&key.get_ref().as_ref()))
            .collect();
        unknown.sort_by_key(|(key, _)| key.span().start);
        for (key, _) in unknown {
            let text = key.get_ref();
            let problem = Problem::UnknownKey {
                key: Excerpt::new(text),
                table: self.title,
                closest: closest(text, known.iter().copied())
                    .and_then(|name| known.iter().find(|key| **key == name).copied()),
                known,
            };
            report.error_at(Some(self.document.place(key.span().start)), problem);
        }
        self
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.entries.get(key)
    }

    /// A table in this one.
    pub(super) fn table(
        &self,
        key: &'static str,
        title: &'static str,
        report: &mut Report,
    ) -> Option<Self> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Table(entries) => Some(self.inner(entries, title, value)),
            _ => self.wrong_type(key, value, title, report),
        }
    }

    /// An array of tables in this one.
    pub(super) fn tables(
        &self,
        key: &'static str,
        title: &'static str,
        report: &mut Report,
    ) -> Vec<Self> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            let _: Option<()> = self.wrong_type(key, value, title, report);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::Table(entries) => tables.push(self.inner(entries, title, item)),
                _ => {
                    let _: Option<()> = self.wrong_type(key, item, title, report);
                }
            }
        }
        tables
    }

    /// An inline table in an array of this one.
    pub(super) fn inner(
        &self,
        entries: &'d DeTable<'d>,
        title: &'static str,
        value: &Spanned<DeValue<'_>>,
    ) -> Self {
        Self {
            document: self.document,
            entries,
            title,
            offset: value.span().start,
        }
    }

    /// A text.
    pub(super) fn string(
        &self,
        key: &'static str,
        expected: &'static str,
        report: &mut Report,
    ) -> Option<(&'d str, usize)> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some((text, value.span().start)),
            _ => self.wrong_type(key, value, expected, report),
        }
    }

    /// A text that must be there.
    pub(super) fn required(
        &self,
        key: &'static str,
        example: &'static str,
        report: &mut Report,
    ) -> Option<(&'d str, usize)> {
        if self.get(key).is_none() {
            let problem = Problem::MissingKey {
                key,
                table: self.title,
                example,
            };
            report.error_at(Some(self.document.place(self.offset)), problem);
        }
        self.string(key, "a string", report)
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, key: &'static str, report: &mut Report) -> Option<bool> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => self.wrong_type(key, value, "true or false", report),
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &'static str,
        choices: &[(&str, T)],
        expected: &'static str,
        report: &mut Report,
    ) -> Option<T> {
        let (text, offset) = self.string(key, expected, report)?;
        let found = choices.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let problem = Problem::WrongValue {
                key,
                found: Excerpt::new(text),
                expected,
            };
            report.error_at(Some(self.document.place(offset)), problem);
        }
        found.map(|(_, value)| *value)
    }

    /// Several texts, or one. Integers count as texts where ports are expected.
    pub(super) fn strings(
        &self,
        key: &'static str,
        expected: &'static str,
        integers: bool,
        report: &mut Report,
    ) -> Option<Vec<Text>> {
        let value = self.get(key)?;
        let one;
        let items: &[_] = match value.get_ref() {
            DeValue::Array(items) => items,
            _ => {
                one = [value.clone()];
                &one
            }
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => texts.push((text.to_string(), item.span().start)),
                DeValue::Integer(number) if integers => {
                    texts.push((number.to_string(), item.span().start));
                }
                _ => {
                    let _: Option<()> = self.wrong_type(key, item, expected, report);
                }
            }
        }
        Some(texts)
    }

    /// An array.
    pub(super) fn array(
        &self,
        key: &'static str,
        expected: &'static str,
        report: &mut Report,
    ) -> Option<&'d DeArray<'d>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Array(items) => Some(items),
            _ => self.wrong_type(key, value, expected, report),
        }
    }

    /// Reports a value of the wrong type.
    pub(super) fn wrong_type<T>(
        &self,
        key: &'static str,
        value: &Spanned<DeValue<'_>>,
        expected: &'static str,
        report: &mut Report,
    ) -> Option<T> {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        let problem = Problem::WrongType {
            key,
            found,
            expected,
        };
        report.error_at(Some(self.document.place(value.span().start)), problem);
        None
    }
}
