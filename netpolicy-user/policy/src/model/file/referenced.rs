//! The list files that a policy file names.

use super::document::TomlTable;
use super::read::FILES;
use super::text::{Text, TomlDocument};
use crate::model::change::SourceText;
use crate::model::report::Report;

/// See [`super::referenced_lists`].
pub(super) fn referenced_lists(file: &SourceText, report: &mut Report) -> Vec<String> {
    let text = Text::new(&file.name, &file.text);
    let mut names = Vec::new();
    if let Some((document, root)) = TomlDocument::parse(&text, report) {
        list_names(&TomlTable::root(&document, &root), &mut names);
    }
    names
}

/// Adds the list files that the policies and lists of a table name, each once.
fn list_names(root: &TomlTable<'_>, names: &mut Vec<String>) {
    // What does not fit is reported when the file is read.
    let mut ignored = Report::default();
    let lists = root.tables("list", "[[list]]", &mut ignored);
    let policies = root.tables("policy", "[[policy]]", &mut ignored);
    let keys = |keys: &'static [&'static str]| move |table| (table, keys);
    let lists = lists.into_iter().map(keys(&["file"]));
    let policies = policies
        .into_iter()
        .map(keys(&["allow_file", "block_file", "except_file"]));
    for (table, keys) in lists.chain(policies) {
        for key in keys {
            let found = table.strings(key, FILES, false, &mut ignored);
            for (name, _) in found.unwrap_or_default() {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
    }
}
