//! Some rules of a list, immutable and shared.

use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use super::RuleList;
use super::earlier::Earlier;
use crate::model::{MAX_COMMENT, Rule, Spelling};

/// A chunk ends after a rule whose hash is below this: one in 2,048.
const CUT_BELOW: u64 = 1 << (u64::BITS - 11);
/// A chunk ends after as many rules at the latest.
const LONGEST: usize = 8192;
/// A chunk takes no more bytes than this where it is stored.
pub const CHUNK_BYTES: usize = 256 << 10;
/// No rule takes more bytes: name and comment may have [`MAX_COMMENT`] characters of four bytes,
/// the address as it was written 100 bytes.
const LARGEST_RULE: usize = 33 << 10;
const _: () = assert!(LARGEST_RULE >= 26 + 3 * (1 + 3) + 2 * 4 * MAX_COMMENT + 100 + 10);
/// A chunk ends after the rule with which it has as many bytes: the next one might not fit.
const FULL: usize = CHUNK_BYTES - LARGEST_RULE;
/// Rules that take a multiple of these bytes end a chunk as many times as often. So chunks of
/// long rules too end by a hash, most of them long before they are full.
const ORDINARY_RULE: usize = 28;

/// Some rules of a list that follow each other.
///
/// A list is cut where a hash of a rule says so, not every n rules: a rule added or
/// removed then moves no other cut, and all chunks but one stay what they were, in
/// memory as on disk. Never empty; stored, it has no more than [`CHUNK_BYTES`].
#[derive(Debug)]
pub struct RuleChunk {
    rules: Box<[Rule]>,
    /// Sum of [`most_bytes`] of the rules.
    bytes: usize,
    /// The [`Rule::source`]s in it, each once.
    sources: Box<[u16]>,
    /// The earliest end of its rules.
    first_end: Option<Timestamp>,
}

