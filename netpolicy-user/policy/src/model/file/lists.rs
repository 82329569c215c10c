//! Tables of named lists.

use super::FileList;
use super::document::TomlTable;
use super::read::{FileReader, Repeated};
use crate::model::error::Noun;
use crate::model::name::list_name;
use crate::model::{NamedList, NetworkRule};

/// The key of what SQL has to know of a list.
pub(super) const NETWORK_RULE: &str = "network_rule";

impl FileReader<'_, '_> {
    /// Reads all `[[list]]` and `[[feed]]`. `None` after a syntax error.
    pub(super) fn lists(&mut self, root: &TomlTable<'_>) -> Option<Vec<FileList>> {
        const KEYS: &[&str] = &[
            "name",
            "comment",
            "entries",
            "file",
            "allow_empty",
            "max_shrink",
            NETWORK_RULE,
        ];
        let mut lists = Vec::new();
        let mut seen = Repeated::new(Noun::List);
        for table in root.tables("list", "[[list]]", self.report) {
            let table = table.with_keys(KEYS, self.report);
            let name = self.name(&table, "\"bad-hosts\"", list_name);
            let of = name.as_ref().map(|(name, _)| name);
            let tolerance = self.tolerance(&table);
            let like = |list: &&NamedList| of.is_some_and(|name| list.name.is_like(name));
            let earlier = self.earlier.state.lists.iter().find(like);
            let earlier = earlier.map(|list| &list.entries);
            let keys = ("entries", "file");
            let (entries, _) = self
                .rules(&table, None, keys, tolerance, (of, earlier))?
                .unwrap_or_default();
            let comment = self.comment(&table);
            let rule = self.network_rule(&table);
            let max_shrink = self.max_shrink(&table);
            let Some((name, place)) = name else { continue };
            if !seen.is_new(&name, &place, self.report) {
                continue;
            }
            lists.push(FileList {
                name,
                entries,
                rule,
                feed: None,
                max_shrink,
                comment,
            });
        }
        self.feeds(root, &mut seen, &mut lists);
        Some(lists)
    }

    fn network_rule(&mut self, table: &TomlTable<'_>) -> Option<NetworkRule> {
        const KEYS: &[&str] = &["type", "mode", "database", "schema", "values"];
        const TITLE: &str = "a table, as in { type = \"IPV4\", mode = \"INGRESS\" }";
        let table = table.table(NETWORK_RULE, TITLE, self.report)?;
        let place = self.document.place(table.offset());
        let table = table.with_keys(KEYS, self.report);
        let word = |found: Option<(&str, usize)>| found.map(|(text, _)| text.to_owned());
        let kind = word(table.required("type", "\"IPV4\"", self.report));
        let mode = word(table.required("mode", "\"INGRESS\"", self.report));
        let database = word(table.string("database", "a string", self.report));
        let schema = word(table.string("schema", "a string", self.report));
        let values = table.strings("values", "an array of strings", false, self.report);
        let values = values.unwrap_or_default().into_iter().map(|(text, _)| text);
        let rule = NetworkRule {
            kind: kind?,
            mode: mode?,
            database,
            schema,
            values: values.collect(),
        };
        if let Err(problem) = rule.check() {
            self.report.error_at(Some(place), problem);
        }
        Some(rule)
    }
}
