//! Changes, events, and what holds for all views.

use super::*;
use crate::testing::word;

fn changed() -> Changed {
    Changed {
        revision: 5,
        generation: 7,
        entries: 3,
        changed: true,
        plan: vec![
            PlanItem {
                action: PlanAction::Add,
                subject: "policy office".into(),
                details: vec!["+ allow 10.0.0.0/8".into(), "comment: head office".into()],
            },
            PlanItem {
                action: PlanAction::Remove,
                subject: "policy old".into(),
                details: Vec::new(),
            },
        ],
        effects: Vec::new(),
        clients: None,
        databases: Vec::new(),
        seen: None,
        operator: None,
        opens: None,
        pending: None,
        warnings: Vec::new(),
        dry_run: false,
        timing: Timing {
            check_ms: 1,
            compile_ms: 0,
            fill_ms: 2,
            store_ms: 0,
        },
    }
}

#[test]
fn change_is_shown_with_the_interfaces_where_it_is_in_force() {
    let (changed, status) = (changed(), status());
    shows(
        &ChangeReport {
            changed: &changed,
            status: Some(&status),
        },
        "
+ policy office
    + allow 10.0.0.0/8
    comment: head office
- policy old
revision 5, generation 7 in force on eth0, eth1 (3 ms)
",
    );
    let mut out = Vec::new();
    let options = RenderOptions {
        format: Format::Json,
        ..options()
    };
    render(
        &ChangeReport {
            changed: &changed,
            status: None,
        },
        &options,
        &mut out,
    )
    .unwrap();
    assert_eq!(serde_json::from_slice::<Changed>(&out).unwrap(), changed);
}

#[test]
fn dry_run_and_change_without_effect_are_named() {
    let dry = Changed {
        dry_run: true,
        ..changed()
    };
    let text = table(&ChangeReport {
        changed: &dry,
        status: Some(&status()),
    });
    assert!(
        text.ends_with(
            "dry run, nothing was changed: revision 5, generation 7 in force on eth0, eth1\n"
        ),
        "{text}"
    );
    let same = Changed {
        plan: Vec::new(),
        ..changed()
    };
    assert_eq!(
        table(&ChangeReport {
            changed: &same,
            status: None
        }),
        "nothing to change: revision 5, generation 7 in force\n"
    );
}

#[test]
fn change_without_filtering_is_reported() {
    let (changed, mut status) = (changed(), status());
    status.enforcement.state = EnforcementState::Detached;
    let text = table(&ChangeReport {
        changed: &changed,
        status: Some(&status),
    });
    assert!(
        text.contains("loaded, but detached: nothing is filtered"),
        "{text}"
    );
    status.enforcement.state = EnforcementState::NotAttached;
    status.enforcement.interfaces.clear();
    let text = table(&ChangeReport {
        changed: &changed,
        status: Some(&status),
    });
    assert!(
        text.contains("loaded, but on no interface: nothing is filtered"),
        "{text}"
    );
}

fn denied() -> DeniedEvent {
    DeniedEvent {
        time: at("12:00:00.125"),
        source: "203.0.113.9".parse().unwrap(),
        source_port: 51515,
        destination: "192.0.2.10".parse().unwrap(),
        destination_port: 5432,
        interface: "eth0".into(),
        scope: "postgres".into(),
        reason: word("blocked"),
        action: word("drop"),
        generation: 7,
        rule: Some("office block 203.0.113.0/24".into()),
        policies: vec!["office".into()],
    }
}

#[test]
fn events_are_one_line_each() {
    let six = DeniedEvent {
        source: "2001:db8::1".parse().unwrap(),
        destination: "2001:db8::2".parse().unwrap(),
        source_port: 0,
        reason: word("not-allowed"),
        rule: None,
        ..denied()
    };
    let lines = [
        EventLine::Denied(denied()),
        EventLine::Denied(six),
        EventLine::Lost { count: 3 },
    ];
    let mut out = Vec::new();
    for event in &lines {
        write_event(event, &options(), &mut out).unwrap();
    }
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "\
12:00:00.125  drop  blocked           203.0.113.9:51515 -> 192.0.2.10:5432        eth0  postgres  office block 203.0.113.0/24
12:00:00.125  drop  not-allowed             2001:db8::1 -> [2001:db8::2]:5432     eth0  postgres  office
-- 3 events not reported
"
    );
    let mut out = Vec::new();
    let json = RenderOptions {
        format: Format::Json,
        ..options()
    };
    for event in &lines {
        write_event(event, &json, &mut out).unwrap();
    }
    let back: Vec<EventLine> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(back, lines);
}

#[test]
fn colours_are_used_only_if_requested() {
    let coloured = RenderOptions {
        colour: true,
        ..options()
    };
    let mut out = Vec::new();
    render(&explanation(), &coloured, &mut out).unwrap();
    write_event(&EventLine::Denied(denied()), &coloured, &mut out).unwrap();
    write_plan(&changed().plan, &coloured, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("\x1b["), "{text}");
    assert!(text.contains("\x1b[32m+ policy office\x1b[0m"), "{text}");
    assert!(!table(&explanation()).contains('\x1b'));
}

#[test]
fn text_of_other_users_is_escaped() {
    let nasty = PolicyView {
        allow_lists: vec![],
        block_lists: vec![],
        except_count: 0,
        except_lists: vec![],
        except: None,
        comment: Some("\x1b[2Jgone\r".into()),
        ..policy()
    };
    assert!(table(&nasty).contains("Comment   \\u{1b}[2Jgone\\r\n"));
    assert!(!table(&[nasty][..]).contains('\x1b'));
}
