//! What is remembered of sources, for what judges them once more.

use std::sync::Arc;

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
    /// When the memory begins; `None`: nothing is remembered.
    pub remembered_since: Option<Timestamp>,
}

/// A source, what became of its attempts in one scope, and how many there were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSource {
    /// Its address, or a network of which single addresses are not known.
    pub net: IpNet,
    /// "host" or the service's name.
    pub scope: Arc<str>,
    /// Whether its attempts got in.
    pub got_in: bool,
    /// Whether the policies decided, or would have: not a ban, nor a port that was not found.
    pub by_policies: bool,
    /// How many.
    pub attempts: u64,
    /// Whether that is an estimate.
    pub sampled: bool,
    /// When the first came.
    pub first_seen: Timestamp,
    /// When the last came.
    pub last_seen: Timestamp,
}

/// Remembers nothing.
#[derive(Clone, Copy, Debug)]
pub struct NothingSeen;

impl SeenSources for NothingSeen {
    fn seen_since(&self, _: Timestamp) -> SourcesSeen {
        SourcesSeen::default()
    }
}
