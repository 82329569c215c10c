//! Times of the past on the command line.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Reads how long ago, as in 1h or 30d, or a time: in UTC as in 2026-11-30T03:00:00Z, or on the
/// wall clock as in 2026-11-30 or "2026-11-30 03:00".
pub(super) fn since(text: &str) -> Result<Timestamp, String> {
    since_at(text, Timestamp::now(), TimeZone::system())
}

fn since_at(text: &str, now: Timestamp, zone: TimeZone) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(ago) = humantime::parse_duration(text) {
        let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::MAX);
        return Ok(now.checked_sub(ago).unwrap_or(Timestamp::MIN));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let civil: Option<DateTime> = text.parse().ok();
    let zoned = civil.and_then(|civil| civil.to_zoned(zone).ok());
    zoned.map(|zoned| zoned.timestamp()).ok_or_else(|| {
        "expected how long ago, as in 1h or 30d, or a time, as in 2026-11-30T03:00:00Z or \
         2026-11-30"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_is_a_duration_a_time_or_a_day() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let read = |text| since_at(text, now, TimeZone::UTC).map(|time| time.to_string());
        assert_eq!(read("1h").unwrap(), "2026-11-30T11:00:00Z");
        assert_eq!(read("30d").unwrap(), "2026-10-31T12:00:00Z");
        assert_eq!(
            read("2026-11-30T03:00:00Z").unwrap(),
            "2026-11-30T03:00:00Z"
        );
        assert_eq!(read("2026-11-30").unwrap(), "2026-11-30T00:00:00Z");
        assert_eq!(read("2026-11-30 03:15").unwrap(), "2026-11-30T03:15:00Z");
        for wrong in ["", "yesterday", "1", "03:00"] {
            assert!(read(wrong).unwrap_err().contains("as in 1h"), "{wrong}");
        }
    }
}
