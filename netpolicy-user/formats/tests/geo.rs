//! Networks by country and autonomous system.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use netpolicy_formats::{Filter, Format};

use common::{asn, country, errors, file, read_file, shown};

/// By the documentation of GeoLite2, ip-location-db and IP2Location.
#[test]
fn csv_is_selected_by_country_and_autonomous_system() {
    let geolite = read_file("geolite2-country.csv", Format::GeoCsv, &country("de"));
    assert_eq!(
        shown(&geolite),
        ["5: 192.0.2.0/25 # DE", "7: 198.51.100.0/24 # DE"]
    );
    let systems = read_file("geolite2-asn.csv", Format::GeoCsv, &asn(64500));
    assert_eq!(shown(&systems), ["2: 192.0.2.0/24 # AS64500 Example, Inc."]);
    let ranges = read_file("ip-location-country.csv", Format::GeoCsv, &country("DE"));
    assert_eq!(
        shown(&ranges),
        [
            "1: 192.0.2.0/24 # DE",
            "3: 198.51.100.128-198.51.101.0 # DE",
            "4: 2001:db8::/32 # DE",
        ]
    );
    let numbers = read_file("ip2location.csv", Format::GeoCsv, &country("DE"));
    assert_eq!(
        shown(&numbers),
        ["1: 192.0.2.0/24 # DE", "3: 203.0.113.0/24 # DE"]
    );

    let without = String::from_utf8(file("geolite2-country.csv")).unwrap();
    let blocks: Vec<_> = without.lines().skip(3).collect();
    let found = errors(blocks.join("\n").as_bytes(), &country("DE"));
    assert!(
        found[0].contains("put the file of locations before them"),
        "{found:?}"
    );
    let found = errors(&file("ip-location-country.csv"), &Filter::default());
    assert!(
        found[0].contains("select: netpolicy import FILE --country XX, or --as NUMBER"),
        "{found:?}"
    );
    let found = errors(&file("ip-location-country.csv"), &country("XX"));
    assert_eq!(
        found,
        ["f: no entry is selected by --country XX; there are: DE, FR"]
    );
}

/// GeoLite2 test databases of <https://github.com/maxmind/MaxMind-DB> (MIT or Apache-2.0).
#[test]
fn mmdb_is_selected_by_country_and_autonomous_system() {
    let gb = read_file("GeoLite2-Country-Test.mmdb", Format::Mmdb, &country("GB"));
    let nets: Vec<_> = gb
        .entries
        .iter()
        .map(|entry| entry.net.to_string())
        .collect();
    assert!(nets.contains(&"2.125.160.216/29".to_owned()), "{nets:?}");
    assert!(
        !nets.iter().any(|net| net.starts_with("::ffff:")),
        "{nets:?}"
    );
    let system = read_file("GeoLite2-ASN-Test.mmdb", Format::Mmdb, &asn(15169));
    assert!(
        shown(&system)
            .iter()
            .all(|line| line.contains("AS15169 Google")),
        "{:?}",
        shown(&system)
    );
    assert!(!system.entries.is_empty());
    let found = errors(&file("GeoLite2-ASN-Test.mmdb"), &country("GB"));
    assert!(
        found[0].contains("autonomous systems, but no countries"),
        "{found:?}"
    );
}

/// As IPinfo names its keys; written by mmdb_writer 0.2.7.
#[test]
fn mmdb_of_other_keys_is_read() {
    let de = read_file("ipinfo-lite.mmdb", Format::Mmdb, &country("DE"));
    assert_eq!(
        shown(&de),
        [
            "0: 192.0.2.0/24 # DE AS64500",
            "0: 2001:db8::/32 # DE AS64500"
        ]
    );
    let system = read_file("ipinfo-lite.mmdb", Format::Mmdb, &asn(64501));
    assert_eq!(shown(&system), ["0: 198.51.100.0/24 # FR AS64501"]);
}
