//! Decisions in the spellings of CrowdSec 1.4.6.

use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn decision(id: i64, value: &'static str, duration: &'static str) -> Decision<'static> {
    Decision {
        id,
        kind: "ban".into(),
        scope: if value.contains('/') { "Range" } else { "Ip" }.into(),
        value: value.into(),
        duration: duration.into(),
        scenario: "manual 'ban' from 'test'".into(),
    }
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn seconds(known: &Known, source: &str) -> Option<i64> {
    let wanted = known.wanted(net(source), now())?;
    Some(wanted.until.as_second() - now().as_second())
}

/// Decisions that are known, and of which the agent was told.
fn settled(decisions: &[Decision<'_>]) -> Known {
    let mut known = Known::default();
    known.restart(decisions, now());
    known.told_all();
    known
}

fn follow(known: &mut Known, new: Vec<Decision<'_>>, deleted: Vec<Decision<'_>>) -> Step {
    let changes = Changes {
        new: Some(new),
        deleted: Some(deleted),
    };
    let (touched, _) = known.follow(&changes, now());
    known.step(&touched, now())
}

#[test]
fn durations_of_go_are_read() {
    for (text, expected) in [
        ("3h59m58.295589417s", 14_398),
        ("59m58s", 3_598),
        ("1h0m0s", 3_600),
        ("45.9s", 45),
        ("876000h0m0s", 50 * 365 * 86_400),
    ] {
        let known = settled(&[decision(1, "203.0.113.9", text)]);
        assert_eq!(seconds(&known, "203.0.113.9/32"), Some(expected), "{text}");
    }
    for text in ["-115.906645ms", "-3.2µs", "0s"] {
        let mut known = Known::default();
        let tally = known.restart(&[decision(1, "203.0.113.9", text)], now());
        assert_eq!((tally.bans, tally.unreadable), (1, 0), "{text}");
        assert_eq!(seconds(&known, "203.0.113.9/32"), None, "{text}");
    }
}

#[test]
fn spellings_of_a_source_are_one_ban_and_the_longest_end_counts() {
    let mut known = settled(&[
        decision(1, "::ffff:203.0.113.9", "1h"),
        decision(2, "203.0.113.9", "2h"),
        decision(3, "198.51.100.77/24", "3h"),
        decision(4, "2001:DB8::7", "4h"),
    ]);
    assert_eq!(known.len(), 3);
    assert_eq!(seconds(&known, "203.0.113.9/32"), Some(7_200));
    assert_eq!(seconds(&known, "198.51.100.0/24"), Some(10_800));
    assert_eq!(seconds(&known, "2001:db8::7/128"), Some(14_400));
    // One that ends earlier changes nothing, nor does its end.
    let short = || decision(5, "203.0.113.9", "10m");
    assert_eq!(follow(&mut known, vec![short()], vec![]), Step::Nothing);
    assert_eq!(follow(&mut known, vec![], vec![short()]), Step::Nothing);
    // One that ends later extends.
    let long = decision(6, "::FFFF:203.0.113.9", "5h");
    let extended = Step::Ban(vec![net("203.0.113.9/32")]);
    assert_eq!(follow(&mut known, vec![long], vec![]), extended);
    known.told(&[net("203.0.113.9/32")]);
    assert_eq!(known.step_of_all(now()), Step::Nothing);
}

#[test]
fn deleted_decision_unbans_nothing_that_another_bans() {
    let mut known = settled(&[
        decision(1, "203.0.113.9", "4h"),
        decision(2, "203.0.113.9", "1h"),
    ]);
    let deleted = decision(1, "203.0.113.9", "-1s");
    assert_eq!(follow(&mut known, vec![], vec![deleted]), Step::Replace);
    assert_eq!(seconds(&known, "203.0.113.9/32"), Some(3_600));
    known.told_all();
    let deleted = decision(2, "203.0.113.9", "-1s");
    assert_eq!(follow(&mut known, vec![], vec![deleted]), Step::Replace);
    assert_eq!(known.all(now()).count(), 0);
    known.told_all();
    assert_eq!(known.step_of_all(now()), Step::Nothing);
}

#[test]
fn decision_that_ends_by_its_time_needs_no_request() {
    let mut known = settled(&[decision(1, "203.0.113.9", "1h")]);
    let later = now() + SignedDuration::from_secs(3_601);
    let ended = Changes {
        new: None,
        deleted: Some(vec![decision(1, "203.0.113.9", "-1s")]),
    };
    let (touched, _) = known.follow(&ended, later);
    assert_eq!(known.step(&touched, later), Step::Nothing);
    assert_eq!(known.step_of_all(later), Step::Nothing);
}

#[test]
fn all_decisions_are_compared_with_what_the_agent_was_told() {
    let mut known = settled(&[
        decision(1, "203.0.113.9", "1h"),
        decision(2, "203.0.113.10", "1h"),
    ]);
    // What remains is computed at another time: the same end within a second.
    let again = [
        decision(1, "203.0.113.9", "59m59.2s"),
        decision(2, "203.0.113.10", "1h0m0.7s"),
    ];
    known.restart(&again, now());
    assert_eq!(known.step_of_all(now()), Step::Nothing);
    // One that no answer brought.
    let more = [
        decision(1, "203.0.113.9", "1h"),
        decision(2, "203.0.113.10", "1h"),
        decision(3, "203.0.113.11", "1h"),
    ];
    known.restart(&more, now());
    let missed = Step::Ban(vec![net("203.0.113.11/32")]);
    assert_eq!(known.step_of_all(now()), missed);
    // One whose deletion no answer brought.
    known.restart(&[decision(1, "203.0.113.9", "1h")], now());
    assert_eq!(known.step_of_all(now()), Step::Replace);
}

#[test]
fn what_is_no_ban_of_an_address_is_counted_and_left_out() {
    let mut captcha = decision(1, "203.0.113.9", "1h");
    captcha.kind = "captcha".into();
    let mut country = decision(2, "CN", "1h");
    country.scope = "Country".into();
    let unreadable = [
        decision(3, "203.0.113.256", "1h"),
        decision(4, "203.0.113.0/33", "1h"),
        decision(5, "203.0.113.1-203.0.113.9", "1h"),
        decision(6, "203.0.113.9", "a while"),
        decision(7, "", "1h"),
    ];
    let mut decisions = vec![captcha, country];
    decisions.extend(unreadable);
    let mut known = Known::default();
    let tally = known.restart(&decisions, now());
    assert_eq!(
        tally,
        Tally {
            bans: 0,
            other_types: 1,
            other_scopes: 1,
            unreadable: 5
        }
    );
    assert_eq!(known.len(), 0);
    assert!(!tally.is_complete());
}

#[test]
fn answers_of_the_local_api_are_read() {
    let text = r#"{"deleted":null,"new":[{"duration":"3h59m58.295589417s","id":1,"origin":"cscli","scenario":"manual \"ban\"\nfrom 'test'","scope":"Ip","type":"ban","uuid":"x","value":"203.0.113.5"}]}"#;
    let changes: Changes<'_> = serde_json::from_str(text).unwrap();
    let mut known = Known::default();
    known.follow(&changes, now());
    let wanted = known.wanted(net("203.0.113.5/32"), now()).unwrap();
    assert_eq!(wanted.reason, "manual \"ban\" from 'test'");
    let long = "ä".repeat(REASON);
    assert!(reason(&long).len() <= REASON);
    let none: Changes<'_> = serde_json::from_str(r#"{"deleted":null,"new":null}"#).unwrap();
    assert!(none.new.is_none() && none.deleted.is_none());
}
