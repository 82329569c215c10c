//! Lists that files make much smaller.

use super::*;

#[test]
fn file_that_shrinks_a_list_to_less_than_half_requires_consent() {
    let mut bench = bench(&[]);
    let text = |entries: u32| {
        let hosts = (0..entries).map(|i| format!("45.0.{}.{}\n", i / 256, i % 256));
        hosts.collect::<String>()
    };
    let file = |entries| ListInput {
        files: vec![SourceText {
            name: "hosts.txt".into(),
            text: text(entries),
        }],
        ..ListInput::default()
    };
    let create = Change::CreateList {
        name: "bad-hosts".into(),
        entries: file(200),
        comment: None,
        replace: false,
        network_rule: None,
    };
    bench.writer.change(create, ROOT, UNASKED).unwrap();
    let set = |list| Change::AlterList {
        name: "bad-hosts".into(),
        entries: ListEdit::Set { list },
        comment: None,
        values: None,
    };
    let opens = refused(bench.writer.change(set(file(99)), ROOT, UNASKED));
    assert_eq!(
        opens.sentence(),
        "shrinks list bad-hosts from 200 to 99 entries"
    );
    // Entries of the command line are not cut short on their way.
    let typed = ListInput {
        items: text(99).lines().map(str::to_owned).collect(),
        ..ListInput::default()
    };
    let dry = ChangeOptions {
        dry_run: true,
        ..UNASKED
    };
    let tried = bench.writer.change(set(typed), ROOT, dry).unwrap();
    assert_eq!(tried.opens, None);
    let consent = Consent::of(Some(&opens.key)).unwrap();
    let agreed = ChangeOptions { consent, ..UNASKED };
    let other = bench.writer.change(set(file(98)), ROOT, agreed);
    assert_ne!(refused(other).key, opens.key);
    bench.writer.change(set(file(99)), ROOT, agreed).unwrap();
    // From less than a hundred it is nothing.
    bench.writer.change(set(file(1)), ROOT, UNASKED).unwrap();
}

#[test]
fn file_that_shrinks_a_list_by_more_than_its_own_limit_requires_consent() {
    let mut bench = bench(&[]);
    let file = |limit: &str, entries: u32| {
        let hosts = (0..entries).map(|i| format!("\"45.0.0.{i}\", "));
        let hosts = hosts.collect::<String>();
        apply(&format!(
            "[[list]]\nname = \"bad-hosts\"\n{limit}entries = [{hosts}]\n"
        ))
    };
    let limit = "max_shrink = \"10%\"\n";
    bench.writer.change(file(limit, 40), ROOT, UNASKED).unwrap();
    let opens = refused(bench.writer.change(file(limit, 35), ROOT, UNASKED));
    assert_eq!(
        opens.sentence(),
        "shrinks list bad-hosts from 40 to 35 entries"
    );
    bench.writer.change(file(limit, 36), ROOT, UNASKED).unwrap();
    // A file that leaves out the limit is held to it, and later ones are not: without a limit of
    // its own, a short list loses any number of entries.
    refused(bench.writer.change(file("", 5), ROOT, UNASKED));
    let changed = bench.writer.change(file("", 36), ROOT, UNASKED).unwrap();
    assert!(changed.opens.is_none());
    bench.writer.change(file("", 5), ROOT, UNASKED).unwrap();
    let details = &changed.plan[0].details;
    assert!(
        details.contains(&"- max_shrink 10%".to_owned()),
        "{details:?}"
    );
}
