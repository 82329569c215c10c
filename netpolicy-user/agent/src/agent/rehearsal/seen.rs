//! What is remembered of sources, for what judges them once more.

use ipnet::IpNet;
use jiff::Timestamp;

/// What remembers the sources of attempts.
pub trait SeenSources: Send + Sync {
    /// All that is remembered of attempts since a time.
    fn seen_since(&self, since: Timestamp) -> SourcesSeen;
}

/// What is remembered of sources.
#[derive(Clone, Debug, Default)]
pub struct SourcesSeen {
    /// Each source once a scope and outcome.
    pub sources: Vec<SeenSource>,
    /// "host" and the names of services, to which sources refer.
    pub scopes: Vec<String>,
    /// When the memory begins; `None`: nothing is remembered.
    pub remembered_since: Option<Timestamp>,
}

impl SourcesSeen {
    /// The number of a scope, "host" or a service's name.
    pub fn scope(&mut self, name: &str) -> u16 {
        let known = self.scopes.iter().position(|known| known == name);
        let place = known.unwrap_or_else(|| {
            self.scopes.push(name.to_owned());
            self.scopes.len() - 1
        });
        // There are no more scopes than that.
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    /// The name of a source's scope.
    #[must_use]
    pub fn scope_of(&self, source: &SeenSource) -> &str {
        let name = self.scopes.get(usize::from(source.scope));
        name.map_or("", String::as_str)
    }
}

/// A source, what became of its attempts in one scope, and how many there were. It is small, since
/// there may be hundreds of thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenSource {
    /// Its address, or a network of which single addresses are not known.
    pub net: IpNet,
    /// Its place in [`SourcesSeen::scopes`].
    pub scope: u16,
    /// Whether its attempts got in.
    pub got_in: bool,
    /// Whether the policies decided, or would have: not a ban, nor a port that was not found.
    pub by_policies: bool,
    /// How many.
    pub attempts: u64,
    /// Whether that is an estimate.
    pub sampled: bool,
    /// When the first came, milliseconds since 1970.
    pub first: i64,
    /// When the last came.
    pub last: i64,
}

/// The time of milliseconds since 1970.
pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Remembers nothing.
#[derive(Clone, Copy, Debug)]
pub struct NothingSeen;

impl SeenSources for NothingSeen {
    fn seen_since(&self, _: Timestamp) -> SourcesSeen {
        SourcesSeen::default()
    }
}
