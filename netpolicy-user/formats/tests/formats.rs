//! Every format, by files that the programs themselves wrote where they run here, else by
//! their documentation.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use netpolicy_formats::{Filter, Format, Problem, Reading, read, write};

use common::{country, errors, file, read_file, set, shown};

/// ipset 7.17.
#[test]
fn ipset_save_gives_elements_with_timeouts_comments_and_without_exceptions() {
    let reading = read_file("ipset-save.txt", Format::IpsetSave, &set(&["bad4"]));
    assert_eq!(
        shown(&reading),
        [
            "2: 198.51.100.7",
            "4: 203.0.113.0/25 # 203.0.113.0/24 without exceptions (nomatch)",
            "5: 192.0.2.0/24 # a test net",
        ]
    );
    assert_eq!(reading.entries[0].expires, Some(Duration::from_secs(599)));
    assert!(
        reading
            .notes
            .iter()
            .any(|note| note.contains("1 exception was (nomatch) taken out")),
        "{:?}",
        reading.notes
    );
    assert_eq!(
        errors(&file("ipset-save.txt"), &Filter::default()),
        [
            "f: has 2 sets: bad4 (3 entries), bad6 (1 entry); choose: netpolicy import FILE --set NAME"
        ]
    );
    assert_eq!(
        errors(&file("ipset-save.txt"), &set(&["bad5"])),
        ["f: has no set 'bad5'; it has bad4, bad6, mix, ports"]
    );
    let mix = read_file("ipset-save.txt", Format::IpsetSave, &set(&["mix"]));
    assert!(mix.entries.is_empty());
    assert!(
        mix.left_out("f")[0].contains("f:8:8: set mix is of type hash:ip,port"),
        "{:?}",
        mix.left_out("f")
    );
}

#[test]
fn ipset_list_gives_the_same_as_ipset_save() {
    for name in ["bad4", "bad6"] {
        let texts = |file, format| {
            let reading = read_file(file, format, &set(&[name]));
            let entries = reading.entries.into_iter();
            entries
                .map(|entry| (entry.net, entry.comment, entry.expires))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            texts("ipset-list.txt", Format::IpsetList),
            texts("ipset-save.txt", Format::IpsetSave)
        );
    }
}