impl RuleChunk {
    fn new(rules: Box<[Rule]>, bytes: usize) -> Self {
        let mut sources = Vec::new();
        for rule in &*rules {
            if sources.last() != Some(&rule.source) && !sources.contains(&rule.source) {
                sources.push(rule.source);
            }
        }
        let first_end = rules.iter().filter_map(Rule::expires).min();
        Self {
            rules,
            bytes,
            sources: sources.into(),
            first_end,
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

    /// The earliest end of its rules; `None`: none has one.
    #[must_use]
    pub(super) fn first_end(&self) -> Option<Timestamp> {
        self.first_end
    }

    /// Whether the chunk would end here whatever rules followed.
    fn is_complete(&self) -> bool {
        self.rules.len() == LONGEST
            || self.bytes >= FULL
            || self.rules.last().is_some_and(ends_chunk)
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
    /// Sum of [`most_bytes`] of the open rules.
    open_bytes: usize,
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
            self.open_bytes = last.bytes;
        }
        let ends = ends_chunk(&rule);
        self.len += 1;
        self.open_bytes += most_bytes(&rule);
        self.open.push(rule);
        if ends || self.open.len() == LONGEST || self.open_bytes >= FULL {
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
        let bytes = std::mem::take(&mut self.open_bytes);
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
            Arc::new(RuleChunk::new(self.open.drain(..).collect(), bytes))
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

/// The most bytes that a rule takes where it is stored, wherever it was written: the encoding of
/// `store/chunk.rs`, with numbers at their longest.
#[must_use]
pub fn most_bytes(rule: &Rule) -> usize {
    // Its kind, the address, the length; the source; the line; whether there is a note.
    let plain = match rule.net {
        IpNet::V4(_) => 1 + 4 + 1,
        IpNet::V6(_) => 1 + 16 + 1,
    } + 2
        + 5
        + 1;
    let Some(note) = &rule.note else {
        return plain;
    };
    let spelled = match &note.spelling {
        Spelling::Canonical | Spelling::WithLength => None,
        Spelling::Text(text) => Some(text),
    };
    let texts = [spelled, note.name.as_ref(), note.comment.as_ref()];
    let text = |text: Option<&Box<str>>| 1 + text.map_or(0, |text| 3 + text.len());
    // Seconds, as a number of variable length.
    let end = if note.expires.is_some() { 10 } else { 0 };
    plain + texts.into_iter().map(text).sum::<usize>() + end
}

/// Whether a chunk ends after a rule whatever rules are before it.
fn ends_chunk(rule: &Rule) -> bool {
    let (high, low) = match &rule.net {
        IpNet::V4(net) => (0, u64::from(net.addr().to_bits())),
        IpNet::V6(net) => {
            let [high, low] = split(net.addr().to_bits());
            (high, low)
        }
    };
    let hash = mix(mix(high ^ u64::from(rule.net.prefix_len())) ^ low);
    let times = (most_bytes(rule) / ORDINARY_RULE).max(1) as u64;
    hash < CUT_BELOW.saturating_mul(times)
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
    use crate::model::Note;
    use crate::model::list::rules_of;

    fn rule(i: u32) -> Rule {
        let net = ipnet::Ipv4Net::new((0x0a00_0000 + i).into(), 32).unwrap();
        Rule {
            net: net.into(),
            source: 0,
            line: i + 1,
            note: None,
        }
    }

    /// A rule with a comment of these characters.
    fn commented(i: u32, comment: &str) -> Rule {
        let note = Note {
            comment: Some(comment.into()),
            ..Note::default()
        };
        Rule {
            note: note.share(),
            ..rule(i)
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
        let quiet = (0..).map(rule).find(|rule| !ends_chunk(rule)).unwrap();
        let chunks = cut(std::iter::repeat_n(quiet, LONGEST * 2 + 1));
        let sizes: Vec<_> = chunks.iter().map(|chunk| chunk.rules().len()).collect();
        assert_eq!(sizes, [LONGEST, LONGEST, 1]);
    }

    #[test]
    fn chunk_of_long_rules_ends_before_it_has_too_many_bytes() {
        let long = "\u{1f512}".repeat(MAX_COMMENT);
        let spelled = format!("{:>100}", "10.0.0.1/032");
        let note = Note {
            spelling: Spelling::Text(spelled.into()),
            name: Some(long.as_str().into()),
            comment: Some(long.into()),
            expires: Some(Timestamp::MAX),
        };
        let six = "2001:db8::1".parse().unwrap();
        let largest = Rule {
            net: IpNet::new(six, 128).unwrap(),
            note: note.share(),
            ..rule(0)
        };
        assert!(most_bytes(&largest) <= LARGEST_RULE);
        // Without a cut by hash, and each chunk as full as can be before the largest rule.
        let quiet: Vec<_> = (0..)
            .map(|i| commented(i, &"c".repeat(100)))
            .filter(|rule| !ends_chunk(rule))
            .take(10_000)
            .collect();
        for before in [0, 1_700, FULL / most_bytes(&quiet[0])] {
            let last = [largest.clone(), rule(1)];
            let rules: Vec<_> = quiet[..before].iter().cloned().chain(last).collect();
            let chunks = cut(rules.clone());
            assert_eq!(rules_of(&chunks).cloned().collect::<Vec<_>>(), rules);
            for chunk in cut(rules) {
                let bytes: usize = chunk.rules().iter().map(most_bytes).sum();
                assert_eq!(chunk.bytes, bytes);
                assert!(bytes <= CHUNK_BYTES, "{bytes}");
            }
        }
        let sizes = cut(quiet).into_iter().map(|chunk| chunk.bytes);
        let sizes: Vec<_> = sizes.collect();
        let (last, full) = sizes.split_last().unwrap();
        assert!(full.len() > 3 && *last < FULL);
        assert!(full.iter().all(|bytes| (FULL..CHUNK_BYTES).contains(bytes)));
    }

    #[test]
    fn edit_among_long_rules_moves_few_cuts() {
        let comment = "c".repeat(MAX_COMMENT);
        let rules: Vec<_> = (0..5_000).map(|i| commented(i, &comment)).collect();
        let ends = |rules: &[Rule]| -> Vec<IpNet> {
            let chunks = cut(rules.iter().cloned());
            chunks
                .iter()
                .map(|c| c.rules().last().unwrap().net)
                .collect()
        };
        let before = ends(&rules);
        assert!(before.len() > 100, "{}", before.len());
        let moved = (0..rules.len()).step_by(97).map(|at| {
            let mut edited = rules.clone();
            edited.remove(at);
            let after = ends(&edited);
            after.iter().filter(|end| !before.contains(end)).count()
        });
        let moved: Vec<_> = moved.collect();
        assert!(moved.iter().all(|moved| *moved <= 2), "{moved:?}");
        assert!(moved.iter().sum::<usize>() <= moved.len() / 10, "{moved:?}");
    }

    /// Otherwise what earlier versions stored would all be cut, and so written, again.
    #[test]
    fn short_comments_add_a_cut_to_full_chunks_alone() {
        let ends = |rules: Vec<Rule>| -> Vec<u32> {
            let lasts = cut(rules).into_iter();
            lasts.map(|c| c.rules().last().unwrap().line).collect()
        };
        let plain = ends((0..50_000).map(rule).collect());
        let commented = (0..50_000).map(|i| commented(i, "host of the office"));
        let with_comments = ends(commented.collect());
        let added: Vec<_> = with_comments
            .iter()
            .filter(|end| !plain.contains(end))
            .collect();
        // Within the one chunk of nearly 7,000 rules.
        assert_eq!(added, [&28_668]);
        assert_eq!(with_comments.len(), plain.len() + 1);
    }
}
