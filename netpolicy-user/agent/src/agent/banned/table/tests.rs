use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::agent::banned::{OriginFilter, SharedBans, StagedBans, overlapping};

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn row<'a>(source: &str, until: Option<i64>, by: Option<&'a str>) -> BanRow<'a> {
    BanRow {
        source: net(source),
        service: None,
        since: 1_000,
        until,
        by,
        reason: None,
    }
}

fn put(table: &mut BanTable, service: Option<&Name>, row: &BanRow<'_>) {
    let replaced = table.put(service, row);
    table.keep([replaced]);
}

fn held(table: &mut BanTable) -> Vec<(ScopeId, String)> {
    let lists = table.lists(|_| Some(3));
    let nets = lists.scopes().flat_map(|(id, set)| {
        let nets: Vec<_> = set.nets().map(move |net| (id, net.to_string())).collect();
        nets
    });
    nets.collect()
}

#[test]
fn kernel_holds_the_widest_and_what_is_inside_when_that_ends() {
    let mut table = BanTable::default();
    put(&mut table, None, &row("10.1.2.3/32", None, None));
    put(&mut table, None, &row("10.0.0.0/8", Some(5_000), None));
    let postgres = Name::new("postgres").unwrap();
    put(&mut table, Some(&postgres), &row("10.1.2.4/32", None, None));
    assert_eq!(
        held(&mut table),
        [(0, "10.0.0.0/8".into()), (3, "10.1.2.4/32".into())]
    );
    assert!(table.expire(4_999).is_empty());
    let ended = table.expire(5_250);
    assert_eq!(ended.len(), 1);
    table.keep(ended);
    assert_eq!(
        held(&mut table),
        [(0, "10.1.2.3/32".into()), (3, "10.1.2.4/32".into())]
    );
    assert_eq!(table.len(), 2);
}

/// Changes of a ban that is there, and of one that is not.
fn staged(table: &mut BanTable) -> StagedBans {
    let mut staged = StagedBans::default();
    let mut put = |table: &mut BanTable, row: BanRow<'_>| {
        let known = table.known(&staged, None, row.source);
        table.stage(&mut staged, known, None, &row);
    };
    put(table, row("10.0.0.1/32", None, Some("second")));
    put(table, row("10.0.0.1/32", Some(10), Some("third")));
    put(table, row("10.0.0.2/32", None, Some("second")));
    let mut remove = |source| {
        let known = table.known(&staged, None, net(source));
        table.stage_removal(&mut staged, known)
    };
    assert!(remove("10.0.0.1/32"));
    assert!(!remove("10.0.0.1/32"));
    assert!(!remove("10.0.0.9/32"));
    assert_eq!(staged.len(), 2);
    staged
}

fn rows(table: &BanTable) -> Vec<String> {
    table.rows().map(|row| format!("{row:?}")).collect()
}

#[test]
fn shorter_bans_that_are_staged_again_count_once() {
    let mut table = BanTable::default();
    put(&mut table, None, &row("10.0.0.1/32", None, Some("first")));
    let shorter = row("10.0.0.1/32", Some(9), Some("second"));
    let replaced = table.put_also(None, &shorter);
    table.keep([replaced]);
    assert_eq!(table.count(), 2);
    let mut staged = StagedBans::default();
    let others = [
        (Some(10), "second", 2),
        (Some(11), "third", 3),
        (Some(12), "third", 3),
    ];
    for (until, by, count) in others {
        let known = table.known(&staged, None, shorter.source);
        let bans = table.origins_of(&staged, known);
        let row = row("10.0.0.1/32", until, Some(by));
        table.stage_next_to(&mut staged, known, bans, &row);
        assert_eq!(table.count_with(&staged), count);
    }
    let settled = table.settled(&staged);
    table.make(staged, settled);
    assert_eq!(table.count(), 3);
}

#[test]
fn staged_changes_are_seen_once_they_are_made() {
    let first = row("10.0.0.1/32", Some(9), Some("first"));
    let mut table = BanTable::default();
    put(&mut table, None, &first);
    let before = rows(&table);
    let changes = staged(&mut table);
    assert_eq!(rows(&table), before);
    assert_eq!((table.len(), table.len_with(&changes)), (1, 1));
    let of_second = vec![(None, net("10.0.0.2/32"))];
    let of = |name| {
        let by = OriginFilter {
            name,
            with_parts: false,
        };
        table.of_origin_with(&changes, by)
    };
    assert_eq!(of("second"), of_second);
    assert!(of("first").is_empty());
    assert!(of("third").is_empty());
    let edits: Vec<_> = table.edits(&changes).collect();
    let removal = BanEdit::Remove {
        source: net("10.0.0.1/32"),
        service: None,
    };
    let second = BanEdit::Put(row("10.0.0.2/32", None, Some("second")));
    assert_eq!(edits, [removal, second]);
    let settled = table.settled(&changes);
    table.make(changes, settled);
    assert_eq!(held(&mut table), [(0, "10.0.0.2/32".into())]);
    assert_eq!(table.len(), 1);
    assert!(table.texts().find("first").is_none());
}