/// nftables 1.0.6.
#[test]
fn nft_text_and_json_give_the_same() {
    let chosen = |name| {
        let text = read_file("nft-ruleset.txt", Format::NftText, &set(&[name]));
        let json = read_file("nft-ruleset.json", Format::NftJson, &set(&[name]));
        let nets = |reading: &Reading| {
            let entries = reading.entries.iter();
            entries
                .map(|entry| (entry.net.to_string(), entry.comment.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(nets(&text), nets(&json), "{name}");
        nets(&text)
    };
    let plain = |net: &str| (net.to_owned(), None);
    let noted = |net: &str, comment: &str| (net.to_owned(), Some(comment.into()));
    assert_eq!(
        chosen("bad"),
        [
            plain("10.0.0.0/8"),
            plain("192.0.2.1-192.0.2.5"),
            noted("198.51.100.7", "x, y { z")
        ]
    );
    assert_eq!(
        chosen("bad6"),
        [plain("2001:db8::/32"), plain("2001:dba::1")]
    );
    assert_eq!(
        chosen("input"),
        [
            noted("203.0.113.9", "inline"),
            noted("203.0.113.16/28", "inline"),
            plain("2001:db8:ffff::/48"),
            plain("192.0.2.200-192.0.2.210"),
        ]
    );
    let alone = read_file("nft-set.txt", Format::NftText, &Filter::default());
    assert_eq!(alone.entries.len(), 3);
    let left = alone.entries[2].expires.unwrap().as_secs_f64();
    assert!((3599.0..3600.0).contains(&left), "{left}");
    let alone = read_file("nft-set.json", Format::NftJson, &Filter::default());
    assert_eq!(alone.entries[2].expires, Some(Duration::from_secs(3599)));
}

#[test]
fn nft_rules_that_a_list_cannot_carry_are_named() {
    for (name, format) in [
        ("nft-ruleset.txt", Format::NftText),
        ("nft-ruleset.json", Format::NftJson),
    ] {
        let reading = read_file(name, format, &set(&["input:drop"]));
        assert_eq!(reading.skipped.total, 2, "{:?}", reading.left_out("f"));
        let all = errors(&file(name), &Filter::default());
        assert!(
            all[0].contains("has 3 sets: inet filter bad (3 entries)"),
            "{all:?}"
        );
    }
    let xt = br#"{"nftables": [{"chain": {"family": "ip", "table": "filter", "name": "INPUT", "hook": "input"}}, {"rule": {"family": "ip", "table": "filter", "chain": "INPUT", "handle": 9, "expr": [{"xt": null}, {"drop": null}]}}]}"#;
    assert!(errors(xt, &Filter::default())[0].contains("iptables-save"));
    let xt = b"table ip filter {\n\tchain INPUT {\n\t\ttype filter hook input priority filter; policy accept;\n\t\tip saddr 192.0.2.1 xt match \"owner\" drop\n\t}\n}\n";
    assert!(errors(xt, &Filter::default())[0].contains("iptables-save"));
}

/// iptables 1.8.9.
#[test]
fn iptables_save_gives_sources_of_one_verdict() {
    let bytes = file("iptables-save.txt");
    assert_eq!(
        errors(&bytes, &Filter::default()),
        [
            "f: has 2 chains: INPUT:drop (3 entries), INPUT:accept (1 entry); choose: netpolicy import FILE --set NAME"
        ]
    );
    let drops = read_file(
        "iptables-save.txt",
        Format::IptablesSave,
        &set(&["INPUT:drop"]),
    );
    assert_eq!(
        shown(&drops),
        [
            "8: 192.0.2.0/24",
            "10: 203.0.113.0/24",
            "12: 192.0.2.10-192.0.2.20"
        ]
    );
    let left_out = drops.left_out("f").join("\n");
    for why in [
        "f:9:1: a rule of chain INPUT is not carried: it has a condition that no list has: --dport 5432",
        "f:11:1: a rule of chain INPUT is not carried: it holds for every source but 10.0.0.0/8",
        "f:13:1: a rule of chain INPUT is not carried: it has a mask with gaps",
        "f:14:1: a rule of chain INPUT is not carried: it refers to the set bad4 (src)",
        "f:16:1: a rule of chain INPUT is not carried: it holds for udp, and netpolicy filters TCP",
    ] {
        assert!(left_out.contains(why), "{why}\n{left_out}");
    }
    let accepts = read_file(
        "iptables-save.txt",
        Format::IptablesSave,
        &set(&["INPUT:accept"]),
    );
    assert_eq!(shown(&accepts), ["15: 10.9.0.0/16 # head \"office\" -j"]);
    let f2b = read_file("iptables-save.txt", Format::IptablesSave, &set(&["f2b"]));
    assert_eq!(shown(&f2b), ["18: 198.51.100.99"]);
    let six = read_file(
        "ip6tables-save.txt",
        Format::IptablesSave,
        &Filter::default(),
    );
    assert_eq!(shown(&six), ["6: 2001:db8:bad::/48"]);
}

/// By firewalld.ipset(5).
#[test]
fn firewalld_ipset_gives_its_entries() {
    let reading = read_file("firewalld.xml", Format::FirewalldXml, &Filter::default());
    assert_eq!(
        shown(&reading),
        ["7: 192.0.2.0/24", "8: 198.51.100.7", "11: 203.0.113.9"]
    );
    let other = b"<ipset type=\"hash:ip,port\"><entry>192.0.2.1,tcp:22</entry></ipset>";
    assert!(errors(other, &Filter::default())[0].contains("is of type hash:ip,port"));
}

/// cscli 1.4.6.
#[test]
fn crowdsec_gives_bans_of_addresses_alone() {
    for (name, format) in [
        ("crowdsec.json", Format::CrowdsecJson),
        ("crowdsec.csv", Format::CrowdsecCsv),
    ] {
        let reading = read_file(name, format, &Filter::default());
        let nets: Vec<_> = reading
            .entries
            .iter()
            .map(|entry| entry.net.to_string())
            .collect();
        assert_eq!(
            nets,
            ["203.0.113.9", "198.51.100.0/24", "192.0.2.7"],
            "{name}"
        );
        assert_eq!(
            reading.entries[2].comment.as_deref(),
            Some("cscli manual test")
        );
        let left = reading.entries[2].expires.unwrap().as_secs();
        assert!((14_390..14_400).contains(&left), "{left}");
        let left_out = reading.left_out("f").join("\n");
        assert!(left_out.contains("'FR' of scope Country"), "{left_out}");
        assert!(left_out.contains("'captcha', no ban"), "{left_out}");
    }
    let none = read(None, b"null", &Filter::default()).unwrap();
    assert_eq!((none.format, none.entries.len()), (Format::CrowdsecJson, 0));
    let stream = br#"{"new":[{"scope":"ip","value":"192.0.2.1","type":"ban","duration":"1h"},{"scope":"Ip","value":"192.0.2.2","type":"ban","duration":"-1s"}],"deleted":[{"scope":"ip","value":"192.0.2.9"}]}"#;
    let stream = read(None, stream, &Filter::default()).unwrap();
    assert_eq!(shown(&stream), ["1: 192.0.2.1"]);
}

/// fail2ban-client 1.0.2.
#[test]
fn fail2ban_jails_together_are_a_list() {
    let all = read_file("fail2ban-banned.txt", Format::Fail2ban, &Filter::default());
    assert_eq!(
        shown(&all),
        [
            "1: 192.0.2.7 # fail2ban a",
            "1: 2001:db8::7 # fail2ban a",
            "1: 198.51.100.0/24 # fail2ban a",
            "1: 203.0.113.4 # fail2ban b",
        ]
    );
    let one = read_file("fail2ban-banned.txt", Format::Fail2ban, &set(&["b"]));
    assert_eq!(one.entries.len(), 1);
    let broken = errors(b"[{'a': ['192.0.2.7', '192.", &Filter::default());
    assert!(broken[0].contains("ends too early"), "{broken:?}");
}

/// By the lists' own headings, with documentation addresses; plain.txt is the head of a list of
/// Tor exits.
#[test]
fn plain_lists_may_have_columns() {
    let plain = read_file("plain.txt", Format::Plain, &Filter::default());
    assert_eq!(plain.entries.len(), 5);
    assert!(!plain.has_columns);
    let ipsum = read_file("ipsum.txt", Format::Plain, &Filter::default());
    assert!(ipsum.has_columns);
    assert_eq!(
        shown(&ipsum),
        [
            "7: 192.0.2.77 # 10",
            "8: 198.51.100.4 # 9",
            "9: 203.0.113.200 # 9"
        ]
    );
    let dshield = read_file("dshield-block.txt", Format::Plain, &Filter::default());
    assert_eq!(
        shown(&dshield),
        [
            "5: 192.0.2.0/24 # 3845 EXAMPLE-NET DE abuse@example.net",
            "6: 198.51.100.0/24 # 2911 -no rdns-",
        ]
    );
    let mask = errors(b"10.0.0.0 255.0.0.0\n192.0.2.1 7\n", &Filter::default());
    assert!(
        mask[0].starts_with("f:1:10: has a second address, '255.0.0.0', after '10.0.0.0'"),
        "{mask:?}"
    );
    let comments = read(
        None,
        b"192.0.2.1 # one\n10.0.0.9/24 ; two\n",
        &Filter::default(),
    )
    .unwrap();
    assert_eq!(
        shown(&comments),
        ["1: 192.0.2.1 # one", "2: 10.0.0.0/24 # two"]
    );
    assert_eq!(
        comments.notes,
        ["1 entry has host bits set, which are masked"]
    );
    let zero = errors(b"010.0.0.1\n192.0.2.1\n", &Filter::default());
    assert!(
        zero[0].contains("f:1:1: '010.0.0.1'") && zero[0].contains("leading zero"),
        "{zero:?}"
    );
}

/// By <https://check.torproject.org/exit-addresses>, with documentation addresses.
#[test]
fn tor_exit_addresses_are_those_of_all_relays() {
    let reading = read_file(
        "tor-exit-addresses.txt",
        Format::TorExit,
        &Filter::default(),
    );
    assert_eq!(reading.entries.len(), 3);
    assert_eq!(
        shown(&reading)[0],
        "4: 192.0.2.31 # Tor exit 0011BD2485AD45D984EC4159C88FC066E5E3300E"
    );
}

#[test]
fn p2p_names_may_hold_colons() {
    let reading = read_file("p2p.txt", Format::P2p, &Filter::default());
    assert_eq!(
        shown(&reading),
        [
            "2: 192.0.2.0/24 # Example University: Dept. of 4",
            "3: 198.51.100.5-198.51.100.9 # Bogon",
            "4: 2001:db8::1-2001:db8::ff # Six",
        ]
    );
}

#[test]
fn wrong_format_says_what_the_file_seems_to_be() {
    let found = read(
        Some(Format::AwsRanges),
        &file("gcp-cloud.json"),
        &Filter::default(),
    );
    assert_eq!(
        found.unwrap_err()[0].of_file("f"),
        "f: is not ip-ranges.json of AWS: it seems to be IP ranges of Google (JSON); read it with --format gcp, or without --format"
    );
    let found = read(
        Some(Format::Plain),
        &file("nft-ruleset.txt"),
        &Filter::default(),
    );
    assert!(matches!(
        found.unwrap_err()[0].problem,
        Problem::OtherFormat {
            seems: Format::NftText,
            ..
        }
    ));
}

#[test]
fn written_lists_read_back_as_the_same() {
    for (name, filter) in [
        ("ipset-save.txt", set(&["bad4"])),
        ("crowdsec.json", Filter::default()),
        ("p2p.txt", Filter::default()),
        ("fail2ban-banned.txt", Filter::default()),
        ("aws-ip-ranges.json", Filter::default()),
        ("GeoLite2-Country-Test.mmdb", country("GB")),
    ] {
        let reading = read(None, &file(name), &filter).unwrap();
        let nets = |reading: &Reading| {
            let mut nets: Vec<_> = reading.entries.iter().map(|entry| entry.net).collect();
            nets.sort_unstable();
            nets
        };
        for text in [
            write::list_file(&reading),
            write::list_file_by_lines(&reading),
        ] {
            let again = read(None, text.as_bytes(), &Filter::default()).unwrap();
            assert_eq!(nets(&again), nets(&reading), "{name}: {text}");
        }
        let again = write::list_file_by_lines(&reading);
        let again = read(None, again.as_bytes(), &Filter::default()).unwrap();
        let lines = |reading: &Reading| {
            let mut lines: Vec<_> = reading
                .entries
                .iter()
                .map(|e| (e.net, e.place.line))
                .collect();
            lines.sort_unstable();
            lines
        };
        if reading.entries.iter().all(|entry| entry.place.line > 0) {
            assert_eq!(lines(&again), lines(&reading), "{name}");
        }
    }
}
