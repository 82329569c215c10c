//! Refreshes of feeds, over a fake kernel and a real store.

use crate::agent::access::{Caller, Requester};
use crate::agent::feeds::{FeedContent, parse, version};
use crate::agent::testing::{Bench, PLAIN, ROOT, apply};
use crate::api::{FeedContentQuery, FeedReport};

const POLICY: &str = "[[feed]]\nname = \"drop\"\nurl = \"https://example.org/list.txt\"\n\n\
                      [[policy]]\nname = \"abuse\"\nblock = [\"@drop\"]\n";

fn hosts(numbers: std::ops::Range<u8>) -> FeedContent {
    let text: String = numbers.map(|i| format!("45.0.0.{i}/32\n")).collect();
    parse(&text, 1_000).unwrap()
}

/// With the feed, and how its content is handed over.
fn bench() -> (Bench, FeedContentQuery) {
    let mut bench = Bench::new();
    bench.sockets();
    bench.writer.change(apply(POLICY), ROOT, PLAIN).unwrap();
    bench.kernel.journal();
    let state = bench.snapshot().state.clone();
    let (_, feed) = state.feeds().next().unwrap();
    let query = FeedContentQuery {
        version: version(feed),
        format: "plain".into(),
        ..FeedContentQuery::default()
    };
    (bench, query)
}

fn blocked(bench: &Bench, source: &str) -> bool {
    let state = bench.snapshot().state.clone();
    let list = state.list("drop").unwrap();
    let source: ipnet::IpNet = source.parse().unwrap();
    list.entries.iter().any(|rule| rule.net == source)
}

#[test]
fn content_is_filled_then_stored_then_put_in_force_and_makes_no_revision() {
    let (mut bench, query) = bench();
    let generation = bench.snapshot().generation;
    let view = bench
        .writer
        .put_feed("drop", hosts(0..30), &query, &[], ROOT)
        .unwrap();
    assert_eq!((view.entries, view.error), (30, None));
    assert_eq!(bench.kernel.journal(), ["prepare", "store", "flip"]);
    let snapshot = bench.snapshot();
    assert_eq!(
        (snapshot.revision, snapshot.generation),
        (1, generation + 1)
    );
    assert_eq!(bench.revisions(10).len(), 1);
    assert_eq!(bench.audit_log(1)[0].action, "feed drop");

    // The same again: noted, and nothing else.
    bench
        .writer
        .put_feed("drop", hosts(0..30), &query, &[], ROOT)
        .unwrap();
    assert_eq!(bench.kernel.journal(), ["store"]);
    let bench = bench.restart(&["eth7"]);
    assert!(blocked(&bench, "45.0.0.29/32"));
    assert_eq!(bench.snapshot().revision, 1);
}

#[test]
fn what_kernel_or_store_do_not_take_changes_nothing_and_is_said() {
    let (mut bench, query) = bench();
    bench
        .writer
        .put_feed("drop", hosts(0..30), &query, &[], ROOT)
        .unwrap();
    bench.kernel.journal();
    bench.kernel.lock().fail_commit = true;
    let error = bench
        .writer
        .put_feed("drop", hosts(1..31), &query, &[], ROOT);
    assert!(error.unwrap_err().to_string().contains("stays in force"));
    assert_eq!(bench.kernel.journal(), ["prepare", "store"], "no flip");
    bench.kernel.lock().fail_commit = false;
    bench.kernel.lock().fail_prepare = true;
    bench
        .writer
        .put_feed("drop", hosts(1..31), &query, &[], ROOT)
        .unwrap_err();
    bench.kernel.lock().fail_prepare = false;
    assert!(blocked(&bench, "45.0.0.0/32") && !blocked(&bench, "45.0.0.30/32"));
    let snapshot = bench.snapshot();
    let name = &snapshot.state.lists[0].name;
    assert!(snapshot.feeds.of(name).unwrap().error.is_some());
    let bench = bench.restart(&["eth7"]);
    assert!(blocked(&bench, "45.0.0.0/32") && !blocked(&bench, "45.0.0.30/32"));
}