#[test]
fn discarded_changes_leave_everything_as_it_was() {
    let mut table = BanTable::default();
    put(
        &mut table,
        None,
        &row("10.0.0.1/32", Some(9), Some("first")),
    );
    let before = rows(&table);
    let changes = staged(&mut table);
    table.discard(&changes);
    assert_eq!(rows(&table), before);
    assert_eq!(held(&mut table), [(0, "10.0.0.1/32".into())]);
    assert!(table.texts().find("second").is_none());
    assert!(table.texts().find("third").is_none());
}

#[test]
fn attempt_meets_a_ban_of_the_host_and_of_its_service_alone() {
    let mut table = BanTable::default();
    let [postgres, web] = ["postgres", "web"].map(|name| Name::new(name).unwrap());
    put(&mut table, None, &row("10.0.0.0/24", None, Some("host")));
    put(&mut table, Some(&postgres), &row("10.0.1.7/32", None, None));
    let meets = |source: &str, service| {
        let source = net(&format!("{source}/32"));
        let ban = table
            .ban_of(source, service)
            .map(|row| row.source.to_string());
        ban.unwrap_or_default()
    };
    assert_eq!(meets("10.0.0.9", Some(&postgres)), "10.0.0.0/24");
    assert_eq!(meets("10.0.0.9", None), "10.0.0.0/24");
    assert_eq!(meets("10.0.1.7", Some(&postgres)), "10.0.1.7/32");
    assert_eq!(meets("10.0.1.7", Some(&web)), "");
    assert_eq!(meets("10.0.1.7", None), "");
    let gone = table.forget_services(|name| *name != postgres);
    assert_eq!(gone.len(), 1);
    table.keep(gone);
    assert_eq!(table.len(), 1);
}

proptest! {
    /// Against a map that knows nothing of buckets and families.
    #[test]
    fn bans_are_those_that_were_made_and_have_not_ended(
        steps in prop::collection::vec(
            (0..12_u8, any::<bool>(), prop::option::of(0..3_000_000_i64), 0..200_000_i64), 0..60)
    ) {
        let mut table = BanTable::default();
        let mut expected = BTreeMap::new();
        let mut now = 0;
        for (source, is_ban, end, passed) in steps {
            now += passed;
            let source = net(&format!("10.0.0.{source}/32"));
            if is_ban {
                let until = end.map(|end| now + end);
                put(&mut table, None, &BanRow { source, ..row("10.0.0.0/32", until, None) });
                expected.insert(source, until);
            } else if let Some(replaced) = table.remove(None, source) {
                table.keep([replaced]);
                expected.remove(&source);
            }
            // A bucket of a quarter of a second is over.
            now += 250;
            let ended = table.expire(now);
            table.keep(ended);
            expected.retain(|_, until| until.is_none_or(|until| until > now));
            let late = |row: &BanRow<'_>| row.until.is_some_and(|until| until + 250 <= now);
            prop_assert!(!table.rows().any(|row| late(&row)));
            let found: Vec<_> = table
                .rows()
                .filter(|row| row.until.is_none_or(|until| until > now))
                .map(|row| (row.source, row.until))
                .collect();
            let all: Vec<_> = expected.clone().into_iter().collect();
            prop_assert_eq!(found, all);
        }
    }
}

#[test]
fn bans_of_a_network_that_take_several_looks_are_counted_once() {
    let mut table = BanTable::default();
    put(&mut table, None, &row("10.0.0.0/8", None, None));
    put(&mut table, None, &row("10.1.0.0/32", None, None));
    for host in 0..5_000_u32 {
        let source = std::net::Ipv4Addr::from((10 << 24) + host);
        put(&mut table, None, &row(&format!("{source}/32"), None, None));
    }
    let bans = SharedBans::new(std::sync::RwLock::new(table));
    let clock = crate::clock::Clock::system();
    let (first, total) = overlapping(&bans, net("10.0.0.0/16"), 2, &clock);
    assert_eq!(total, 5_001);
    let first: Vec<_> = first.iter().map(|(net, _)| net.to_string()).collect();
    assert_eq!(first, ["10.0.0.0/8", "10.0.0.0/32"]);
    let (none, total) = overlapping(&bans, net("10.0.0.0/16"), 0, &clock);
    assert_eq!((none.len(), total), (0, 5_001));
}
