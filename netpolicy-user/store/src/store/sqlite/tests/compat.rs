//! Properties stored for SQL dialects: states of earlier versions read the same.

use super::*;
use crate::model::{Change, ChangeContext, Limits, PolicyCompat};
use crate::store::document::Document;

/// A document as versions wrote it that knew `blocked_rest` and `default_dropped` by name.
const FORMER: &str = r#"{"format":1,"host":{"mode":"enforce","failsafe_ports":["22"],"default_dropped":true},"services":[],"policies":[{"name":"OFFICE","allow":"AAAA","block":"AAAA","blocked_rest":"192.168.1.0/0","comment":null,"owner":"root","created":"1970-01-01T00:16:40Z","altered":"1970-01-01T00:16:40Z","active":true,"on_host":true,"services":[]}]}"#;

/// The same without either.
const PLAIN: &str = r#"{"format":1,"host":{"mode":"enforce","failsafe_ports":["22"]},"services":[],"policies":[{"name":"OFFICE","allow":"AAAA","block":"AAAA","comment":null,"owner":"root","created":"1970-01-01T00:16:40Z","altered":"1970-01-01T00:16:40Z","active":true,"on_host":true,"services":[]}]}"#;

#[test]
fn former_documents_read_and_are_written_again_to_the_byte() {
    for (text, rest, dropped) in [(FORMER, Some("192.168.1.0/0"), true), (PLAIN, None, false)] {
        let text = text.replace("AAAA", &"a".repeat(64));
        let document = Document::decode(text.as_bytes()).unwrap();
        let [id, ..] = document.lists().collect::<Vec<_>>()[..] else {
            panic!("{text}");
        };
        let state = document.into_state(|_| Some(RuleList::default())).unwrap();
        assert_eq!(state.policies[0].compat.blocked_rest(), rest);
        assert_eq!(state.host.compat.default_dropped(), dropped);
        let again = Document::of(&state, |_| Ok(id)).unwrap().encode().unwrap();
        assert_eq!(String::from_utf8(again).unwrap(), text);
    }
}

#[test]
fn compat_survives_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let cx = ChangeContext {
        now: time(1),
        actor: "root",
        limits: Limits::default(),
        force: false,
    };
    let dropped = State::empty().apply(&Change::DropDefault, &cx).unwrap();
    let mut office = policy(
        "office",
        AllowPart::Only(RuleList::default()),
        RuleList::default(),
    );
    office.compat = PolicyCompat::with_blocked_rest(Some("0.0.0.0/0".to_owned()));
    let state = State {
        policies: vec![office],
        ..dropped.state
    };
    let mut store = SqliteStore::open(dir.path()).unwrap();
    store.commit(&state, &by("sql")).unwrap();
    drop(store);
    let stored = SqliteStore::open(dir.path()).unwrap().load().unwrap();
    assert_eq!(stored.state, state);
    assert!(stored.state.host.compat.default_dropped());
}