#[test]
fn content_is_judged_whoever_hands_it_over() {
    let (mut bench, query) = bench();
    let mut refused = |content: FeedContent, own: &[&str]| {
        let own: Vec<_> = own.iter().map(|own| own.parse().unwrap()).collect();
        let refused = bench.writer.put_feed("drop", content, &query, &own, ROOT);
        refused.unwrap_err().to_string()
    };
    assert!(refused(FeedContent::default(), &[]).contains("min_entries"));
    assert!(refused(hosts(0..9), &["45.0.0.3"]).contains("an address of this host"));
    let private = parse("10.0.0.0/8\n", 9).unwrap();
    assert!(refused(private, &[]).contains("special_ranges"));
    bench
        .writer
        .put_feed("drop", hosts(0..100), &query, &[], ROOT)
        .unwrap();
    let error = bench
        .writer
        .put_feed("drop", hosts(0..60), &query, &[], ROOT);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("would shrink by 40 %")
    );

    // By settings that are no longer, and by callers who may not.
    let other = POLICY.replace("list.txt", "other.txt");
    bench.writer.change(apply(&other), ROOT, PLAIN).unwrap();
    let error = bench
        .writer
        .put_feed("drop", hosts(0..100), &query, &[], ROOT);
    assert!(error.unwrap_err().to_string().contains("other settings"));
    assert!(blocked(&bench, "45.0.0.99/32"), "until other content comes");
    let report = FeedReport {
        version: query.version.clone(),
        error: None,
        next_in: 60,
    };
    bench.writer.report_feed("drop", &report, ROOT).unwrap_err();
    let caller = Caller {
        uid: 65_533,
        gid: 65_533,
        pid: None,
        person: None,
    };
    let stranger = Requester { caller, ..ROOT };
    let error = bench
        .writer
        .put_feed("drop", hosts(0..100), &query, &[], stranger);
    assert!(error.unwrap_err().to_string().contains("privilege feed"));
    assert_eq!(bench.audit_log(1)[0].outcome, crate::api::Outcome::Refused);
}

#[test]
fn refresh_while_a_change_waits_stays_when_that_is_rolled_back() {
    let (mut bench, query) = bench();
    bench
        .writer
        .put_feed("drop", hosts(0..30), &query, &[], ROOT)
        .unwrap();
    let within = crate::agent::change::ChangeOptions {
        confirm_within: Some(std::time::Duration::from_secs(60)),
        ..PLAIN
    };
    let more = format!("{POLICY}\n[[policy]]\nname = \"other\"\nblock = [\"1.1.1.1\"]\n");
    bench.writer.change(apply(&more), ROOT, within).unwrap();
    bench
        .writer
        .put_feed("drop", hosts(1..31), &query, &[], ROOT)
        .unwrap();
    bench.clock.pass(std::time::Duration::from_secs(61));
    bench.writer.roll_back_unconfirmed();
    let snapshot = bench.snapshot();
    assert!(snapshot.state.policy("other").is_none(), "rolled back");
    assert!(blocked(&bench, "45.0.0.30/32") && !blocked(&bench, "45.0.0.0/32"));
}

#[test]
fn content_that_fails_a_policy_test_or_opens_everything_is_refused() {
    let (mut bench, mut query) = bench();
    let test = "[[test]]\nsource = \"45.0.0.9\"\nexpect = \"pass\"\n";
    let change = apply(&format!("{POLICY}{test}"));
    bench.writer.change(change, ROOT, PLAIN).unwrap();
    let put = |bench: &mut Bench, content| {
        let put = bench.writer.put_feed("drop", content, &query, &[], ROOT);
        put.map_err(|error| error.to_string())
    };
    assert!(put(&mut bench, hosts(0..30)).unwrap_err().contains("test"));
    put(&mut bench, hosts(10..40)).unwrap();
    put(&mut bench, hosts(15..40)).unwrap();

    let feed = POLICY
        .replace(
            "\n\n",
            "\nspecial_ranges = \"allow\"\nmax_shrink = \"100%\"\n\n",
        )
        .replace("block", "allow");
    bench.writer.change(apply(&feed), ROOT, PLAIN).unwrap();
    let state = bench.snapshot().state.clone();
    query.version = version(state.feeds().next().unwrap().1);
    let halves = parse("0.0.0.0/1\n128.0.0.0/1\n", 9).unwrap();
    let error = bench.writer.put_feed("drop", halves, &query, &[], ROOT);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("every IPv4 source"), "{error}");
    assert!(blocked(&bench, "45.0.0.20/32"), "the content before stays");
}

#[test]
fn feed_that_was_dropped_and_made_again_has_no_validators() {
    let (mut bench, mut query) = bench();
    query.etag = Some("\"1\"".into());
    let put = bench
        .writer
        .put_feed("drop", hosts(0..30), &query, &[], ROOT);
    assert_eq!(put.unwrap().etag, query.etag);
    bench.writer.change(apply(""), ROOT, PLAIN).unwrap();
    bench.writer.change(apply(POLICY), ROOT, PLAIN).unwrap();
    let report = FeedReport {
        version: query.version.clone(),
        error: None,
        next_in: 60,
    };
    bench.writer.report_feed("drop", &report, ROOT).unwrap_err();
    let mut bench = bench.restart(&["eth7"]);
    bench.writer.report_feed("drop", &report, ROOT).unwrap_err();
}
