//! Some rules of a list as one object.
//!
//! What is one chunk in memory ([`RuleChunk`](crate::model::list::RuleChunk)) is one on
//! disk: a rule added or removed leaves all chunks but one what they were. For the
//! same end a chunk holds lines relative to its first ones and numbers sources by
//! their appearance in it. The [`Anchor`]s, which say what these relate to, are kept
//! by the list. So a comment added at the head of a list file, or the same addresses
//! in another list, cost no new chunk.
//!
//! A chunk has [`CHUNK_BYTES`](crate::model::list::CHUNK_BYTES) at the most. Earlier versions
//! bounded the rules alone: what they wrote may be larger, and is divided again when it is read.

use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::Rule;
use crate::model::rule::{Note, Spelling};

/// Where a chunk's rules of one source begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Anchor {
    /// The list's number of the source.
    source: u16,
    /// The line of the chunk's first rule of that source.
    line: u32,
}

/// A rule in a chunk.
#[derive(Serialize, Deserialize)]
struct StoredRule<'a> {
    net: StoredNet,
    /// Index of its source's anchor.
    source: u16,
    /// Lines below the rule of the same source before it, or below the anchor.
    below: i64,
    #[serde(borrow)]
    note: Option<StoredNote<'a>>,
}

/// Address in network order, prefix length.
#[derive(Serialize, Deserialize)]
enum StoredNet {
    V4([u8; 4], u8),
    V6([u8; 16], u8),
}

/// A [`Note`].
#[derive(Serialize, Deserialize)]
struct StoredNote<'a> {
    #[serde(borrow)]
    spelling: StoredSpelling<'a>,
    name: Option<&'a str>,
    comment: Option<&'a str>,
}

