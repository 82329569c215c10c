//! What a change means for sources, as data and as sentences: who becomes denied or allowed,
//! and which scopes it opens.

use std::cmp::Reverse;
use std::fmt::Write;

use netpolicy_common::{HOST_SCOPE, ScopeId};
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// Scopes that a sentence names; the others are counted.
const NAMED: usize = 5;

/// Sources whose attempts in one scope are dropped from now on, or pass from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Effect {
    /// The scope's number: as it will be, or as it was if it goes.
    #[cfg_attr(feature = "openapi", schema(value_type = u16))]
    pub scope: ScopeId,
    /// "host" or the service's name.
    pub scope_name: String,
    /// The ports that this is about, as in "5432,7000-7010"; `None`: all of the scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<String>,
    /// What happens to the sources.
    pub becomes: Becomes,
    /// The affected sources.
    pub sources: Sources,
}

/// What happens to sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Becomes {
    /// Their attempts passed, and are dropped from now on.
    Denied,
    /// Their attempts were dropped, and pass from now on.
    Allowed,
}

/// A set of sources, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Sources {
    /// Whether networks are listed, or all but some.
    pub kind: SourcesKind,
    /// The first networks, as the fewest CIDRs, ascending, IPv4 first: those that change,
    /// or with another kind than `networks` those that are not what the others become.
    pub networks: Vec<String>,
    /// How many more networks there are.
    pub more: u64,
    /// Whether there may be still more than `more`: not everything was looked at.
    pub at_least: bool,
    /// With another kind than `networks`: how many networks of the set were already what
    /// the rest becomes.
    pub already: u64,
}

/// How [`Sources`] are described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SourcesKind {
    /// The networks.
    Networks,
    /// All sources but the networks.
    All,
    /// All IPv4 addresses but the networks.
    AllIpv4,
    /// All IPv6 addresses but the networks.
    AllIpv6,
}

impl Effect {
    /// "203.0.113.0/24 becomes denied on postgres", without a full stop.
    #[must_use]
    pub fn sentence(&self) -> String {
        let sources = &self.sources;
        let listed = sources.listed();
        let (who, plural) = match (sources.kind, listed.is_empty()) {
            (SourcesKind::Networks, _) => (listed, sources.count() > 1),
            (kind, true) => (kind.all().to_owned(), false),
            (kind, false) => (format!("{} but {listed}", kind.all()), false),
        };
        let verb = if plural { "become" } else { "becomes" };
        let what = match self.becomes {
            Becomes::Denied => "denied",
            Becomes::Allowed => "allowed",
        };
        let scope = match self.scope {
            HOST_SCOPE => "the host",
            _ => &self.scope_name,
        };
        let mut sentence = format!("{who} {verb} {what} on {scope}");
        if let Some(ports) = &self.ports {
            let one = ports.bytes().all(|byte| byte.is_ascii_digit());
            let word = if one { "port" } else { "ports" };
            let _ = write!(sentence, " ({word} {ports})");
        }
        match sources.already {
            0 => {}
            1 => sentence += "; 1 network already was",
            n => {
                let _ = write!(sentence, "; {} networks already were", thousands(n));
            }
        }
        sentence
    }
}

impl SourcesKind {
    fn all(self) -> &'static str {
        match self {
            Self::Networks | Self::All => "every source",
            Self::AllIpv4 => "all IPv4",
            Self::AllIpv6 => "all IPv6",
        }
    }
}

impl Sources {
    /// Networks in all, listed or not.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.more.saturating_add(self.networks.len() as u64)
    }

    /// "a", "a and b", "a, b and 1,234 more networks".
    fn listed(&self) -> String {
        let more = match (self.more, self.at_least) {
            (0, false) => None,
            (0, true) => Some("more networks".to_owned()),
            (1, false) => Some("1 more network".to_owned()),
            (n, false) => Some(format!("{} more networks", thousands(n))),
            (1, true) => Some("at least 1 more network".to_owned()),
            (n, true) => Some(format!("at least {} more networks", thousands(n))),
        };
        let mut items = self
            .networks
            .iter()
            .map(String::as_str)
            .chain(more.as_deref());
        let Some(last) = items.next_back() else {
            return String::new();
        };
        let before: Vec<_> = items.collect();
        if before.is_empty() {
            last.to_owned()
        } else {
            format!("{} and {last}", before.join(", "))
        }
    }
}

/// A scope, or some of its ports, that a change opens to every source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Opening {
    /// "host" or the service's name.
    pub scope: String,
    /// The ports that are opened, as in "5432,7000-7010"; `None`: all of the scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<String>,
    /// Of which families.
    pub sources: OpenTo,
    /// Percent of their addresses that begin to pass (for IPv6, of those in 2000::/3,
    /// which are all that the Internet has); 100: every source passes from then on.
    pub percent: u8,
}

/// The families that an [`Opening`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OpenTo {
    /// Both.
    Every,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Opening {
    /// "service postgres (port 5432) to every IPv4 source".
    fn words(&self) -> String {
        let mut words = match self.scope.as_str() {
            "host" => "the host".to_owned(),
            name => format!("service {name}"),
        };
        if let Some(ports) = &self.ports {
            let one = ports.bytes().all(|byte| byte.is_ascii_digit());
            words += &format!(" ({} {ports})", if one { "port" } else { "ports" });
        }
        words
    }
}

impl OpenTo {
    fn words(self, percent: u8) -> String {
        let family = match self {
            Self::Ipv4 => "IPv4 ",
            Self::Ipv6 => "IPv6 ",
            Self::Every => "",
        };
        match percent {
            100.. => format!("every {family}source"),
            percent => format!("{percent} % of all {family}sources"),
        }
    }
}

/// "the host and service web to every source, service postgres to every IPv4 source".
#[must_use]
pub fn openings_in_words(openings: &[Opening]) -> String {
    let mut kinds: Vec<_> = openings.iter().map(|o| (o.sources, o.percent)).collect();
    kinds.sort_unstable_by_key(|&(sources, percent)| (Reverse(percent), sources));
    kinds.dedup();
    let mut parts = Vec::new();
    for kind in kinds {
        let of_kind = openings.iter().filter(|o| (o.sources, o.percent) == kind);
        let mut names: Vec<_> = by_scope(of_kind).iter().map(Opening::words).collect();
        if names.len() > NAMED {
            let more = names.len() - NAMED + 1;
            names.truncate(NAMED - 1);
            names.push(format!("{more} more scopes"));
        }
        let Some(last) = names.pop() else { continue };
        let names = match names.is_empty() {
            true => last,
            false => format!("{} and {last}", names.join(", ")),
        };
        parts.push(format!("{names} to {}", kind.0.words(kind.1)));
    }
    parts.join(", ")
}

/// One for each scope, with all its reported ports.
fn by_scope<'a>(openings: impl Iterator<Item = &'a Opening>) -> Vec<Opening> {
    let mut joined: Vec<Opening> = Vec::new();
    for opening in openings {
        match joined.iter_mut().find(|known| known.scope == opening.scope) {
            Some(known) => {
                let both = known.ports.take().zip(opening.ports.as_ref());
                known.ports = both.map(|(one, other)| format!("{one},{other}"));
            }
            None => joined.push(opening.clone()),
        }
    }
    joined
}

/// "1,234,567".
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
