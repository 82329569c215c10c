//! Rules that stand in the policy file itself.

use std::ops::ControlFlow;

use toml::Spanned;
use toml::de::{DeArray, DeValue};

use super::document::TomlTable;
use super::items::ArrayItem;
use super::text::TomlDocument;
use crate::model::reader::{GivenNote, ListReader, RuleSpot};

/// Reads the array of a key into a list.
pub(super) struct Inline<'a, 'r> {
    reader: &'a mut ListReader<'r>,
    document: &'a TomlDocument<'a>,
    table: &'a TomlTable<'a>,
    key: &'static str,
    /// The file's number in the list: none as long as there is no rule.
    source: Option<u16>,
}

impl<'a, 'r> Inline<'a, 'r> {
    pub(super) fn new(
        reader: &'a mut ListReader<'r>,
        document: &'a TomlDocument<'a>,
        table: &'a TomlTable<'a>,
        key: &'static str,
    ) -> Self {
        Self {
            reader,
            document,
            table,
            key,
            source: None,
        }
    }

    /// Reads the array, of which `items` were parsed. `None`, with the error reported,
    /// after a syntax error.
    pub(super) fn read(mut self, items: &DeArray<'_>) -> Option<()> {
        let document = self.document;
        let value = self.table.get(self.key);
        let Some(array) = value.and_then(|value| document.left_out(value)) else {
            let _: ControlFlow<()> = self.parsed(items);
            return Some(());
        };
        let visited = document.items(array, |item| match item {
            ArrayItem::Plain(item) => {
                let (line, column) = item.position;
                self.one(line, column, |reader, spot| reader.text(spot, item.text))
            }
            ArrayItem::Parsed(items, _) => self.parsed(items),
        });
        if let Err(error) = visited {
            document.syntax_error_in_items(&error, self.reader.report());
            return None;
        }
        Some(())
    }

    fn parsed(&mut self, items: &DeArray<'_>) -> ControlFlow<()> {
        let (document, table, key) = (self.document, self.table, self.key);
        for item in items.iter() {
            let (line, column) = document.position(item.span().start);
            self.one(line, column, |reader, spot| match item.get_ref() {
                DeValue::String(text) => reader.text(spot, text),
                _ => rule_table(reader, spot, table, key, item),
            })?;
        }
        ControlFlow::Continue(())
    }

    fn one(
        &mut self,
        line: u32,
        column: u32,
        read: impl FnOnce(&mut ListReader<'r>, RuleSpot),
    ) -> ControlFlow<()> {
        let name = self.document.name();
        let source = self.source.or_else(|| self.reader.source(name, false));
        self.source = source;
        let Some(source) = source else {
            return ControlFlow::Break(());
        };
        let spot = RuleSpot {
            source,
            line,
            column,
        };
        read(self.reader, spot);
        if self.reader.is_done() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// Reads `{ address = "…", name = "…", comment = "…", expires = "…" }`.
fn rule_table<'d>(
    reader: &mut ListReader<'_>,
    spot: RuleSpot,
    parent: &TomlTable<'d>,
    key: &'static str,
    item: &'d Spanned<DeValue<'d>>,
) {
    let report = reader.report();
    let DeValue::Table(entries) = item.get_ref() else {
        let expected =
            "a string or { address = \"…\", name = \"…\", comment = \"…\", expires = \"…\" }";
        let _: Option<()> = parent.wrong_type(key, item, expected, report);
        return;
    };
    let table = parent.inner(entries, "a rule", item);
    let table = table.with_keys(&["address", "name", "comment", "expires"], report);
    let address = table.required("address", "\"10.0.0.0/8\"", report);
    let mut text = |key| table.string(key, "a string", report).map(|(text, _)| text);
    let (name, comment) = (text("name"), text("comment"));
    let expires = table.time("expires", report);
    if let Some((address, _)) = address {
        let some = |text: &&str| !text.is_empty();
        let given = GivenNote {
            name: name.filter(some),
            comment: comment.filter(some),
            expires,
        };
        reader.item(spot, address, given);
    }
}

#[cfg(test)]
mod tests;
