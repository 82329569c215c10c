//! Files that are no lists, or no longer: cut off, mixed, binary, in another encoding, too
//! long, too deep. Each is refused, with a place where there is one, and nothing is made up.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use netpolicy_formats::{
    Filter, Format, Options, Problem, Unrecognised, detect, hba, read, read_with,
};
use proptest::prelude::*;

/// Every file of the corpus, with a filter by which it gives entries.
fn corpus() -> Vec<(String, Vec<u8>, Filter)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join("../../tests/corpus/formats")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        let mut filter = Filter::default();
        match detect(&bytes).unwrap() {
            Format::GeoCsv | Format::Mmdb if name.to_lowercase().contains("asn") => {
                filter.asn = vec![64500, 15169];
            }
            Format::Mmdb if name.contains("ipinfo") => filter.country = vec!["DE".to_owned()],
            Format::GeoCsv => filter.country = vec!["DE".to_owned()],
            Format::Mmdb => filter.country = vec!["GB".to_owned()],
            Format::IpsetSave | Format::IpsetList => filter.set = vec!["bad4".to_owned()],
            Format::NftText | Format::NftJson => filter.set = vec!["bad".to_owned()],
            Format::IptablesSave => filter.set = vec!["INPUT:drop".to_owned()],
            _ => {}
        }
        found.push((name, bytes, filter));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(found.len() > 25, "{}", found.len());
    found
}

fn nets(bytes: &[u8], filter: &Filter) -> Option<BTreeSet<String>> {
    let reading = read(None, bytes, filter).ok()?;
    Some(
        reading
            .entries
            .iter()
            .map(|entry| entry.net.to_string())
            .collect(),
    )
}

#[test]
fn cut_off_file_gives_no_entry_that_the_whole_does_not_have() {
    for (name, bytes, filter) in corpus() {
        let format = detect(&bytes).unwrap();
        let whole = nets(&bytes, &filter);
        if format == Format::PgHba {
            assert!(whole.is_none(), "{name}");
            continue;
        }
        let whole = whole.unwrap_or_else(|| panic!("{name}: {:?}", read(None, &bytes, &filter)));
        let step = (bytes.len() / 400).max(1);
        for cut in (0..bytes.len()).step_by(step) {
            let Some(found) = nets(&bytes[..cut], &filter) else {
                continue;
            };
            // These are written by hand, and need no end: the last line may say anything.
            let by_hand = matches!(format, Format::Plain | Format::P2p);
            let cut_format = detect(&bytes[..cut]).unwrap();
            if !by_hand && cut_format == format {
                assert!(found.is_subset(&whole), "{name} cut at {cut}: {found:?}");
            }
        }
    }
}

/// Formats with an end notice that it is missing.
#[test]
fn missing_end_is_an_error() {
    for (name, bytes, filter) in corpus() {
        let format = detect(&bytes).unwrap();
        let has_end = matches!(
            format,
            Format::NftText
                | Format::NftJson
                | Format::IptablesSave
                | Format::FirewalldXml
                | Format::DropJson
                | Format::AwsRanges
                | Format::GcpRanges
                | Format::AzureTags
                | Format::GithubMeta
                | Format::Cloudflare
                | Format::CrowdsecJson
                | Format::Fail2ban
                | Format::Mmdb
        );
        if !has_end {
            continue;
        }
        let content = bytes.trim_ascii_end();
        // What follows COMMIT is a comment.
        let end = content
            .windows(6)
            .position(|w| w == b"COMMIT")
            .unwrap_or(content.len() - 1);
        let errors = read_with(Some(format), &bytes[..end], &filter, Options::default());
        let errors = errors.map(|_| ()).unwrap_err();
        let is_noticed = errors.iter().any(|error| {
            matches!(
                error.problem,
                Problem::Truncated { .. } | Problem::Syntax { .. }
            ) || matches!(error.problem, Problem::OtherFormat { .. })
        });
        assert!(is_noticed, "{name}: {errors:?}");
    }
}

