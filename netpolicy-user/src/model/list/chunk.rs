//! Some rules of a list, immutable and shared.

use std::sync::Arc;

use ipnet::IpNet;

use super::RuleList;
use super::earlier::Earlier;
use crate::model::Rule;

/// A chunk ends after a rule whose hash has as many leading zeros: one in 2,048.
const CUT_BITS: u32 = 11;
/// A chunk ends after as many rules at the latest.
const LONGEST: usize = 8192;

/// Some rules of a list that follow each other.
///
/// A list is cut where a hash of a rule says so, not every n rules: a rule added or
/// removed then moves no other cut, and all chunks but one stay what they were, in
/// memory as on disk. Never empty.
#[derive(Debug)]
pub struct RuleChunk {
    rules: Box<[Rule]>,
    /// The [`Rule::source`]s in it, each once.
    sources: Box<[u16]>,
}

impl RuleChunk {
    fn new(rules: Box<[Rule]>) -> Self {
        let mut sources = Vec::new();
        for rule in &*rules {
            if sources.last() != Some(&rule.source) && !sources.contains(&rule.source) {
                sources.push(rule.source);
            }
        }
        Self {
            rules,
            sources: sources.into(),
        }
    }

    /// The rules, in the order in which they were written.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The [`Rule::source`]s in it, each once.
    pub(super) fn sources(&self) -> &[u16] {
        &self.sources
    }

    /// Whether the chunk would end here whatever rules followed.
    fn is_complete(&self) -> bool {
        self.rules.len() == LONGEST || self.rules.last().is_some_and(|rule| ends_chunk(&rule.net))
    }
}

/// Cuts rules into chunks, and shares the chunks of another list where they come out
/// alike.
#[derive(Debug, Default)]
pub(in crate::model) struct Cutter {
    chunks: Vec<Arc<RuleChunk>>,
    /// Shared, but only as it is if nothing follows.
    last: Option<Arc<RuleChunk>>,
    open: Vec<Rule>,
    /// Rules so far.
    len: usize,
    /// An earlier version of the list, and by chunk whether it is that version's.
    earlier: Option<(Earlier, Vec<bool>)>,
}

impl Cutter {
    /// A cutter that shares the chunks of an earlier version of the list that come out
    /// the same.
    pub(in crate::model) fn sharing_with(earlier: Earlier) -> Self {
        Self {
            earlier: Some((earlier, Vec::new())),
            ..Self::default()
        }
    }

    /// Registers the next source of the rules that follow.
    pub(in crate::model) fn source(&mut self, name: &str) {
        if let Some((earlier, _)) = &mut self.earlier {
            earlier.source(name);
        }
    }

    /// Rules so far.
    pub(in crate::model) fn len(&self) -> usize {
        self.len
    }

    /// Appends a rule.
    #[inline]
    pub(in crate::model) fn push(&mut self, rule: Rule) {
        if let Some(last) = self.last.take() {
            self.open.extend_from_slice(last.rules());
        }
        let ends = ends_chunk(&rule.net);
        self.len += 1;
        self.open.push(rule);
        if ends || self.open.len() == LONGEST {
            self.close();
        }
    }

    /// Appends the rules of a chunk.
    pub(super) fn share(&mut self, chunk: &Arc<RuleChunk>) {
        if self.open.is_empty() && self.last.is_none() {
            self.len += chunk.rules().len();
            if chunk.is_complete() {
                self.chunks.push(Arc::clone(chunk));
            } else {
                self.last = Some(Arc::clone(chunk));
            }
            return;
        }
        for rule in chunk.rules() {
            self.push(rule.clone());
        }
    }

    fn close(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let shared = self.earlier.as_mut().and_then(|(earlier, shared)| {
            let chunk = earlier.take(&self.open);
            shared.push(chunk.is_some());
            chunk
        });
        let chunk = if let Some(chunk) = shared {
            self.open.clear();
            chunk
        } else {
            // Copied, so that each chunk occupies what it needs and no more.
            Arc::new(RuleChunk::new(self.open.drain(..).collect()))
        };
        self.chunks.push(chunk);
    }

    /// The list, and for each of its chunks whether it is the earlier version's; nothing
    /// where there is none.
    pub(in crate::model) fn into_list(mut self, sources: Vec<Box<str>>) -> (RuleList, Vec<bool>) {
        self.close();
        let shared = self.earlier.take().map(|(_, shared)| shared);
        let list = RuleList::of(self.finish(), sources);
        (list, shared.unwrap_or_default())
    }

    /// The chunks.
    pub(super) fn finish(mut self) -> Vec<Arc<RuleChunk>> {
        self.close();
        self.chunks.extend(self.last);
        self.chunks
    }
}

/// Whether a chunk ends after a rule for this network.
fn ends_chunk(net: &IpNet) -> bool {
    let (high, low) = match net {
        IpNet::V4(net) => (0, u64::from(net.addr().to_bits())),
        IpNet::V6(net) => {
            let [high, low] = split(net.addr().to_bits());
            (high, low)
        }
    };
    let hash = mix(mix(high ^ u64::from(net.prefix_len())) ^ low);
    hash.leading_zeros() >= CUT_BITS
}

fn split(bits: u128) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, low @ ..] = bits.to_be_bytes();
    [
        u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        u64::from_be_bytes(low),
    ]
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014). Stored lists were cut by it:
/// another one would cut, and so write, all of them again.
fn mix(mut word: u64) -> u64 {
    word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(i: u32) -> Rule {
        let net = ipnet::Ipv4Net::new((0x0a00_0000 + i).into(), 32).unwrap();
        Rule {
            net: net.into(),
            source: 0,
            line: i + 1,
            note: None,
        }
    }

    fn cut(rules: impl IntoIterator<Item = Rule>) -> Vec<Arc<RuleChunk>> {
        let mut cutter = Cutter::default();
        for rule in rules {
            cutter.push(rule);
        }
        cutter.finish()
    }

    #[test]
    fn chunks_together_are_the_list_and_bounded_in_size() {
        let rules: Vec<_> = (0..100_000).map(rule).collect();
        let chunks = cut(rules.clone());
        let joined: Vec<_> = chunks.iter().flat_map(|c| c.rules()).cloned().collect();
        assert_eq!(joined, rules);
        assert!((20..120).contains(&chunks.len()), "{}", chunks.len());
        assert!(
            chunks
                .iter()
                .all(|chunk| (1..=LONGEST).contains(&chunk.rules().len()))
        );
        assert!(cut([]).is_empty());
    }

    #[test]
    fn chunks_without_a_boundary_hash_end_at_the_largest_size() {
        let quiet = (0..).map(rule).find(|rule| !ends_chunk(&rule.net)).unwrap();
        let chunks = cut(std::iter::repeat_n(quiet, LONGEST * 2 + 1));
        let sizes: Vec<_> = chunks.iter().map(|chunk| chunk.rules().len()).collect();
        assert_eq!(sizes, [LONGEST, LONGEST, 1]);
    }
}
