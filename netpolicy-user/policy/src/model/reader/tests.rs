use proptest::prelude::*;

use super::*;

const OPTIONS: ListOptions = ListOptions {
    kind: ListKind::Allow,
    limit: 100_000,
    skip_invalid: false,
};

fn texts(list: &RuleList) -> Vec<String> {
    list.iter().map(|rule| rule.text().into_owned()).collect()
}

fn read(text: &str) -> (RuleList, Vec<String>) {
    parse_list("l.txt", text, &OPTIONS).unwrap()
}

fn errors(text: &str, options: ListOptions) -> Vec<String> {
    parse_list("l.txt", text, &options).unwrap_err().messages()
}

#[test]
fn every_form_of_line_is_read() {
    let text = "\u{feff}# comment\r\n10.0.0.1\r\n\n  10.1.0.0/16 ; why\n10.2.0.1/32,\t::1, 2001:DB8::/32,\n;\n10.3.0.1-10.3.0.2\r\n::ffff:1.2.3.4";
    let (list, warnings) = read(text);
    let expected = [
        "10.0.0.1",
        "10.1.0.0/16",
        "10.2.0.1/32",
        "::1",
        "2001:DB8::/32",
        "10.3.0.1",
        "10.3.0.2",
        "::ffff:1.2.3.4",
    ];
    assert_eq!(texts(&list), expected);
    assert_eq!(list[7].net.to_string(), "1.2.3.4/32");
    assert!(warnings.is_empty());
    let lines: Vec<_> = list.iter().map(|rule| rule.line).collect();
    assert_eq!(lines, [2, 4, 5, 5, 5, 7, 7, 8]);
    assert_eq!(list.place(&list[3]).unwrap().to_string(), "l.txt:5");
}

#[test]
fn an_empty_file_is_an_empty_list() {
    assert!(read("").0.is_empty());
    assert!(read("\n\r\n# nothing\n").0.is_empty());
}

#[test]
fn every_bad_line_is_reported_with_its_column() {
    let found = errors("10.0.0.1\n10.0.0.0/33, 10.0.0.2, x.y.com\nä\n", OPTIONS);
    assert_eq!(found.len(), 3);
    assert!(
        found[0].starts_with("l.txt:2:1: '10.0.0.0/33' is not an address or CIDR"),
        "{}",
        found[0]
    );
    assert!(
        found[1].starts_with("l.txt:2:24: 'x.y.com'"),
        "{}",
        found[1]
    );
    assert!(found[2].starts_with("l.txt:3:1: 'ä'"), "{}", found[2]);
}

#[test]
fn host_bits_are_masked_and_warnings_are_limited() {
    let (list, warnings) = read("  10.0.0.1/24\n");
    assert_eq!(list[0].net.to_string(), "10.0.0.0/24");
    assert_eq!(list[0].text(), "10.0.0.1/24");
    assert_eq!(
        warnings,
        ["l.txt:1:3: 10.0.0.1/24 has host bits set; 10.0.0.0/24 is enforced"]
    );

    let many: String = (0..250).map(|i| format!("10.{i}.0.1/24\n")).collect();
    let (_, warnings) = read(&many);
    assert_eq!(warnings.len(), 6);
    assert_eq!(
        warnings[5],
        "and 245 more rules with host bits set, masked likewise"
    );
}

#[test]
fn duplicate_rule_is_reported_with_both_places() {
    let found = errors("10.0.0.0/24\n::1\n10.0.0.7/24\n::0:1\n::1\n", OPTIONS);
    let expected = "l.txt:3: '10.0.0.7/24' is on the list already, as '10.0.0.0/24' (l.txt:1)";
    assert_eq!(found.len(), 3);
    assert!(found[0].starts_with(expected), "{}", found[0]);
    assert!(found[2].starts_with("l.txt:5: '::1' is on the list already, as '::1' (l.txt:2)"));
}