#[test]
fn file_of_two_formats_is_an_error() {
    for (name, mut bytes, filter) in corpus() {
        if matches!(detect(&bytes), Ok(Format::Mmdb | Format::PgHba)) {
            continue;
        }
        bytes.extend_from_slice(b"\n<html><body>503</body></html>\n");
        let errors = read(None, &bytes, &filter);
        assert!(errors.is_err(), "{name}: {errors:?}");
    }
}

#[test]
fn other_encodings_and_binaries_are_named() {
    for (name, bytes, filter) in corpus() {
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        if text.contains('\0') {
            continue;
        }
        for mark in [true, false] {
            let mark = if mark { "\u{feff}" } else { "" };
            let wide: Vec<u8> = format!("{mark}{text}")
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect();
            assert_eq!(detect(&wide), Err(Unrecognised::Utf16), "{name}");
        }
        let latin = [text.as_bytes(), b"# M\xfcnchen\n"].concat();
        let line = u32::try_from(text.matches('\n').count()).unwrap() + 1;
        match detect(&latin) {
            Err(Unrecognised::NotUtf8 { place, byte: 0xfc }) => assert_eq!(place.line, line),
            other => panic!("{name}: {other:?}"),
        }
        let noise = [&text.as_bytes()[..text.len() / 2], &[0, 1, 2, 0xff]].concat();
        assert_eq!(detect(&noise), Err(Unrecognised::Binary), "{name}");
        for format in Format::ALL {
            assert!(
                read(Some(format), &noise, &filter).is_err(),
                "{name} as {format}"
            );
        }
        let with_mark = format!("\u{feff}{text}");
        assert_eq!(
            detect(with_mark.as_bytes()),
            detect(text.as_bytes()),
            "{name}"
        );
    }
    assert!(matches!(
        detect(b"\x1f\x8b\x08\0\0"),
        Err(Unrecognised::Compressed { by: "gzip", .. })
    ));
    assert_eq!(
        detect(b"<!DOCTYPE html><html></html>"),
        Err(Unrecognised::Html)
    );
    assert_eq!(detect(b"<x/>"), Err(Unrecognised::Xml));
    assert_eq!(detect(b"{\"a\": 1}"), Err(Unrecognised::Json));
    assert_eq!(detect(b" \n# nothing\n"), Err(Unrecognised::Empty));
    assert!(matches!(
        detect(b"hello\n"),
        Err(Unrecognised::Unknown { .. })
    ));
}

/// Whatever is nested: no recursion, and no memory beyond the file's.
#[test]
fn nested_ten_thousand_deep_is_refused() {
    let open = |text: &str| text.repeat(10_000);
    let key = "\"x\":";
    for (start, format) in [
        ("{\"nftables\": ", Format::NftJson),
        (
            "{\"nftables\": [{\"set\": {\"family\": \"ip\", \"table\": \"t\", \"name\": \"s\", \"type\": \"ipv4_addr\", \"elem\": ",
            Format::NftJson,
        ),
        (
            "{\"nftables\": [{\"rule\": {\"family\": \"ip\", \"table\": \"t\", \"chain\": \"s\", \"expr\": ",
            Format::NftJson,
        ),
        ("{\"createDate\": 1, \"prefixes\": ", Format::AwsRanges),
        ("{\"creationTime\": 1, \"prefixes\": ", Format::GcpRanges),
        ("{\"changeNumber\": 1, \"values\": ", Format::AzureTags),
        ("{\"hooks\": 1, \"web\": ", Format::GithubMeta),
        ("{\"ipv4_cidrs\": 1, \"result\": ", Format::Cloudflare),
        ("{\"cidr\": ", Format::DropJson),
        ("[{\"decisions\": ", Format::CrowdsecJson),
        ("[{'a': ", Format::Fail2ban),
    ] {
        for inner in [open("["), open(&format!("{{{key}"))] {
            let text = format!("{start}{inner}");
            let start = Instant::now();
            let errors = read(Some(format), text.as_bytes(), &Filter::default()).map(|_| ());
            assert!(errors.is_err(), "{format}");
            assert!(start.elapsed() < Duration::from_secs(5), "{format}");
            let closed = format!("{text}1{}", "]".repeat(10_000));
            let _ = read(Some(format), closed.as_bytes(), &Filter::default());
        }
    }
    let xml = format!("<ipset type=\"hash:net\">{}", open("<entry>"));
    let errors = read(None, xml.as_bytes(), &Filter::default()).unwrap_err();
    assert!(
        errors[0].to_string().contains("nested more than"),
        "{errors:?}"
    );
    let nft = format!("table ip t {{ {}", open("set s { "));
    assert!(read(None, nft.as_bytes(), &Filter::default()).is_err());
    let bomb = b"<!DOCTYPE x [<!ENTITY a \"192.0.2.1\"><!ENTITY b \"&a;&a;\">]><ipset><entry>&b;</entry></ipset>";
    let errors = read(Some(Format::FirewalldXml), bomb, &Filter::default()).unwrap_err();
    assert!(
        errors[0].to_string().contains("'&b;' is not an address"),
        "{errors:?}"
    );
}

