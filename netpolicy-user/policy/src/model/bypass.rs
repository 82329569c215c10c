//! Exemptions that expire.

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Name;
use super::address::{self, Written};
use super::error::{Excerpt, ModelError, Problem};

/// The longest bypass: a week.
pub const MAX_MINUTES: u32 = 7 * 24 * 60;

/// A source that is exempt for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bypass {
    /// Who is exempt.
    pub source: IpNet,
    /// From which service's policies; `None`: from everything on the host.
    pub service: Option<Name>,
    /// When it was granted.
    pub granted: Timestamp,
    /// When it expires.
    pub expires: Timestamp,
    /// Who granted it: an OS user's name.
    pub granted_by: String,
}

impl Bypass {
    /// Whether it exempts in the scope of `service` (`None`: the host's) at `now`.
    #[must_use]
    pub fn covers(&self, service: Option<&Name>, now: Timestamp) -> bool {
        now < self.expires && (self.service.is_none() || self.service.as_ref() == service)
    }

    /// When a bypass granted at `now` expires.
    ///
    /// # Errors
    /// [`Problem::BypassMinutes`] unless it lasts 1 minute to a week.
    pub fn expiry(now: Timestamp, minutes: u32) -> Result<Timestamp, ModelError> {
        let duration = SignedDuration::from_mins(i64::from(minutes));
        (1..=MAX_MINUTES)
            .contains(&minutes)
            .then(|| now.checked_add(duration).ok())
            .flatten()
            .ok_or_else(|| {
                let most = MAX_MINUTES;
                Problem::BypassMinutes { minutes, most }.into()
            })
    }
}

/// Reads one address or CIDR, such as a bypass's source; host bits are masked.
///
/// # Errors
/// [`Problem::Address`] or [`Problem::Range`].
pub fn parse_source(text: &str) -> Result<IpNet, ModelError> {
    match address::parse(text.trim()) {
        Ok(Written::Net(net)) => Ok(net.net),
        Ok(Written::Range(..)) => Err(Problem::Range {
            text: Excerpt::new(text),
        }
        .into()),
        Err(why) => Err(Problem::Address {
            text: Excerpt::new(text),
            why,
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_bypass_covers_only_its_service() {
        let now = Timestamp::from_second(1000).unwrap();
        let mut bypass = Bypass {
            source: parse_source("10.0.0.1/8").unwrap(),
            service: Some(Name::new("pg1").unwrap()),
            granted: now,
            expires: Bypass::expiry(now, 1).unwrap(),
            granted_by: "root".into(),
        };
        assert_eq!(bypass.source.to_string(), "10.0.0.0/8");
        assert!(bypass.covers(Some(&Name::new("pg1").unwrap()), now));
        assert!(!bypass.covers(Some(&Name::new("pg2").unwrap()), now));
        assert!(!bypass.covers(None, now));
        bypass.service = None;
        assert!(bypass.covers(Some(&Name::new("pg2").unwrap()), now));
        assert!(!bypass.covers(None, bypass.expires));
    }

    #[test]
    fn invalid_durations_and_sources_are_refused() {
        let now = Timestamp::from_second(1000).unwrap();
        assert!(Bypass::expiry(now, 0).is_err());
        assert!(Bypass::expiry(now, MAX_MINUTES + 1).is_err());
        assert!(Bypass::expiry(Timestamp::MAX, 1).is_err());
        assert!(parse_source("10.0.0.1-10.0.0.9").is_err());
        assert!(parse_source("10.0.0.256").is_err());
    }
}
