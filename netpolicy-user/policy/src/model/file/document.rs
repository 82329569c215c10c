//! Typed access to parsed TOML, which reports what does not fit.

use jiff::Timestamp;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::text::TomlDocument;
use crate::model::error::{Excerpt, Problem, closest};
use crate::model::report::Report;

/// A table of the document, with the keys that it may have.
#[derive(Clone, Copy)]
pub(super) struct TomlTable<'d> {
    document: &'d TomlDocument<'d>,
    entries: &'d DeTable<'d>,
    title: &'static str,
    offset: usize,
}

/// A value in a list of texts, and where it begins.
pub(super) type SpannedText = (String, usize);

impl<'d> TomlTable<'d> {
    /// The whole document as a table.
    pub(super) fn root(document: &'d TomlDocument<'d>, entries: &'d DeTable<'d>) -> Self {
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

    /// An instant, as a string or as TOML's own date and time.
    pub(super) fn time(&self, key: &'static str, report: &mut Report) -> Option<Timestamp> {
        const EXPECTED: &str = "a time with its zone, as in \"2030-01-31T12:00:00Z\"";
        let value = self.get(key)?;
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(time) => time.to_string(),
            _ => return self.wrong_type(key, value, EXPECTED, report),
        };
        let found = text.parse().ok();
        if found.is_none() {
            let problem = Problem::WrongValue {
                key,
                found: Excerpt::new(&text),
                expected: EXPECTED,
            };
            report.error_at(Some(self.document.place(value.span().start)), problem);
        }
        found
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
    ) -> Option<Vec<SpannedText>> {
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
