//! A feed's content as it is handed over: one network a line, canonical, ascending, each once,
//! perhaps with a comment.

use std::net::IpAddr;
use std::str::FromStr as _;

use ipnet::IpNet;

use crate::model::{MAX_COMMENT, Note, Rule};

/// What separates a network from its comment.
const COMMENT: &str = " # ";

/// Content that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedContent {
    /// Its entries, ascending.
    pub rules: Vec<Rule>,
}

/// Why a line is not what was to be handed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// It is no canonical network.
    #[error(
        "line {line} of the content is no canonical network: one a line, as in 192.0.2.0/24, was expected"
    )]
    NotCanonical {
        /// From 1.
        line: usize,
    },
    /// It does not follow the line before.
    #[error(
        "line {line} of the content does not follow the one before: networks in ascending order, each once, were expected"
    )]
    NotAscending {
        /// From 1.
        line: usize,
    },
    /// Its comment is too long, or holds control characters.
    #[error("the comment on line {line} of the content is too long or holds control characters")]
    Comment {
        /// From 1.
        line: usize,
    },
    /// There are too many.
    #[error("the content has more than {limit} entries, the limit for one list")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

impl FeedContent {
    /// Its networks.
    pub fn nets(&self) -> impl Iterator<Item = &IpNet> {
        self.rules.iter().map(|rule| &rule.net)
    }
}

/// Reads content of at most `limit` entries.
///
/// # Errors
/// The first line that is not as expected.
pub fn parse(text: &str, limit: usize) -> Result<FeedContent, ContentError> {
    let mut rules: Vec<Rule> = Vec::new();
    for (text, line) in text.lines().zip(1..) {
        if rules.len() == limit {
            return Err(ContentError::TooMany { limit });
        }
        let (net, comment) = match text.split_once(COMMENT) {
            Some((net, comment)) => (net, Some(comment)),
            None => (text, None),
        };
        let net = canonical(net).ok_or(ContentError::NotCanonical { line })?;
        if rules.last().is_some_and(|last| last.net >= net) {
            return Err(ContentError::NotAscending { line });
        }
        let note = match comment {
            None => None,
            Some(comment) => {
                let is_long = comment.len() > MAX_COMMENT;
                if comment.is_empty() || is_long || comment.chars().any(char::is_control) {
                    return Err(ContentError::Comment { line });
                }
                Note {
                    comment: Some(comment.into()),
                    ..Note::default()
                }
                .share()
            }
        };
        // Lines change from one content to the next, and what stays is to be shared.
        rules.push(Rule {
            net,
            source: 0,
            line: 0,
            note,
        });
    }
    Ok(FeedContent { rules })
}

fn canonical(text: &str) -> Option<IpNet> {
    let net = IpNet::from_str(text).ok()?;
    let is_mapped = match net.addr() {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => net.prefix_len() >= 96 && address.to_ipv4_mapped().is_some(),
    };
    (net.trunc() == net && !is_mapped && net.to_string() == text).then_some(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_read_and_nothing_but_canonical_networks_is_taken() {
        let text = "192.0.2.1/32\n192.0.2.128/25 # SBL1 # 2\n2001:db8::/32\n";
        let read = parse(text, 3).unwrap();
        let nets: Vec<_> = read.nets().map(ToString::to_string).collect();
        assert_eq!(nets, ["192.0.2.1/32", "192.0.2.128/25", "2001:db8::/32"]);
        assert_eq!(read.rules[1].comment(), Some("SBL1 # 2"));
        assert_eq!(parse(text, 2), Err(ContentError::TooMany { limit: 2 }));
        assert_eq!(parse("", 1).unwrap(), FeedContent::default());
        for text in [
            "192.0.2.1",
            "192.0.2.1/24",
            " 192.0.2.1/32",
            "192.0.2.01/32",
            "192.0.2.0/33",
            "::ffff:192.0.2.1/128",
            "2001:DB8::/32",
            "2001:db8:0::/32",
            "example.org",
            "\u{0}",
            "192.0.2.1/32,192.0.2.2/32",
        ] {
            let found = parse(text, 9);
            assert_eq!(found, Err(ContentError::NotCanonical { line: 1 }), "{text}");
        }
        for text in [
            "10.0.0.2/32\n10.0.0.1/32",
            "10.0.0.1/32\n10.0.0.1/32",
            "::/0\n10.0.0.0/8",
        ] {
            let found = parse(text, 9);
            assert_eq!(found, Err(ContentError::NotAscending { line: 2 }), "{text}");
        }
        let long = format!("10.0.0.1/32 # {}", "x".repeat(MAX_COMMENT + 1));
        for text in [long.as_str(), "10.0.0.1/32 # \u{1b}[2J"] {
            assert_eq!(parse(text, 9), Err(ContentError::Comment { line: 1 }));
        }
    }
}
