//! The values that are in effect, and where each comes from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Serialize, Serializer};
use toml::Value;
use toml::de::DeTable;

use super::{Config, DEFAULT_TEXT, place};

/// One key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// As in the file; in a section as `limits.policies`.
    pub key: String,
    /// The value in effect.
    pub value: Value,
    /// Where it comes from.
    pub origin: ValueOrigin,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueOrigin {
    /// No source names it.
    Default,
    /// The file, with line and column.
    File(String),
    /// The environment variable of this name.
    Environment(&'static str),
    /// The option of this name.
    Option(&'static str),
}

impl fmt::Display for ValueOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) => f.write_str(place),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Option(name) => write!(f, "option {name}"),
        }
    }
}

/// Keys that environment variables override.
const VARIABLES: [(&str, &str); 3] = [
    ("socket", "NETPOLICY_SOCKET"),
    ("state_dir", "NETPOLICY_STATE_DIR"),
    ("bpffs_dir", "NETPOLICY_BPFFS_DIR"),
];

/// Keys that a file may also have under a former name.
const FORMER: [(&str, &str); 1] = [("hook", "xdp_mode")];

/// All settings, in the default file's order. `file`: its name and text, if there is one;
/// `options`: the keys that options override, with the option's name.
#[must_use]
pub fn settings(
    config: &Config,
    file: Option<(&Path, &str)>,
    environment: impl Fn(&str) -> Option<OsString>,
    options: &[(&'static str, &'static str)],
) -> Vec<Setting> {
    let of = |known: &[(&'static str, &'static str)], key: &str| {
        known.iter().find(|(k, _)| *k == key).map(|(_, name)| *name)
    };
    let is_set = |name: &&str| environment(name).is_some_and(|value| !value.is_empty());
    let places = file.map(|(path, text)| places(path, text));
    let found = values(config).into_iter().map(|(key, value)| {
        let in_file = || {
            let places = places.as_ref()?;
            let former = || places.get(of(&FORMER, &key)?);
            let (_, place) = places.get(&key).or_else(former)?;
            Some(place.clone())
        };
        let origin = if let Some(option) = of(options, &key) {
            ValueOrigin::Option(option)
        } else if let Some(name) = of(&VARIABLES, &key).filter(is_set) {
            ValueOrigin::Environment(name)
        } else {
            in_file().map_or(ValueOrigin::Default, ValueOrigin::File)
        };
        Setting { key, value, origin }
    });
    let mut found: Vec<_> = found.collect();
    let order = self::places(Path::new(""), DEFAULT_TEXT);
    found.sort_by_key(|setting| order.get(&setting.key).map(|(offset, _)| *offset));
    found
}

/// The keys whose values differ.
#[must_use]
pub fn differing_keys(one: &Config, other: &Config) -> Vec<String> {
    let others = values(other);
    let differ = |(key, value): &(String, Value)| others.get(key) != Some(value);
    let found = values(one).into_iter().filter(differ);
    found.map(|(key, _)| key).collect()
}

/// All values by key.
fn values(config: &Config) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    // Paths are written lossily, and everything else has a form in TOML.
    if let Ok(Value::Table(table)) = Value::try_from(config) {
        flatten("", table, &mut found);
    }
    found
}

fn flatten(prefix: &str, table: toml::Table, into: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            Value::Table(inner) => flatten(&format!("{key}."), inner, into),
            value => {
                into.insert(key, value);
            }
        }
    }
}

/// The offset and the place of each key of a file; of those that can be read.
fn places(path: &Path, text: &str) -> BTreeMap<String, (usize, String)> {
    fn add(
        prefix: &str,
        table: &DeTable<'_>,
        at: &dyn Fn(usize) -> String,
        into: &mut BTreeMap<String, (usize, String)>,
    ) {
        for (key, value) in table {
            let (name, offset) = (format!("{prefix}{}", key.get_ref()), key.span().start);
            match value.get_ref().as_table() {
                Some(inner) => add(&format!("{name}."), inner, at, into),
                None => drop(into.insert(name, (offset, at(offset)))),
            }
        }
    }
    let mut found = BTreeMap::new();
    let (table, _) = DeTable::parse_recoverable(text);
    add(
        "",
        table.get_ref(),
        &|offset| place(path, text, offset),
        &mut found,
    );
    found
}

pub(super) fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    path.to_string_lossy().serialize(serializer)
}

pub(super) fn interval<S: Serializer>(
    interval: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let text = humantime::format_duration(*interval).to_string();
    text.serialize(serializer)
}

#[cfg(test)]
mod tests;