/// A [`Spelling`], and the rule's end in seconds since 1970 if it has one. Rules without an end
/// are stored as they were before there were ends.
#[derive(Serialize, Deserialize)]
enum StoredSpelling<'a> {
    Canonical,
    WithLength,
    Text(&'a str),
    CanonicalUntil(i64),
    WithLengthUntil(i64),
    TextUntil(&'a str, i64),
}

impl<'a> StoredSpelling<'a> {
    fn of(note: &'a Note) -> Self {
        let end = note.expires.map(Timestamp::as_second);
        match (&note.spelling, end) {
            (Spelling::Canonical, None) => Self::Canonical,
            (Spelling::WithLength, None) => Self::WithLength,
            (Spelling::Text(text), None) => Self::Text(text),
            (Spelling::Canonical, Some(end)) => Self::CanonicalUntil(end),
            (Spelling::WithLength, Some(end)) => Self::WithLengthUntil(end),
            (Spelling::Text(text), Some(end)) => Self::TextUntil(text, end),
        }
    }

    fn read(self) -> Result<(Spelling, Option<Timestamp>), String> {
        let (spelling, end) = match self {
            Self::Canonical => (Spelling::Canonical, None),
            Self::WithLength => (Spelling::WithLength, None),
            Self::Text(text) => (Spelling::Text(text.into()), None),
            Self::CanonicalUntil(end) => (Spelling::Canonical, Some(end)),
            Self::WithLengthUntil(end) => (Spelling::WithLength, Some(end)),
            Self::TextUntil(text, end) => (Spelling::Text(text.into()), Some(end)),
        };
        let end = end.map(Timestamp::from_second).transpose();
        Ok((spelling, end.map_err(|error| error.to_string())?))
    }
}

/// Writes a chunk's body over what `body` holds, and its anchors over `anchors`.
///
/// # Errors
/// None that the data can cause.
pub(super) fn encode(
    rules: &[Rule],
    body: &mut Vec<u8>,
    anchors: &mut Vec<Anchor>,
) -> Result<(), postcard::Error> {
    body.clear();
    anchors.clear();
    // For each anchor, the line of the last rule written.
    let mut last: Vec<u32> = Vec::new();
    for rule in rules {
        let index = anchors
            .iter()
            .position(|anchor| anchor.source == rule.source);
        let index = index.unwrap_or_else(|| {
            anchors.push(Anchor {
                source: rule.source,
                line: rule.line,
            });
            last.push(rule.line);
            anchors.len() - 1
        });
        let before = std::mem::replace(&mut last[index], rule.line);
        let stored = StoredRule {
            net: match rule.net {
                IpNet::V4(net) => StoredNet::V4(net.addr().octets(), net.prefix_len()),
                IpNet::V6(net) => StoredNet::V6(net.addr().octets(), net.prefix_len()),
            },
            // A chunk has fewer rules than u16 has values.
            source: u16::try_from(index).map_err(|_| postcard::Error::SerializeBufferFull)?,
            below: i64::from(rule.line) - i64::from(before),
            note: rule.note.as_deref().map(|note| StoredNote {
                spelling: StoredSpelling::of(note),
                name: note.name.as_deref(),
                comment: note.comment.as_deref(),
            }),
        };
        *body = postcard::to_extend(&stored, std::mem::take(body))?;
    }
    Ok(())
}

/// Appends the rules of a chunk to `rules`.
///
/// # Errors
/// In words, when the body is not one that [`encode`] writes with these anchors.
pub(super) fn decode(
    mut body: &[u8],
    anchors: &[Anchor],
    rules: &mut Vec<Rule>,
) -> Result<(), String> {
    let mut last: Vec<u32> = anchors.iter().map(|anchor| anchor.line).collect();
    while !body.is_empty() {
        let (stored, rest): (StoredRule<'_>, _) =
            postcard::take_from_bytes(body).map_err(|error| error.to_string())?;
        body = rest;
        let index = usize::from(stored.source);
        let (Some(anchor), Some(line)) = (anchors.get(index), last.get_mut(index)) else {
            return Err(format!(
                "a rule's source is {index}, expected below {}",
                anchors.len()
            ));
        };
        *line = i64::from(*line)
            .checked_add(stored.below)
            .and_then(|line| u32::try_from(line).ok())
            .ok_or("a rule's line is out of range")?;
        let net = match stored.net {
            StoredNet::V4(address, len) => Ipv4Net::new(address.into(), len).map(IpNet::V4),
            StoredNet::V6(address, len) => Ipv6Net::new(address.into(), len).map(IpNet::V6),
        };
        rules.push(Rule {
            net: net.map_err(|error| error.to_string())?,
            source: anchor.source,
            line: *line,
            note: stored.note.map(read_note).transpose()?.flatten(),
        });
    }
    Ok(())
}

fn read_note(stored: StoredNote<'_>) -> Result<Option<Arc<Note>>, String> {
    let (spelling, expires) = stored.spelling.read()?;
    let note = Note {
        spelling,
        name: stored.name.map(Into::into),
        comment: stored.comment.map(Into::into),
        expires,
    };
    Ok(note.share())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::state;
    use crate::model::RuleList;
    use crate::model::list::most_bytes;

    fn rule(i: u32) -> Rule {
        let net = Ipv4Net::new((0x0a00_0000 + i).into(), 32).unwrap();
        Rule {
            net: net.into(),
            source: 0,
            line: i + 1,
            note: None,
        }
    }

    fn bodies(rules: &[Rule]) -> Vec<Vec<u8>> {
        let mut body = Vec::new();
        RuleList::from_parts(rules.to_vec(), Vec::new())
            .chunks()
            .iter()
            .map(|chunk| {
                encode(chunk.rules(), &mut body, &mut Vec::new()).unwrap();
                body.clone()
            })
            .collect()
    }

    /// Chunks of `new` that are not in `old`.
    fn written(old: &[Rule], new: &[Rule]) -> usize {
        let old = bodies(old);
        bodies(new)
            .iter()
            .filter(|body| !old.contains(body))
            .count()
    }

    #[test]
    fn one_rule_more_or_less_is_one_chunk() {
        let rules: Vec<_> = (0..50_000).map(|i| Rule { line: 0, ..rule(i) }).collect();
        for place in [0, 1, 20_000, 49_999] {
            let mut fewer = rules.clone();
            fewer.remove(place);
            assert_eq!(written(&rules, &fewer), 1, "removed at {place}");
            assert_eq!(written(&fewer, &rules), 1, "added at {place}");
        }
    }

    #[test]
    fn moved_lines_and_renumbered_sources_are_no_new_chunk() {
        let rules: Vec<_> = (0..20_000).map(rule).collect();
        let moved: Vec<_> = rules
            .iter()
            .map(|rule| Rule {
                line: rule.line + 3,
                source: 7,
                ..rule.clone()
            })
            .collect();
        assert_eq!(written(&rules, &moved), 0);
    }

    #[test]
    fn a_chunk_is_read_back_as_it_was() {
        let end: Option<Timestamp> = Some("2030-01-31T12:00:00Z".parse().unwrap());
        let note = |spelling, name: Option<&str>, end| {
            Note {
                spelling,
                name: name.map(Into::into),
                comment: Some("über".into()),
                expires: end,
            }
            .share()
        };
        let rules = [
            Rule {
                source: 3,
                line: 0,
                ..rule(1)
            },
            Rule {
                source: 1,
                line: u32::MAX,
                ..rule(2)
            },
            Rule {
                source: 3,
                line: 5,
                note: note(Spelling::Canonical, None, end),
                ..rule(3)
            },
            Rule {
                source: 1,
                line: 1,
                note: note(Spelling::WithLength, Some("n"), None),
                ..rule(4)
            },
            Rule {
                net: "2001:db8::/32".parse().unwrap(),
                source: u16::MAX,
                line: 9,
                note: note(Spelling::Text("2001:db8::1/32".into()), Some(""), end),
            },
        ];
        let (mut body, mut anchors, mut read) = Default::default();
        encode(&rules, &mut body, &mut anchors).unwrap();
        decode(&body, &anchors, &mut read).unwrap();
        assert_eq!(read, rules);
    }

    #[test]
    fn what_is_no_chunk_is_refused_in_words() {
        let (mut body, mut anchors) = Default::default();
        encode(&[rule(1), rule(2)], &mut body, &mut anchors).unwrap();
        for len in [1, body.len() / 2 + 1, body.len() - 1] {
            assert!(
                decode(&body[..len], &anchors, &mut Vec::new()).is_err(),
                "{len}"
            );
        }
        assert!(
            decode(&body, &[], &mut Vec::new())
                .unwrap_err()
                .contains("source")
        );
        // The prefix length follows the variant and the address.
        body[5] = 33;
        assert!(decode(&body, &anchors, &mut Vec::new()).is_err());
    }

    /// The size of a rule's encoding is bounded by what chunks are cut by.
    fn assert_bounded(rules: &[Rule]) {
        let (mut body, mut anchors) = Default::default();
        for rule in rules {
            encode(std::slice::from_ref(rule), &mut body, &mut anchors).unwrap();
            // Alone, a rule is at its anchor: lines and sources at their longest.
            let longest = body.len() - 2 + 2 + 5;
            assert!(longest <= most_bytes(rule), "{rule:?}: {longest}");
        }
    }

    #[test]
    fn rule_takes_no_more_bytes_than_chunks_are_cut_by() {
        let text = |len: usize| -> Option<Box<str>> { Some("\u{1f512}".repeat(len).into()) };
        let mut rules = vec![rule(1)];
        for net in ["10.0.0.1/32", "2001:db8::/32"] {
            for (name, comment) in [(None, None), (text(1), None), (text(4096), text(4096))] {
                for spelling in [
                    Spelling::Canonical,
                    Spelling::WithLength,
                    Spelling::Text("2001:db8:0::/32".into()),
                ] {
                    let (name, comment) = (name.clone(), comment.clone());
                    let note = Note {
                        spelling,
                        name,
                        comment,
                        expires: Some(Timestamp::MAX),
                    };
                    rules.push(Rule {
                        net: net.parse().unwrap(),
                        note: note.share(),
                        ..rule(2)
                    });
                }
            }
        }
        assert_bounded(&rules);
        // Lines far apart, in as many sources as fit.
        let rules: Vec<_> = (0..8192_u16)
            .flat_map(|source| [(source, 0), (source, u32::MAX)])
            .map(|(source, line)| Rule {
                source,
                line,
                ..rules
                    .last()
                    .cloned()
                    .map(|rule| Rule { note: None, ..rule })
                    .unwrap()
            })
            .collect();
        let (mut body, mut anchors) = Default::default();
        encode(&rules, &mut body, &mut anchors).unwrap();
        let bound: usize = rules.iter().map(most_bytes).sum();
        assert!(body.len() <= bound, "{} of {bound}", body.len());
    }

    proptest! {
        #[test]
        fn any_rule_takes_no_more_bytes_than_chunks_are_cut_by(state in state()) {
            for policy in &state.policies {
                assert_bounded(&policy.block.iter().cloned().collect::<Vec<_>>());
            }
        }
    }

    /// Databases are out there: this may gain cases, never change.
    #[test]
    fn the_format_stays() {
        let (mut body, mut anchors) = Default::default();
        let note = Note {
            spelling: Spelling::Text("x".into()),
            ..Note::default()
        };
        let six = "2001:db8::/32".parse().unwrap();
        let rules = [
            rule(1),
            Rule {
                net: six,
                note: note.share(),
                ..rule(8)
            },
        ];
        encode(&rules, &mut body, &mut anchors).unwrap();
        let first = [0, 10, 0, 0, 1, 32, 0, 0, 0];
        let second = [
            &[1, 0x20, 1, 0xd, 0xb8][..],
            &[0; 12],
            &[32, 0, 14, 1, 2, 1, b'x', 0, 0],
        ];
        assert_eq!(body, [&first[..], &second.concat()].concat());
        assert_eq!(anchors, [Anchor { source: 0, line: 2 }]);
        let list = RuleList::from_parts((0..10_000).map(rule).collect(), Vec::new());
        let lasts = list
            .chunks()
            .iter()
            .map(|chunk| chunk.rules().last().unwrap().line);
        assert_eq!(
            lasts.collect::<Vec<_>>(),
            [454, 2399, 5412, 5643, 9982, 10_000]
        );
    }
}
