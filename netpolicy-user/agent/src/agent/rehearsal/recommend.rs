//! The smallest allow list that covers the sources that came and stayed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use super::seen::{SeenSource, SourcesSeen, time};
use crate::api::{Recommendation, RecommendedEntry, UncoveredSource};
use crate::model::rule::canonical;
use crate::model::{CoveredSource, JoinLengths, ListedNetwork, smallest_list};

/// Sources that are not covered, or let in, and are listed.
const LISTED: usize = 50;

/// What is to be covered, and how.
#[derive(Clone, Copy, Debug)]
pub struct RecommendOptions {
    /// The time.
    pub now: Timestamp,
    /// Sources seen since then.
    pub since: Timestamp,
    /// The time between a source's first attempt and its last.
    pub stayed: Duration,
    /// What becomes one entry.
    pub join: JoinLengths,
}

/// The allow list for some scopes, by what was seen. Sources that are `connected` stayed, however
/// short a time ago they came.
#[must_use]
pub fn recommend(
    seen: &SourcesSeen,
    scopes: &[&str],
    connected: &BTreeSet<IpAddr>,
    options: RecommendOptions,
) -> Recommendation {
    let is_here = |source: &&SeenSource| scopes.contains(&seen.scope_of(source));
    let here = || seen.sources.iter().filter(is_here);
    let mut got_in = joined(here().filter(|source| source.got_in));
    for &source in connected {
        let net = IpNet::from(source);
        // Older than the memory, or remembered with its network.
        got_in.entry(net).or_insert_with(|| JoinedSource {
            attempts: 0,
            sampled: false,
            first: options.since.as_millisecond(),
            last: options.now.as_millisecond(),
        });
    }
    let stayed = SignedDuration::try_from(options.stayed).unwrap_or(SignedDuration::MAX);
    let is_connected =
        |net: &IpNet| net.prefix_len() == net.max_prefix_len() && connected.contains(&net.addr());
    let has_stayed = |(net, source): &(IpNet, JoinedSource)| {
        let came_for = SignedDuration::from_millis(source.last.saturating_sub(source.first));
        came_for >= stayed || is_connected(net)
    };
    let (stayed, left): (Vec<_>, Vec<_>) = got_in.into_iter().partition(has_stayed);
    let covered: Vec<_> = stayed
        .iter()
        .map(|(net, source)| CoveredSource {
            net: *net,
            attempts: source.attempts,
            last_seen: time(source.last),
        })
        .collect();
    let listed = smallest_list(&covered, options.join);
    // What shares a network with those that stayed is covered as well.
    let (inside, outside): (Vec<_>, Vec<_>) =
        left.into_iter().partition(|(net, _)| holds(&listed, net));
    let denied = joined(here().filter(|source| !source.got_in && source.by_policies));
    let stayed_nets = outermost(stayed.iter().map(|(net, _)| *net));
    let lets_in = denied
        .into_iter()
        .filter(|(net, _)| holds(&listed, net) && holder(&stayed_nets, net).is_none());
    let (not_covered, more_not_covered) = first(outside);
    let (lets_in, more_lets_in) = first(lets_in.collect());
    Recommendation {
        service: None,
        since: options.since,
        remembered_since: seen.remembered_since.filter(|begin| *begin > options.since),
        stayed: humantime::format_duration(options.stayed).to_string(),
        entries: listed.iter().map(entry).collect(),
        covered: (stayed.len() + inside.len()) as u64,
        not_covered,
        more_not_covered,
        lets_in,
        more_lets_in,
        notes: Vec::new(),
    }
}

/// What is seen of a source in some scopes together.
struct JoinedSource {
    attempts: u64,
    sampled: bool,
    /// Milliseconds since 1970.
    first: i64,
    last: i64,
}

/// Each source once.
fn joined<'a>(sources: impl Iterator<Item = &'a SeenSource>) -> BTreeMap<IpNet, JoinedSource> {
    let mut joined: BTreeMap<IpNet, JoinedSource> = BTreeMap::new();
    for source in sources {
        let known = joined.entry(source.net).or_insert(JoinedSource {
            attempts: 0,
            sampled: false,
            first: source.first,
            last: source.last,
        });
        known.attempts = known.attempts.saturating_add(source.attempts);
        known.sampled |= source.sampled;
        known.first = known.first.min(source.first);
        known.last = known.last.max(source.last);
    }
    joined
}

/// Of networks in their order those that no other holds.
fn outermost(nets: impl Iterator<Item = IpNet>) -> Vec<IpNet> {
    let mut outermost: Vec<IpNet> = Vec::new();
    for net in nets {
        if outermost.last().is_none_or(|last| !last.contains(&net)) {
            outermost.push(net);
        }
    }
    outermost
}

/// Of sorted, disjoint networks the one that holds another.
fn holder<'a>(nets: &'a [IpNet], net: &IpNet) -> Option<&'a IpNet> {
    let after = nets.partition_point(|one| *one <= *net);
    let before = after.checked_sub(1).and_then(|at| nets.get(at));
    before.filter(|one| one.contains(net))
}

