//! Durations as nftables and Go print them: `1d2h`, `59m59s996ms`, `3h59m57.12s`.

use std::time::Duration;

/// Reads a duration; one that is over is zero.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 9] = [
        ("ms", 1e-3),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ns", 1e-9),
        ("w", 604_800.0),
        ("d", 86_400.0),
        ("h", 3600.0),
        ("m", 60.0),
        ("s", 1.0),
    ];
    if let Some(over) = text.strip_prefix('-') {
        return parse(over).map(|_| Duration::ZERO);
    }
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let (unit, factor) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        seconds += value * factor;
        rest = &after[unit.len()..];
    }
    let is_one = !text.is_empty();
    is_one.then(|| Duration::try_from_secs_f64(seconds).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_nft_and_go_are_read() {
        for (text, seconds) in [
            ("1h", 3600.0),
            ("59m59s996ms", 3599.996),
            ("1d2h", 93_600.0),
            ("3h59m57.5s", 14_397.5),
            ("-5m", 0.0),
            ("0s", 0.0),
        ] {
            let read = parse(text).unwrap().as_secs_f64();
            assert!((read - seconds).abs() < 1e-6, "{text}: {read}");
        }
        for text in ["", "h", "1", "1x", "1h30", "999999999999999999999w"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