/// Entries of a file, one each for a format whose files are lines.
fn many(count: u32, line: impl Fn(std::net::Ipv4Addr) -> String) -> Vec<u8> {
    let mut text = String::new();
    for n in 0..count {
        text.push_str(&line(std::net::Ipv4Addr::from(0x0100_0000 + n)));
    }
    text.into_bytes()
}

#[test]
fn ten_million_entries_are_refused_at_the_limit() {
    let options = Options {
        most: 50_000,
        skip_invalid: false,
    };
    let is_too_many = |bytes: &[u8], format: Format, filter: &Filter| {
        assert_eq!(detect(bytes), Ok(format));
        let errors = read_with(None, bytes, filter, options).unwrap_err();
        assert_eq!(
            errors.last().unwrap().problem,
            Problem::TooMany { most: 50_000 },
            "{format}: {errors:?}"
        );
    };
    let none = Filter::default();
    is_too_many(
        "192.0.2.1\n".repeat(10_000_000).as_bytes(),
        Format::Plain,
        &none,
    );
    let fewer = 60_000;
    is_too_many(
        &many(fewer, |a| format!("add s {a}\n")),
        Format::IpsetSave,
        &none,
    );
    is_too_many(
        &many(fewer, |a| format!("-A INPUT -s {a} -j DROP\n")),
        Format::IptablesSave,
        &none,
    );
    is_too_many(
        &many(fewer, |a| format!("ExitNode X\nExitAddress {a} x\n")),
        Format::TorExit,
        &none,
    );
    is_too_many(&many(fewer, |a| format!("x:{a}-{a}\n")), Format::P2p, &none);
    is_too_many(
        &many(fewer, |a| format!("{{\"cidr\":\"{a}\"}}\n")),
        Format::DropJson,
        &none,
    );
    let de = Filter {
        country: vec!["DE".to_owned()],
        ..Filter::default()
    };
    is_too_many(
        &many(fewer, |a| format!("{a},{a},DE\n")),
        Format::GeoCsv,
        &de,
    );
    let wrapped = |before: &str, after: &str, line: &dyn Fn(std::net::Ipv4Addr) -> String| {
        let mut text = before.as_bytes().to_vec();
        text.extend(many(fewer, line));
        text.pop();
        text.extend_from_slice(after.as_bytes());
        text
    };
    let text = wrapped(
        "table ip t { set s { type ipv4_addr\nelements = { ",
        "}}}",
        &|a| format!("{a},"),
    );
    is_too_many(&text, Format::NftText, &none);
    let text = wrapped(
        "{\"nftables\":[{\"set\":{\"family\":\"ip\",\"table\":\"t\",\"name\":\"s\",\"type\":\"ipv4_addr\",\"elem\":[",
        "]}}]}",
        &|a| format!("\"{a}\","),
    );
    is_too_many(&text, Format::NftJson, &none);
    let text = wrapped(
        "{\"createDate\":1,\"ipv6_prefixes\":[],\"prefixes\":[",
        "]}",
        &|a| format!("{{\"ip_prefix\":\"{a}/32\",\"region\":\"r\",\"service\":\"s\"}},"),
    );
    is_too_many(&text, Format::AwsRanges, &none);
    let text = wrapped("[{'a': [", "]}]", &|a| format!("'{a}',"));
    is_too_many(&text, Format::Fail2ban, &none);
    let text = wrapped("<ipset type=\"hash:ip\">", "</ipset>", &|a| {
        format!("<entry>{a}</entry>")
    });
    let text = [&text[..], b">"].concat();
    let errors = read_with(Some(Format::FirewalldXml), &text, &none, options).unwrap_err();
    assert_eq!(
        errors[0].problem,
        Problem::TooMany { most: 50_000 },
        "{errors:?}"
    );
}