/// Whether a sorted, disjoint list holds a network.
fn holds(listed: &[ListedNetwork], net: &IpNet) -> bool {
    let after = listed.partition_point(|entry| entry.net <= *net);
    let before = after.checked_sub(1).and_then(|at| listed.get(at));
    before.is_some_and(|entry| entry.net.contains(net))
}

fn entry(listed: &ListedNetwork) -> RecommendedEntry {
    RecommendedEntry {
        cidr: canonical(&listed.net),
        sources: listed.sources,
        attempts: listed.attempts,
        last_seen: listed.last_seen,
    }
}

/// Those with most attempts, and how many more there are.
fn first(mut sources: Vec<(IpNet, JoinedSource)>) -> (Vec<UncoveredSource>, u64) {
    sources.sort_unstable_by_key(|(net, source)| (Reverse(source.attempts), *net));
    let more = sources.len().saturating_sub(LISTED) as u64;
    sources.truncate(LISTED);
    let views = sources.into_iter().map(|(net, source)| UncoveredSource {
        source: canonical(&net),
        attempts: source.attempts,
        sampled: source.sampled,
        first_seen: time(source.first),
        last_seen: time(source.last),
    });
    (views.collect(), more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::parse_source;

    const ELSEWHERE: u16 = 0;
    const POSTGRES: u16 = 1;

    fn came(source: &str, got_in: bool, seconds: i64) -> SeenSource {
        SeenSource {
            net: parse_source(source).unwrap(),
            scope: POSTGRES,
            got_in,
            by_policies: true,
            attempts: 3,
            sampled: false,
            first: 0,
            last: seconds * 1000,
        }
    }

    fn recommended(sources: Vec<SeenSource>, v4: u8) -> Recommendation {
        recommended_for(sources, &["postgres"], &[], v4)
    }

    fn recommended_for(
        sources: Vec<SeenSource>,
        scopes: &[&str],
        connected: &[&str],
        v4: u8,
    ) -> Recommendation {
        let connected = connected.iter().map(|source| source.parse().unwrap());
        let seen = SourcesSeen {
            sources,
            scopes: vec!["host".to_owned(), "postgres".to_owned()],
            remembered_since: Some(Timestamp::UNIX_EPOCH),
        };
        let options = RecommendOptions {
            now: Timestamp::from_second(9000).unwrap(),
            since: Timestamp::UNIX_EPOCH,
            stayed: Duration::from_secs(3600),
            join: JoinLengths { v4, v6: 64 },
        };
        recommend(&seen, scopes, &connected.collect(), options)
    }

    fn texts(sources: &[UncoveredSource]) -> Vec<&str> {
        sources.iter().map(|source| &*source.source).collect()
    }

    #[test]
    fn sources_that_came_and_stayed_are_covered_and_others_are_named() {
        let mut elsewhere = came("198.18.0.1", true, 7200);
        elsewhere.scope = ELSEWHERE;
        let sources = vec![
            came("203.0.113.1", true, 7200),
            came("203.0.113.6", true, 3600),
            came("203.0.113.3", true, 10),
            came("198.51.100.9", true, 10),
            came("203.0.113.5", false, 9000),
            came("192.0.2.1", false, 9000),
            elsewhere,
        ];
        let answer = recommended(sources.clone(), 24);
        let entries: Vec<_> = answer.entries.iter().map(|e| &*e.cidr).collect();
        assert_eq!(entries, ["203.0.113.0/29"]);
        assert_eq!((answer.entries[0].sources, answer.covered), (2, 3));
        assert_eq!(texts(&answer.not_covered), ["198.51.100.9"]);
        assert_eq!(texts(&answer.lets_in), ["203.0.113.5"]);

        let exact = recommended(sources, 32);
        let entries: Vec<_> = exact.entries.iter().map(|e| &*e.cidr).collect();
        assert_eq!(entries, ["203.0.113.1", "203.0.113.6"]);
        assert_eq!(texts(&exact.not_covered), ["198.51.100.9", "203.0.113.3"]);
        assert!(exact.lets_in.is_empty());
    }

    #[test]
    fn clients_of_all_scopes_and_connected_ones_are_covered() {
        let mut of_host = came("198.18.0.1", true, 7200);
        of_host.scope = ELSEWHERE;
        let sources = vec![
            of_host,
            came("203.0.113.1", true, 7200),
            came("203.0.113.3", true, 10),
            came("203.0.113.4", true, 10),
        ];
        let connected = ["203.0.113.3", "192.0.2.8"];
        let answer = recommended_for(sources, &["host", "postgres"], &connected, 32);
        let entries: Vec<_> = answer.entries.iter().map(|e| &*e.cidr).collect();
        let expected = ["192.0.2.8", "198.18.0.1", "203.0.113.1", "203.0.113.3"];
        assert_eq!(entries, expected);
        assert_eq!(texts(&answer.not_covered), ["203.0.113.4"]);
    }

    #[test]
    fn nothing_that_came_makes_an_empty_list() {
        let answer = recommended(Vec::new(), 24);
        assert!(answer.entries.is_empty() && answer.not_covered.is_empty());
    }
}