#[test]
fn ranges_may_overlap_with_anything() {
    let (list, _) = read("10.0.0.4\n10.0.0.1-10.0.0.4\n10.0.0.4-10.0.0.5\n10.0.0.2-10.0.0.3\n");
    assert_eq!(
        texts(&list),
        ["10.0.0.4", "10.0.0.1", "10.0.0.2/31", "10.0.0.4/31"]
    );
    let (list, _) = read("0.0.0.1-255.255.255.254\n");
    assert_eq!(list.len(), 62);
}

#[test]
fn blocked_zero_length_prefix_is_refused() {
    let block = ListOptions {
        kind: ListKind::Block,
        ..OPTIONS
    };
    for text in [
        "0.0.0.0/0",
        "192.168.1.0/0",
        "::ffff:1.2.3.4/96",
        "0.0.0.0-255.255.255.255",
    ] {
        let found = errors(text, block);
        assert!(
            found[0].contains("a blocked 0.0.0.0/0 denies every IPv4 source"),
            "{found:?}"
        );
        assert!(found[0].contains("allow = []"), "{found:?}");
        assert!(parse_list("l.txt", text, &OPTIONS).is_ok());
    }
    assert!(errors("::/0", block)[0].contains("denies every IPv6 source"));
}

#[test]
fn bad_lines_and_duplicates_are_left_out_on_request() {
    let options = ListOptions {
        skip_invalid: true,
        kind: ListKind::Block,
        ..OPTIONS
    };
    let text = "10.0.0.1\nnonsense\n10.0.0.1\n0.0.0.0/0\n10.0.0.2\n";
    let (list, warnings) = parse_list("l.txt", text, &options).unwrap();
    assert_eq!(texts(&list), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(warnings.len(), 3);
    assert!(
        warnings
            .iter()
            .all(|warning| warning.starts_with("left out: l.txt:")),
        "{warnings:?}"
    );
}

#[test]
fn a_list_over_the_limit_is_refused() {
    let options = ListOptions {
        limit: 3,
        ..OPTIONS
    };
    assert!(parse_list("l.txt", "10.0.0.1\n10.0.0.2\n10.0.0.3\n", &options).is_ok());
    let found = errors(
        "10.0.0.1\n10.0.0.2\n10.0.0.3\n10.0.0.4\n10.0.0.5\n",
        options,
    );
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("l.txt:4:1: the allow list has more than 3 rules"),
        "{found:?}"
    );
}

#[test]
fn random_input_fails_early_with_few_errors() {
    let noise = "q%8 zz,".repeat(1_000_000);
    for text in [noise.clone(), noise.replace(' ', "\n")] {
        let found = errors(&text, OPTIONS);
        assert_eq!(found.len(), 21);
        assert_eq!(
            found[20],
            "and at least 981 more errors; the rest was not read"
        );
    }
    assert_eq!(
        errors("10.0.0.1\n\0\0", OPTIONS),
        ["l.txt: not a text file: it holds a zero byte"]
    );
    let long = errors(&"x".repeat(10_000_000), OPTIONS);
    assert!(
        long[0].contains("it has 10000000 characters") && long[0].len() < 200,
        "{long:?}"
    );
}

proptest! {
    #[test]
    fn any_text_gives_a_list_or_errors(text in "[0-9a-f.:/,#\n -]{0,60}|\\PC{0,40}") {
        let strict = parse_list("l.txt", &text, &OPTIONS);
        let tolerant = parse_list("l.txt", &text, &ListOptions { skip_invalid: true, ..OPTIONS });
        let (tolerant, _) = tolerant.unwrap();
        if let Ok((list, _)) = strict {
            prop_assert_eq!(list, tolerant);
        }
    }

    #[test]
    fn rules_are_displayed_as_written(net in crate::model::arbitrary::net()) {
        let text = net.to_string();
        let (list, warnings) = read(&text);
        prop_assert_eq!(list[0].net, net);
        prop_assert_eq!(list[0].text(), text);
        prop_assert!(warnings.is_empty());
    }
}