/// The most that is read takes a bounded amount of memory. Long: NETPOLICY_TEST_LONG.
#[test]
fn most_entries_that_are_read_fit_in_a_gigabyte() {
    if std::env::var_os("NETPOLICY_TEST_LONG").is_none() {
        return;
    }
    let peak = || -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let bytes = many(4_000_000, |a| format!("{a}\t7\n"));
    let before = peak();
    let reading = read(None, &bytes, &Filter::default()).unwrap();
    let kib = peak().saturating_sub(before);
    println!("{} entries: {} MiB", reading.entries.len(), kib / 1024);
    assert_eq!(reading.entries.len(), 4_000_000);
    assert!(kib < 1024 * 1024, "{kib} KiB");
}

/// Blanks that are none of ASCII's.
#[test]
fn blanks_of_any_kind_separate_words() {
    let nft = "table ip t {\u{a0}set s {\u{2003}type ipv4_addr\n\u{b}elements = {\u{c}192.0.2.1,\u{a0}192.0.2.2 } } }\n";
    assert_eq!(nets(nft.as_bytes(), &Filter::default()).unwrap().len(), 2);
}

/// Errors are kept up to a number, and reading ends where nothing fits.
#[test]
fn noise_of_a_hundred_thousand_lines_gives_few_errors() {
    let noise = "192.0.2.1\n".to_owned() + &"10.0.0.300\n".repeat(100_000);
    let errors = read(None, noise.as_bytes(), &Filter::default()).unwrap_err();
    assert_eq!(errors.len(), 21);
    assert_eq!(errors[0].place.unwrap().to_string(), "2:1");
    assert_eq!(errors[20].problem, Problem::More(981));
    let options = Options {
        skip_invalid: true,
        ..Options::default()
    };
    let reading = read_with(None, noise.as_bytes(), &Filter::default(), options).unwrap();
    assert_eq!((reading.entries.len(), reading.skipped.total), (1, 100_000));
    assert_eq!(reading.left_out("f").len(), 21);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_text_in_any_format_is_read_or_refused(
        text in "[\\[\\]{}<>a-z0-9.:/,'\" #;=\n-]{0,80}|(add s|host all all|table ip x \\{ set y \\{|-A INPUT -s|Name:|\\{\"cidr\":) [0-9a-f.:/ -]{0,20}\n?",
    ) {
        let _ = detect(text.as_bytes());
        let _ = hba::read(text.as_bytes());
        for format in Format::ALL {
            for filter in [Filter::default(), Filter { country: vec!["DE".to_owned()], ..Filter::default() }] {
                let _ = read(Some(format), text.as_bytes(), &filter);
            }
        }
    }
}
