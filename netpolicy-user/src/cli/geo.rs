//! `country:DE` and `as:64500` among rules: resolved here, with databases that the user names.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use netpolicy_formats::{Filter, Problem, Reading, read, write};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::input::bytes_of;
use super::list_file::{of_file, remarks};
use crate::model::change::SourceText;
use crate::model::counted;

/// Databases, and what was read of them.
#[derive(Debug, Default)]
pub(super) struct Geo {
    databases: Vec<PathBuf>,
    contents: HashMap<PathBuf, Vec<u8>>,
}

/// A country or an autonomous system as a rule names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GeoRegion {
    /// As written.
    text: String,
    filter: Filter,
    /// A name for a list of its networks.
    name: String,
}

impl GeoRegion {
    /// Reads `country:DE` or `as:64500`; `None` if it is neither.
    pub(super) fn read(text: &str) -> Option<Result<Self, String>> {
        let (kind, value) = text.trim().split_once(':')?;
        let mut filter = Filter::default();
        let region = |filter, name| {
            let text = text.trim().to_owned();
            Some(Ok(Self { text, filter, name }))
        };
        if kind.eq_ignore_ascii_case("country") {
            if value.len() != 2 || !value.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                let found = value.escape_debug();
                return Some(Err(format!(
                    "'country:{found}' is no country; expected two letters, as in country:DE"
                )));
            }
            filter.country.push(value.to_ascii_uppercase());
            return region(filter, format!("country-{}", value.to_ascii_lowercase()));
        }
        if !kind.eq_ignore_ascii_case("as") {
            return None;
        }
        match value.parse() {
            Ok(number) => {
                filter.asn.push(number);
                region(filter, format!("as-{number}"))
            }
            // "as::1" is an address.
            Err(_) if value.contains(':') => None,
            Err(_) => Some(Err(format!(
                "'as:{}' is no autonomous system; expected a number, as in as:64500",
                value.escape_debug()
            ))),
        }
    }
}

impl Geo {
    pub(super) fn new(databases: &[PathBuf]) -> Self {
        Self {
            databases: databases.to_vec(),
            contents: HashMap::new(),
        }
    }

    /// What is known of a region, and of which database it is.
    fn reading(&mut self, region: &GeoRegion) -> Result<(Reading, String), Vec<String>> {
        if self.databases.is_empty() {
            return Err(vec![format!(
                "'{}' needs a database of countries or autonomous systems: name one with --geo FILE, or in the configuration file as geo_databases",
                region.text
            )]);
        }
        let mut errors = Vec::new();
        for path in &self.databases {
            let name = path.display().to_string();
            let bytes = match self.contents.get(path) {
                Some(bytes) => bytes,
                None => {
                    let bytes = bytes_of(path).map_err(|error| vec![error])?;
                    self.contents.entry(path.clone()).or_insert(bytes)
                }
            };
            match read(None, bytes, &region.filter) {
                Ok(reading) if !reading.entries.is_empty() => return Ok((reading, name)),
                Ok(_) => errors.push(format!("{name}: holds nothing of {}", region.text)),
                // Another database may have it.
                Err(found)
                    if found
                        .iter()
                        .all(|error| matches!(error.problem, Problem::NoneSelected { .. })) =>
                {
                    errors.extend(of_file(&name, &found));
                }
                Err(found) => return Err(of_file(&name, &found)),
            }
        }
        Err(errors)
    }

    /// A region as a list file for a list that may hold the same networks already.
    pub(super) fn list(
        &mut self,
        region: &GeoRegion,
    ) -> Result<(SourceText, Vec<String>), Vec<String>> {
        let (reading, database) = self.reading(region)?;
        let mut text = String::new();
        for net in reading.entries.iter().flat_map(|entry| entry.net.nets()) {
            // A range may overlap with other rules; a network must not be there twice.
            let _ = writeln!(text, "{}-{}", net.network(), net.broadcast());
        }
        let notes = notes(region, &reading, &database);
        let name = region.text.clone();
        Ok((SourceText { name, text }, notes))
    }

