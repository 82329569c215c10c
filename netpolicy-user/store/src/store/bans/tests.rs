use std::time::Duration;

use super::*;
use crate::clock::testing::Hands;

const HOUR: Duration = Duration::from_secs(3600);
const HOUR_MS: i64 = 3_600_000;

fn row(source: &str, since: i64, until: Option<i64>) -> BanRow<'_> {
    BanRow {
        source: source.parse().unwrap(),
        service: None,
        since,
        until,
        by: None,
        reason: None,
    }
}

fn encoded(clock: &Clock, edits: &[BanEdit<'_>]) -> Vec<u8> {
    let mut encoder = Encoder::new(clock);
    for edit in edits {
        encoder.push(edit);
    }
    encoder.finish()
}

/// The until of the one ban, as milliseconds that are left, and whether it is of this boot.
fn left(bytes: &[u8], clock: &Clock) -> (i64, bool) {
    left_after(bytes, None, clock)
}

/// The same, with when the newest batch was written.
fn left_after(bytes: &[u8], last: Option<&LastWrite>, clock: &Clock) -> (i64, bool) {
    let mut left = None;
    let is_current = decode(clock, last, bytes, &mut |edit| {
        if let BanEdit::Put(row) = edit {
            left = row.until.map(|until| until - clock.now().as_millisecond());
        }
    })
    .unwrap();
    (left.unwrap(), is_current)
}

#[test]
fn changes_read_back_as_they_were_written() {
    let clock = Hands::new().clock();
    let now = clock.now().as_millisecond();
    let edits = [
        BanEdit::Put(row("203.0.113.9/32", now, Some(now + HOUR_MS))),
        BanEdit::Put(BanRow {
            service: Some("postgres"),
            by: Some("fail2ban"),
            reason: Some("5 failed log-ins"),
            ..row("2001:db8::/48", now - 5, None)
        }),
        BanEdit::Remove {
            source: "203.0.113.9/32".parse().unwrap(),
            service: Some("postgres"),
        },
        BanEdit::Put(BanRow {
            by: Some("fail2ban"),
            ..row("0.0.0.0/0", now, Some(now))
        }),
        BanEdit::Also(BanRow {
            by: Some("crowdsec"),
            ..row("0.0.0.0/0", now, Some(now))
        }),
    ];
    assert_eq!(encoded(&clock, &edits[..4])[0], VERSION);
    let bytes = encoded(&clock, &edits);
    assert_eq!(bytes[0], ORIGINS_VERSION);
    let mut at = 0;
    let is_current = decode(&clock, None, &bytes, &mut |edit| {
        assert_eq!(edit, edits[at]);
        at += 1;
    });
    assert_eq!((is_current, at), (Ok(true), edits.len()));
}

#[test]
fn within_a_boot_the_boot_clock_counts_and_after_it_the_wall_clock() {
    let hands = Hands::new();
    let clock = hands.clock();
    let now = clock.now().as_millisecond();
    let bytes = encoded(
        &clock,
        &[BanEdit::Put(row("10.0.0.1/32", now, Some(now + HOUR_MS)))],
    );
    hands.pass(HOUR / 6);
    hands.set_wall(86_400);
    assert_eq!(left(&bytes, &hands.clock()), (HOUR_MS * 5 / 6, true));
    hands.set_wall(-86_400);
    hands.reboot(HOUR / 6);
    let (left_after, is_current) = left(&bytes, &hands.clock());
    assert!(!is_current);
    assert_eq!(left_after, HOUR_MS * 4 / 6 - 10_000);
    // A wall clock that is set back prolongs nothing beyond the whole.
    hands.set_wall(-86_400);
    assert_eq!(left(&bytes, &hands.clock()).0, HOUR_MS);
    hands.set_wall(7 * 86_400);
    assert_eq!(left(&bytes, &hands.clock()).0, 0);
}

#[test]
fn wall_clock_that_is_behind_after_a_reboot_revives_no_ban() {
    let hands = Hands::new();
    let clock = hands.clock();
    let now = clock.now().as_millisecond();
    let ban = |hours: i64| BanEdit::Put(row("10.0.0.1/32", now, Some(now + hours * HOUR_MS)));
    let [short, long] = [1, 3].map(|hours| encoded(&clock, &[ban(hours)]));
    hands.pass(2 * HOUR);
    let last = last_write(&encoded(&hands.clock(), &[])).unwrap();
    // What the boot's own clock says is not touched by it.
    assert_eq!(
        left_after(&long, Some(&last), &hands.clock()),
        (HOUR_MS, true)
    );
    hands.reboot(HOUR / 6);
    hands.set_wall(-20 * 86_400);
    let left = |bytes, last| left_after(bytes, last, &hands.clock()).0;
    assert_eq!(left(&short, Some(&last)), 0);
    assert_eq!(left(&long, Some(&last)), HOUR_MS);
    // Of another boot it says nothing.
    let other = LastWrite {
        boot: "another".to_owned(),
        ..last
    };
    assert_eq!(left(&short, Some(&other)), HOUR_MS);
    assert_eq!(left(&short, None), HOUR_MS);
}

#[test]
fn batches_of_the_first_version_are_read() {
    let clock = Hands::new().clock();
    let now = clock.now().as_millisecond();
    let edit = BanEdit::Put(row("10.0.0.1/32", now, Some(now + HOUR_MS)));
    let mut bytes = encoded(&clock, &[edit]);
    let written = 2 + clock.boot().len() + 8;
    bytes.drain(written..written + 8);
    bytes[0] = FIRST_VERSION;
    assert_eq!(last_write(&bytes), None);
    let mut found = 0;
    let is_current = decode(&clock, None, &bytes, &mut |read| {
        assert_eq!(read, edit);
        found += 1;
    });
    assert_eq!((is_current, found), (Ok(true), 1));
}

#[test]
fn damage_is_an_error_and_never_a_panic() {
    let clock = Hands::new().clock();
    let now = clock.now().as_millisecond();
    let bytes = encoded(
        &clock,
        &[BanEdit::Put(BanRow {
            reason: Some("why"),
            ..row("10.0.0.1/32", now, Some(now))
        })],
    );
    for length in 0..bytes.len() {
        decode(&clock, None, &bytes[..length], &mut |_| ()).unwrap_err();
    }
    let mut longer = bytes.clone();
    longer.push(0);
    decode(&clock, None, &longer, &mut |_| ()).unwrap_err();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        let _ = decode(&clock, None, &damaged, &mut |_| ());
    }
}
