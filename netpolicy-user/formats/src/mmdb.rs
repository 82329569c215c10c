//! MaxMind databases of countries and autonomous systems, of MaxMind and of others.

use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;
use maxminddb::Reader;
use serde::Deserialize;

use crate::collect::Collector;
use crate::error::Problem;
use crate::{Entry, Format, Place, Span};

/// What stands before the metadata at the end of a database.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// How far from the end it stands at most: <https://maxmind.github.io/MaxMind-DB/>.
const TAIL: usize = 128 * 1024;

/// What a record says, by the keys that MaxMind, DB-IP, IPinfo and ip-location-db use.
#[derive(Debug, Deserialize)]
struct Record {
    #[serde(default)]
    country: Option<Country>,
    #[serde(default)]
    country_code: Option<String>,
    #[serde(default)]
    autonomous_system_number: Option<u32>,
    #[serde(default)]
    autonomous_system_organization: Option<String>,
    #[serde(default)]
    asn: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Country {
    Record {
        #[serde(default)]
        iso_code: Option<String>,
    },
    Code(String),
}

impl Record {
    fn country(&self) -> Option<&str> {
        let country = match &self.country {
            Some(Country::Record { iso_code }) => iso_code.as_deref(),
            // IPinfo has a name there, where it has a code as well.
            Some(Country::Code(code)) => Some(code.as_str()),
            None => None,
        };
        self.country_code.as_deref().or(country)
    }

    fn asn(&self) -> Option<u32> {
        let of_text = || self.asn.as_ref()?.trim_start_matches("AS").parse().ok();
        self.autonomous_system_number.or_else(of_text)
    }

    fn comment(&self) -> String {
        let organization = self.autonomous_system_organization.as_deref();
        let mut words = Vec::new();
        words.extend(self.country().map(ToOwned::to_owned));
        words.extend(self.asn().map(|asn| format!("AS{asn}")));
        words.extend(organization.map(ToOwned::to_owned));
        words.join(" ")
    }
}

/// Whether a file is such a database.
pub(crate) fn is_one(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(TAIL)..];
    tail.windows(MARKER.len()).any(|window| window == MARKER)
}

/// Reads the networks of countries and autonomous systems.
pub(crate) fn read(bytes: &[u8], into: &mut Collector<'_>) {
    let format = Format::Mmdb;
    if into.filter.country.is_empty() && into.filter.asn.is_empty() {
        into.error(None, Problem::Unselected { format });
        return;
    }
    if let Err(error) = networks(bytes, into) {
        let (syntax, why) = ("MaxMind database", error.to_string());
        into.error(None, Problem::Syntax { syntax, why });
    }
}

fn networks(bytes: &[u8], into: &mut Collector<'_>) -> Result<(), maxminddb::MaxMindDbError> {
    let reader = Reader::from_source(bytes)?;
    let kind = reader.metadata().database_type.clone();
    // Most networks share a few records.
    let mut records: HashMap<usize, Option<Box<str>>> = HashMap::new();
    let (mut countries, mut has_asn) = (BTreeSet::new(), false);
    for found in reader.networks(maxminddb::WithinOptions::default())? {
        let found = found?;
        let Some(offset) = found.offset() else {
            continue;
        };
        let comment = match records.get(&offset) {
            Some(known) => known,
            None => {
                let record = found.decode::<Record>()?;
                let mut comment = None;
                if let Some(record) = record {
                    has_asn |= record.asn().is_some();
                    countries.extend(record.country().map(ToOwned::to_owned));
                    if into.filter.wants_geo(record.country(), record.asn()) {
                        comment = Some(record.comment().into());
                    }
                }
                records.entry(offset).or_insert(comment)
            }
        };
        if let Some(comment) = comment {
            let network = found.network()?;
            let Ok(net) = IpNet::new(network.ip(), network.prefix()) else {
                continue;
            };
            let net = Span::Net(net.trunc());
            into.push(Entry {
                text: net.to_string().into(),
                net,
                comment: Some(comment.clone()),
                place: Place::default(),
                expires: None,
            });
            if into.is_done() {
                return Ok(());
            }
        }
    }
    missing(&kind, &countries, has_asn, into);
    Ok(())
}

/// Refuses a selection that the database has nothing of.
pub(crate) fn missing(
    kind: &str,
    countries: &BTreeSet<String>,
    has_asn: bool,
    into: &mut Collector<'_>,
) {
    let filter = into.filter;
    let unknown = |country: &&String| !countries.contains(&country.to_ascii_uppercase());
    let what = match filter.country.iter().find(unknown) {
        Some(country) => format!("--country {country}"),
        None if into.len() > 0 => return,
        None => {
            let asn = filter.asn.iter().map(|asn| format!("--as {asn}"));
            asn.collect::<Vec<_>>().join(" ")
        }
    };
    let known = match (countries.len(), has_asn) {
        (0, true) => format!("autonomous systems, but no countries ({kind})"),
        (0, false) => format!("neither countries nor autonomous systems ({kind})"),
        (1..=30, _) => countries.iter().cloned().collect::<Vec<_>>().join(", "),
        (count, _) => format!("{count} countries, by two letters as in DE ({kind})"),
    };
    into.error(None, Problem::NoneSelected { what, known });
}
