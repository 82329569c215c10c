//! What is refused of feeds, and of their content.

use super::*;

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn many(count: u32) -> Vec<IpNet> {
    let address = |i: u32| std::net::Ipv4Addr::from(0x2d00_0000 + i);
    let net = |i| IpNet::from(IpAddr::from(address(i)));
    (0..count).map(net).collect()
}

#[test]
fn settings_that_cannot_be_meant_are_refused_with_what_was_expected() {
    Feed::new("https://example.org/list.txt").check().unwrap();
    Feed::new("/var/lib/lists/bad hosts.txt").check().unwrap();
    let with = |alter: fn(&mut Feed)| {
        let mut feed = Feed::new("https://example.org/list.txt");
        alter(&mut feed);
        feed.check().unwrap_err().to_string()
    };
    for (alter, expected) in [
        (
            (|feed| feed.source = "http://example.org/x".into()) as fn(&mut Feed),
            "allow_http",
        ),
        (|feed| feed.source = "list.txt".into(), "https://"),
        (|feed| feed.source = "https:///x".into(), "https://"),
        (|feed| feed.source = "https://a b/".into(), "https://"),
        (
            |feed| feed.source = "https://me:pw@example.org/".into(),
            "without user and password",
        ),
        (|feed| feed.interval = 5, "1m to 30d"),
        (|feed| feed.jitter = 4_000, "to the interval"),
        (|feed| feed.stale_after = 60, "the interval"),
        (|feed| feed.max_bytes = 1 << 40, "512 MiB"),
        (|feed| feed.max_shrink = 101, "100%"),
        (|feed| feed.format = Some("<x>".into()), "format"),
    ] {
        let found = with(alter);
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn content_is_refused_by_number_shrinkage_and_special_ranges() {
    let mut feed = Feed::new("https://example.org/list.txt");
    feed.min_entries = 3;
    let refused = |feed: &Feed, nets: &[IpNet], before| {
        feed.judge(nets.iter(), before, &[])
            .unwrap_err()
            .to_string()
    };
    let found = refused(&feed, &many(2), None);
    assert_eq!(found, "it has 2 entries, and min_entries is 3");
    feed.judge(many(70).iter(), Some(100), &[]).unwrap();
    let found = refused(&feed, &many(69), Some(100));
    assert!(
        found.contains("69 entries where 100 are in force"),
        "{found}"
    );
    assert!(found.contains("31 %"), "{found}");
    // Of short lists a shrinkage says nothing.
    feed.judge(many(3).iter(), Some(SHRINK_FROM - 1), &[])
        .unwrap();

    for (net, purpose) in [
        ("10.1.0.0/16", "private"),
        ("0.0.0.0/7", "\"this network\""),
        ("192.0.0.0/8", "for protocols"),
        ("fe80::/10", "link-local"),
        ("::/1", "unspecified"),
    ] {
        let mut content = many(5);
        content.extend(nets(&[net]));
        let found = refused(&feed, &content, None);
        assert!(found.contains(net) && found.contains(purpose), "{found}");
        assert!(found.contains("special_ranges"), "{found}");
    }
    feed.special_ranges = SpecialRanges::Allow;
    feed.judge(
        nets(&["10.0.0.0/8", "::1/128", "8.8.8.8/32"]).iter(),
        None,
        &[],
    )
    .unwrap();
    for net in ["0.0.0.0/0", "::/0"] {
        let found = refused(&feed, &nets(&[net]), None);
        assert!(found.contains("every address"), "{found}");
    }
    feed.special_ranges = SpecialRanges::Skip;
    assert!(feed.skips(&nets(&["10.0.0.0/8"])[0]));
    assert!(!feed.skips(&nets(&["8.8.8.8/32"])[0]));
}

#[test]
fn address_of_the_host_is_refused() {
    let feed = Feed::new("https://example.org/list.txt");
    let own = ["45.0.0.3".parse().unwrap()];
    let found = feed.judge(many(9).iter(), None, &own).unwrap_err();
    assert_eq!(
        found.to_string(),
        "'45.0.0.3/32' holds 45.0.0.3, an address of this host"
    );
}
