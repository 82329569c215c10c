//! Ends of what commands add: how long, or until when.

use std::time::Duration;

use jiff::Timestamp;

/// When the rules end that a command adds.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct RuleEnd {
    /// How long what is added stays, as in 4h, 30m or 7d; without it, until it is removed
    #[arg(long = "for", value_name = "TIME", value_parser = after)]
    rules_for: Option<Timestamp>,
    /// Until when what is added stays, as in 2030-01-31T12:00:00Z
    #[arg(long = "until", value_name = "TIME", conflicts_with = "rules_for", value_parser = later)]
    rules_until: Option<Timestamp>,
}

impl RuleEnd {
    /// The end; `None`: there is none.
    pub(super) fn at(&self) -> Option<Timestamp> {
        self.rules_for.or(self.rules_until)
    }
}

/// Reads a time, or seconds since 1970 as `date` writes and reads them.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let read = match text.strip_prefix('@') {
        Some(seconds) => match seconds.parse() {
            Ok(seconds) => Timestamp::from_second(seconds),
            Err(error) => return Err(error.to_string()),
        },
        None => text.parse(),
    };
    read.map_err(|error| error.to_string())
}

/// Reads a time that is still to come.
fn later(text: &str) -> Result<Timestamp, String> {
    let end = time(text)?;
    match end > Timestamp::now() {
        true => Ok(end),
        false => Err("this time is over; expected one that is still to come".to_owned()),
    }
}

/// Reads a duration, and gives its end.
fn after(text: &str) -> Result<Timestamp, String> {
    let expected = "expected a time as in 4h, 30m or 7d";
    let duration = humantime::parse_duration(text).map_err(|e| format!("{e}; {expected}"))?;
    if duration < Duration::from_secs(1) {
        return Err(format!("shorter than a second; {expected}"));
    }
    let end = Timestamp::now().checked_add(duration);
    end.map_err(|_| format!("longer than the calendar; {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_is_a_time_to_come_or_so_long_from_now() {
        let now = Timestamp::now();
        let left = after("4h").unwrap().duration_since(now).as_secs();
        assert!((14_400..14_410).contains(&left), "{left}");
        for bad in ["0s", "10ms", "soon", "", "-1h", "999999999999999s"] {
            let error = after(bad).unwrap_err();
            assert!(error.contains("4h, 30m or 7d"), "{bad}: {error}");
        }
        assert!(later("2999-01-31T12:00:00Z").is_ok());
        assert!(later("@32503680000").is_ok());
        let error = later("2020-01-31T12:00:00Z").unwrap_err();
        assert!(error.contains("is over"), "{error}");
        assert!(later("2999-01-31").is_err());
    }
}
