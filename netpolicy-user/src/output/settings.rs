//! `netpolicy config show`.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use super::{Render, RenderOptions, line, plain, write_table};

/// A key of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SettingView {
    /// As in the file; in a section as `limits.policies`.
    pub key: String,
    /// The value in effect.
    pub value: Value,
    /// "default", "file", "environment" or "option".
    pub source: String,
    /// Its place in the file, or the name of the variable or the option.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

impl Render for [SettingView] {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let row = |setting: &SettingView| {
            let source = match (setting.source.as_str(), &setting.at) {
                ("file", Some(place)) => place.clone(),
                (source, Some(at)) => format!("{source} {at}"),
                (source, None) => source.to_owned(),
            };
            vec![
                plain(line(&setting.key)),
                plain(line(&setting.value.to_string())),
                plain(line(&source)),
            ]
        };
        let rows = self.iter().map(row).collect();
        write_table(options, &["KEY", "VALUE", "FROM"], rows, out)
    }
}
