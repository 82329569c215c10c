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
    let mut left = None;
    let is_current = decode(clock, bytes, &mut |edit| {
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
    ];
    let bytes = encoded(&clock, &edits);
    let mut at = 0;
    let is_current = decode(&clock, &bytes, &mut |edit| {
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
        decode(&clock, &bytes[..length], &mut |_| ()).unwrap_err();
    }
    let mut longer = bytes.clone();
    longer.push(0);
    decode(&clock, &longer, &mut |_| ()).unwrap_err();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        let _ = decode(&clock, &damaged, &mut |_| ());
    }
}