    /// Puts a named list in place of each region in a policy file's `allow` and `block`.
    /// Gives the lists' texts; lines stay where they are.
    pub(super) fn resolve_file(
        &mut self,
        file: &mut SourceText,
    ) -> Result<(Vec<SourceText>, Vec<String>), Vec<String>> {
        let found = regions_of(file)?;
        let (mut lists, mut all_notes, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        let mut tables = String::new();
        for (_, region) in &found {
            if lists
                .iter()
                .any(|list: &SourceText| list.name == region.text)
            {
                continue;
            }
            match self.reading(region) {
                Ok((reading, database)) => {
                    all_notes.extend(notes(region, &reading, &database));
                    lists.push(SourceText {
                        name: region.text.clone(),
                        text: write::list_file(&reading),
                    });
                    let comment = format!("{} of {database}", region.text);
                    let _ = write!(
                        tables,
                        "\n[[list]]\nname = {:?}\nfile = {:?}\ncomment = {:?}\n",
                        region.name, region.text, comment
                    );
                }
                Err(more) => errors.extend(more),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        // From the end, so that places stay true.
        for (span, region) in found.iter().rev() {
            let reference = format!("\"@{}\"", region.name);
            file.text.replace_range(span.clone(), &reference);
        }
        if !file.text.ends_with('\n') && !tables.is_empty() {
            file.text.push('\n');
        }
        file.text.push_str(&tables);
        Ok((lists, all_notes))
    }
}

fn notes(region: &GeoRegion, reading: &Reading, database: &str) -> Vec<String> {
    let networks = counted(reading.entries.len(), "network", "networks");
    let mut notes = vec![format!("{}: {networks}, by {database}", region.text)];
    notes.extend(remarks(database, reading));
    notes
}

/// Regions in a policy file, with the places of their texts, in order.
fn regions_of(file: &SourceText) -> Result<Vec<(std::ops::Range<usize>, GeoRegion)>, Vec<String>> {
    let lower = file.text.to_ascii_lowercase();
    let may_have = ["\"country:", "'country:", "\"as:", "'as:"]
        .iter()
        .any(|start| lower.contains(start));
    if !may_have {
        return Ok(Vec::new());
    }
    // What is wrong with the file is said when it is read.
    let (root, _) = DeTable::parse_recoverable(&file.text);
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    let policies = root.get_ref().get("policy").map(Spanned::get_ref);
    for policy in policies.and_then(DeValue::as_array).into_iter().flatten() {
        let Some(policy) = policy.get_ref().as_table() else {
            continue;
        };
        for key in ["allow", "block", "except"] {
            let items = policy.get(key).and_then(|items| items.get_ref().as_array());
            for item in items.into_iter().flatten() {
                let Some(text) = item.get_ref().as_str() else {
                    continue;
                };
                match GeoRegion::read(text) {
                    Some(Ok(region)) => found.push((item.span(), region)),
                    Some(Err(error)) => {
                        let line = file.text[..item.span().start].matches('\n').count() + 1;
                        errors.push(format!("{}:{line}: {error}", file.name));
                    }
                    None => {}
                }
            }
        }
    }
    found.sort_by_key(|(span, _): &(std::ops::Range<usize>, GeoRegion)| span.start);
    match errors.is_empty() {
        true => Ok(found),
        false => Err(errors),
    }
}

/// Databases that options name, else those of the configuration.
pub(super) fn databases<'a>(named: &'a [PathBuf], configured: &'a [PathBuf]) -> &'a [PathBuf] {
    if named.is_empty() { configured } else { named }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `192.0.2.0/24` and `198.51.100.128-198.51.101.0` are in DE.
    const RANGES: &str = "192.0.2.0,192.0.2.255,DE\n198.51.100.0,198.51.100.127,FR\n";
    const SYSTEMS: &str = "192.0.2.0,192.0.2.255,64500,Example\n";

    fn geo(dir: &Path, texts: &[(&str, &str)]) -> Geo {
        let paths = texts.iter().map(|(name, text)| {
            let path = dir.join(name);
            std::fs::write(&path, text).unwrap();
            path
        });
        Geo::new(&paths.collect::<Vec<_>>())
    }

    #[test]
    fn regions_are_told_from_addresses() {
        assert!(GeoRegion::read("10.0.0.0/8").is_none());
        assert!(GeoRegion::read("2001:db8::1").is_none());
        assert!(GeoRegion::read("a5::1").is_none());
        let region = GeoRegion::read("country:de").unwrap().unwrap();
        assert_eq!(region.filter.country, ["DE"]);
        assert_eq!(region.name, "country-de");
        let region = GeoRegion::read("AS:64500").unwrap().unwrap();
        assert_eq!(region.filter.asn, [64500]);
        assert!(GeoRegion::read("country:Germany").unwrap().is_err());
        assert!(GeoRegion::read("as:x").unwrap().is_err());
    }

    #[test]
    fn region_in_policy_file_becomes_a_named_list() {
        let dir = tempfile::tempdir().unwrap();
        let mut geo = geo(dir.path(), &[("as.csv", SYSTEMS), ("geo.csv", RANGES)]);
        let mut file = SourceText {
            name: "p.toml".into(),
            text:
                "[[policy]]\nname = \"one\"\nblock = [\"country:DE\", \"as:64500\", \"10.0.0.1\"]\n"
                    .into(),
        };
        let (lists, notes) = geo.resolve_file(&mut file).unwrap();
        assert!(
            file.text
                .contains("block = [\"@country-de\", \"@as-64500\", \"10.0.0.1\"]"),
            "{}",
            file.text
        );
        assert_eq!(lists[0].text, "192.0.2.0/24  # DE\n");
        assert_eq!(lists[1].text, "192.0.2.0/24  # AS64500 Example\n");
        assert_eq!(notes.len(), 2);
        assert!(
            notes[0].starts_with("country:DE: 1 network, by "),
            "{notes:?}"
        );
        let names = crate::model::file::referenced_lists(&file).unwrap();
        assert_eq!(names, ["country:DE", "as:64500"]);
    }

    #[test]
    fn region_without_a_database_is_an_error_that_says_what_to_do() {
        let region = GeoRegion::read("country:DE").unwrap().unwrap();
        let errors = Geo::default().list(&region).unwrap_err();
        assert!(errors[0].contains("--geo FILE"), "{errors:?}");
        let dir = tempfile::tempdir().unwrap();
        let errors = geo(dir.path(), &[("as.csv", SYSTEMS)])
            .list(&region)
            .unwrap_err();
        assert!(
            errors[0].contains("autonomous systems, but no countries"),
            "{errors:?}"
        );
    }
}
