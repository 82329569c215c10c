//! Text that others wrote, in every place of every view.

use crate::testing::word;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;
use netpolicy_log::steers;

/// Begins a line that pretends to be the program's own.
const FORGED: &str = "\nFORGED";

/// The view with `text` in each of its strings, one after the other, where it still is a
/// view then.
fn spoilt<T: Serialize + DeserializeOwned>(view: &T, text: &str) -> Vec<T> {
    let value = serde_json::to_value(view).unwrap();
    let mut places = Vec::new();
    find(&value, String::new(), &mut places);
    let views = places.iter().filter_map(|place| {
        let mut value = value.clone();
        *value.pointer_mut(place)? = text.into();
        serde_json::from_value(value).ok()
    });
    views.collect()
}

fn find(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::String(_) => places.push(at),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find(item, format!("{at}/{index}"), places);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                find(field, format!("{at}/{name}"), places);
            }
        }
        _ => {}
    }
}

/// What a terminal is sent.
fn sent(
    write: impl FnOnce(&RenderOptions, &mut dyn Write) -> io::Result<()>,
    colour: bool,
) -> String {
    let options = RenderOptions {
        colour,
        ..options()
    };
    let mut out = Vec::new();
    let mut escaped = Escaped::new(&mut out, Format::Table, colour);
    write(&options, &mut escaped).unwrap();
    escaped.flush().unwrap();
    drop(escaped);
    String::from_utf8(out).unwrap()
}

fn check<T: Render + Serialize + DeserializeOwned>(view: &T, text: &str) -> usize {
    let views = spoilt(view, text);
    for view in &views {
        harmless(&sent(|options, out| render(view, options, out), false));
    }
    views.len()
}

fn harmless(text: &str) {
    assert!(!text.chars().any(|c| steers(c) && c != '\t'), "{text:?}");
    assert!(!text.contains(FORGED), "{text:?}");
}

fn everything(text: &str) -> usize {
    let counters = Counters {
        rows: vec![CounterRow {
            scope: "host".into(),
            reason: word("blocked"),
            action: word("drop"),
            packets: 1,
            since: None,
        }],
        events_sent: 1,
        events_limited: 0,
        events_overflowed: 0,
        resets_sent: 0,
        resets_limited: 0,
        resets_withheld: 0,
        recent: None,
    };
    let mut status = status();
    status.faults = vec!["a".into()];
    status.enforcement.detached = Some(Detached {
        actor: Some("root".into()),
        time: None,
    });
    if let Some(agent) = &mut status.agent {
        agent.observing = vec!["host".into()];
    }
    let bypass = BypassView {
        source: "10.0.0.0/8".into(),
        scope: "host".into(),
        granted: Timestamp::UNIX_EPOCH,
        expires: Timestamp::UNIX_EPOCH,
        granted_by: "root".into(),
    };
    let verify = VerifyView {
        revision: 1,
        generation: 1,
        entries: 1,
        differences: vec!["a".into()],
        repaired: false,
        took_ms: 1,
        overtaken: Vec::new(),
    };
    check(&status, text)
        + check(&counters, text)
        + check(&explanation(), text)
        + check(&policy(), text)
        + check(&verify, text)
        + check(&bypass, text)
}

#[test]
fn text_of_other_users_neither_steers_a_terminal_nor_forges_a_line() {
    let bad = "\u{202e}\u{1b}[2J\u{1b}[31m\u{9b}1m\u{7}\r\u{feff}\u{2028}\u{e0041}";
    // As many places as the views have strings that may hold anything.
    assert!(everything(&format!("x{bad}{FORGED}")) > 25);
    let denied = DeniedEvent {
        time: Timestamp::UNIX_EPOCH,
        source: "10.0.0.1".parse().unwrap(),
        source_port: 1,
        destination: "10.0.0.2".parse().unwrap(),
        destination_port: 2,
        interface: "eth0".into(),
        scope: "host".into(),
        reason: word("blocked"),
        action: word("drop"),
        generation: 1,
        rule: Some("office block 10.0.0.0/8".into()),
        policies: vec!["office".into()],
    };
    for event in spoilt(&EventLine::Denied(denied), &format!("x{bad}{FORGED}")) {
        harmless(&sent(
            |options, out| write_event(&event, options, out),
            false,
        ));
    }
    for plan in spoilt(
        &vec![PlanItem {
            action: PlanAction::Add,
            subject: "policy office".into(),
            details: vec!["allow 1".into()],
        }],
        &format!("x{bad}{FORGED}"),
    ) {
        harmless(&sent(|options, out| write_plan(&plan, options, out), false));
    }
}

#[test]
fn colours_are_the_only_codes_that_are_sent() {
    let text = sent(|options, out| render(&status(), options, out), true);
    assert!(text.contains("\u{1b}["));
    let mut evil = status();
    evil.faults = vec!["\u{1b}[2J\u{1b}]0;x\u{7}".into()];
    let text = sent(|options, out| render(&evil, options, out), true);
    for code in ["\u{1b}[2J", "\u{1b}]0", "\u{7}"] {
        assert!(!text.contains(code), "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_text_is_escaped_in_every_view(text in "[\\PC\\p{Cc}\\p{Cf}\\p{Zl}\n]{1,12}") {
        everything(&format!("x{text}"));
    }
}
