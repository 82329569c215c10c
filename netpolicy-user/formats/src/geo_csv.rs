//! CSV of networks by country or autonomous system: GeoLite2 of MaxMind; ranges as
//! ip-location-db and DB-IP publish them; ranges of numbers as IP2Location does.

use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};

use csv::StringRecord;
use netpolicy_policy::model::address;
use netpolicy_policy::model::error::Excerpt;

use crate::collect::Collector;
use crate::crowdsec::csv_error;
use crate::error::Problem;
use crate::{Format, Place, mmdb};

const EXPECTED: &str =
    "FIRST,LAST,COUNTRY or FIRST,LAST,AS, or a file of GeoLite2 with its heading";

/// What the columns of the following rows are.
#[derive(Clone, Copy, Debug)]
enum Columns {
    /// First and last address, then country or AS.
    Range,
    /// Network and geoname of its country.
    Geoname { network: usize, geoname: usize },
    /// Network, AS number and name.
    Asn { network: usize, asn: usize },
    /// Geoname and country.
    Location { geoname: usize, country: usize },
}

/// Whether a line is of such a file.
pub(crate) fn is_line(line: &str) -> bool {
    let fields: Vec<_> = line
        .split(',')
        .map(|field| field.trim().trim_matches('"'))
        .collect();
    heading(fields.iter().copied()).is_some()
        || matches!(fields[..], [first, last, of, ..]
            if range(first, last).is_some() && (is_country(of) || is_number(of) || of == "-"))
}

fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The columns that a heading names.
fn heading<'t>(names: impl Iterator<Item = &'t str>) -> Option<Columns> {
    let names: Vec<_> = names.collect();
    let at = |name: &str| names.iter().position(|found| *found == name);
    if let (Some(geoname), Some(country)) = (at("geoname_id"), at("country_iso_code")) {
        return Some(Columns::Location { geoname, country });
    }
    let network = at("network")?;
    if let Some(asn) = at("autonomous_system_number") {
        return Some(Columns::Asn { network, asn });
    }
    at("geoname_id").map(|geoname| Columns::Geoname { network, geoname })
}

/// A range as text, of addresses or of their numbers.
fn range(first: &str, last: &str) -> Option<String> {
    let address = |text: &str| -> Option<String> {
        if let Ok(number) = text.parse::<u128>() {
            return Some(match u32::try_from(number) {
                Ok(number) => Ipv4Addr::from(number).to_string(),
                Err(_) => Ipv6Addr::from(number).to_string(),
            });
        }
        address::parse(text).is_ok().then(|| text.to_owned())
    };
    Some(format!("{}-{}", address(first)?, address(last)?))
}

/// What was seen of a file.
#[derive(Debug, Default)]
struct Seen {
    countries: BTreeSet<String>,
    has_asn: bool,
    /// Rows that name a country by a number of which nothing is known.
    unknown: usize,
    has_networks: bool,
}

/// Reads networks of countries and autonomous systems.
pub(crate) fn read(text: &str, into: &mut Collector<'_>) {
    let format = Format::GeoCsv;
    if into.filter.country.is_empty() && into.filter.asn.is_empty() {
        into.error(None, Problem::Unselected { format });
        return;
    }
    let mut builder = csv::ReaderBuilder::new();
    let mut reader = builder
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut columns = Columns::Range;
    let mut locations: HashMap<String, String> = HashMap::new();
    let mut seen = Seen::default();
    let mut record = StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                csv_error(&error, text, into);
                return;
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        let at = Place::line(u32::try_from(line).unwrap_or(u32::MAX));
        if let Some(next) = heading(record.iter().map(str::trim)) {
            columns = next;
            continue;
        }
        if row(&record, columns, at, &mut locations, &mut seen, into).is_none() {
            let found = record.iter().collect::<Vec<_>>().join(",");
            let found = Excerpt::new(&found);
            let expected = EXPECTED;
            into.refuse(
                at,
                Problem::Line {
                    format,
                    found,
                    expected,
                },
            );
        }
        if into.is_done() {
            return;
        }
    }
    finish(&seen, !locations.is_empty(), into);
}

/// Reads a row; `None` if it has not the columns that it should have.
fn row(
    record: &StringRecord,
    columns: Columns,
    at: Place,
    locations: &mut HashMap<String, String>,
    seen: &mut Seen,
    into: &mut Collector<'_>,
) -> Option<()> {
    let field = |column: usize| record.get(column).map(str::trim);
    match columns {
        Columns::Location { geoname, country } => {
            locations.insert(field(geoname)?.to_owned(), field(country)?.to_owned());
        }
        Columns::Geoname { network, geoname } => {
            let (net, geoname) = (field(network)?, field(geoname)?);
            seen.has_networks = true;
            match locations.get(geoname) {
                Some(country) => one(net, Some(country), None, "", at, seen, into),
                None => seen.unknown += usize::from(!geoname.is_empty()),
            }
        }
        Columns::Asn { network, asn } => {
            let (net, number) = (field(network)?, field(asn)?.parse().ok()?);
            one(
                net,
                None,
                Some(number),
                field(asn + 1).unwrap_or(""),
                at,
                seen,
                into,
            );
        }
        Columns::Range => {
            let (first, last, of) = (field(0)?, field(1)?, field(2)?);
            let span = range(first, last)?;
            let name = field(3).unwrap_or("");
            if is_number(of) {
                one(&span, None, Some(of.parse().ok()?), name, at, seen, into);
            } else if is_country(of) {
                one(&span, Some(of), None, "", at, seen, into);
            } else if !matches!(of, "" | "-") {
                return None;
            }
        }
    }
    Some(())
}

fn one(
    net: &str,
    country: Option<&str>,
    asn: Option<u32>,
    name: &str,
    at: Place,
    seen: &mut Seen,
    into: &mut Collector<'_>,
) {
    seen.has_networks = true;
    seen.has_asn |= asn.is_some();
    if let Some(country) = country
        && !seen.countries.contains(country)
    {
        seen.countries.insert(country.to_ascii_uppercase());
    }
    if into.filter.wants_geo(country, asn) {
        let of = match (country, asn) {
            (Some(country), _) => country.to_owned(),
            (None, asn) => format!("AS{}", asn.unwrap_or_default()),
        };
        into.add(net, at, Some(&format!("{of} {name}")), None);
    }
}

fn finish(seen: &Seen, has_locations: bool, into: &mut Collector<'_>) {
    const JOIN: &str = "as in `cat GeoLite2-Country-Locations-en.csv GeoLite2-Country-Blocks-IPv4.csv | \
         netpolicy import --country DE -`";
    if seen.unknown > 0 && !has_locations {
        let why = format!(
            "the networks name countries by number (geoname_id); put the file of locations before them, {JOIN}"
        );
        into.error(None, Problem::Entry(why));
    } else if has_locations && !seen.has_networks {
        let why =
            format!("it has locations and no networks; put the file of blocks after it, {JOIN}");
        into.error(None, Problem::Entry(why));
    } else {
        mmdb::missing("CSV", &seen.countries, seen.has_asn, into);
    }
}
