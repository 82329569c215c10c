//! Completion at the prompt: keywords by the statement's shape, names as the agent
//! knows them.

use super::syntax::{self, SyntaxItem};
use crate::client::{Client, ClientError};
use crate::sql::{Dialect, Ending, Tail, write_name};

/// Longest text that is looked at; more is pasted, not typed.
const LONGEST: usize = 64 * 1024;

/// What the agent has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) policies: Vec<String>,
    pub(super) services: Vec<String>,
    /// Named lists, which are network rules there.
    pub(super) lists: Vec<String>,
}

impl Names {
    /// Asks the agent.
    pub(super) async fn of(client: &Client) -> Result<Self, ClientError> {
        let policies = client.policies().await?;
        let services = client.services().await?;
        let lists = client.lists().await?;
        Ok(Self {
            policies: policies.into_iter().map(|p| p.name).collect(),
            services: services.into_iter().map(|s| s.name).collect(),
            lists: lists.into_iter().map(|list| list.name).collect(),
        })
    }

    /// What can stand at the end of this text: where it begins, in bytes, and how each
    /// is written.
    pub(super) fn complete(&self, text: &str, dialect: Option<Dialect>) -> (usize, Vec<String>) {
        let nothing = (text.len(), Vec::new());
        if text.len() > LONGEST {
            return nothing;
        }
        let mut tail = Tail::of(text, dialect);
        let start = match tail.ending {
            // Comments are not completed.
            Ending::Within { start } if !text[start..].starts_with(['\'', '"']) => return nothing,
            Ending::Within { start } => start,
            Ending::Wrong => return nothing,
            Ending::Open { end } if end == text.len() => match tail.tokens.last() {
                Some(last) if is_word(last) => {
                    let start = end - last.len();
                    tail.tokens.pop();
                    start
                }
                _ => text.len(),
            },
            Ending::Open { .. } | Ending::Blank | Ending::Whole => {
                // `-- a comment`, which goes on.
                let line = text.rsplit('\n').next().unwrap_or_default();
                if line.contains("--") {
                    return nothing;
                }
                text.len()
            }
        };
        let begun = text.get(start..).unwrap_or_default();
        let mut found = Vec::new();
        for item in syntax::next(&tail.tokens, dialect) {
            self.written(item, begun, dialect, &mut found);
        }
        found.retain(|word| starts_with(word, begun));
        found.sort();
        found.dedup();
        (start, found)
    }

    /// How an item is written by who has begun it so.
    fn written(
        &self,
        item: SyntaxItem,
        begun: &str,
        dialect: Option<Dialect>,
        to: &mut Vec<String>,
    ) {
        let names = match item {
            SyntaxItem::Word(word) => {
                let is_lower = begun.starts_with(|c: char| c.is_lowercase());
                to.push(if is_lower {
                    word.to_lowercase()
                } else {
                    word.to_owned()
                });
                return;
            }
            SyntaxItem::Dialect => {
                to.extend(Dialect::ALL.map(|dialect| dialect.as_str().to_owned()));
                return;
            }
            SyntaxItem::Free(_) => return,
            SyntaxItem::Policy => &self.policies,
            SyntaxItem::Service => &self.services,
            SyntaxItem::NetworkRule => &self.lists,
        };
        for name in names {
            let mut text = String::new();
            // One that the dialect cannot write is none of its.
            if write_name(&mut text, name, dialect.unwrap_or(Dialect::Materialize)).is_ok() {
                to.push(text);
            }
        }
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

fn starts_with(word: &str, begun: &str) -> bool {
    let mut letters = word.chars().flat_map(char::to_lowercase);
    begun
        .chars()
        .flat_map(char::to_lowercase)
        .all(|c| letters.next() == Some(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            policies: vec!["office".into(), "Head Office".into(), "oslo".into()],
            services: vec!["postgres".into()],
            lists: vec!["bad-hosts".into()],
        }
    }

    fn complete(text: &str, dialect: Dialect) -> (usize, Vec<String>) {
        names().complete(text, Some(dialect))
    }

    #[test]
    fn keywords_are_completed_in_the_typed_case() {
        let (at, words) = complete("alt", Dialect::Snowflake);
        assert_eq!((at, words), (0, vec!["alter".to_owned()]));
        let (at, words) = complete("SHOW x; ALTER Ac", Dialect::Snowflake);
        assert_eq!((at, words), (14, vec!["ACCOUNT".to_owned()]));
        assert_eq!(complete("ALTER ac", Dialect::Lakehouse).1, [""; 0]);
    }

    #[test]
    fn names_of_the_agent_are_completed_in_the_dialect_s_spelling() {
        assert_eq!(
            complete("DESC NETWORK POLICY ", Dialect::Snowflake).1,
            ["\"Head Office\"", "office", "oslo"]
        );
        assert_eq!(
            complete("DESC NETWORK POLICY ", Dialect::Lakehouse).1,
            ["office", "oslo"]
        );
        assert_eq!(
            complete("DESC NETWORK POLICY OS", Dialect::Lakehouse),
            (20, vec!["oslo".into()])
        );
        let (at, words) = complete("DESC NETWORK POLICY \"head o", Dialect::Snowflake);
        assert_eq!((at, words), (20, vec!["\"Head Office\"".to_owned()]));
        assert_eq!(
            complete("ALTER USER p", Dialect::Snowflake),
            (11, vec!["postgres".into()])
        );
        assert_eq!(
            complete("ALTER SYSTEM SET network_policy = of", Dialect::Materialize).1,
            ["office"]
        );
        assert_eq!(
            complete("SET dialect = la", Dialect::Snowflake).1,
            ["lakehouse"]
        );
    }

    #[test]
    fn lists_strings_and_comments_are_not_completed() {
        for text in [
            "DESC NETWORK POLICY /* o",
            "DESC NETWORK POLICY -- o",
            "CREATE NETWORK POLICY p COMMENT = 'o",
            "CREATE NETWORK POLICY p ALLOWED_IP_LIST = (",
            "ALTER NETWORK POLICY office SET BLOCKED_IP_LIST = (",
            "DESC \u{201c}",
        ] {
            let words = complete(text, Dialect::Lakehouse).1;
            assert_eq!(words, [""; 0], "{text}");
        }
    }

    #[test]
    fn keywords_of_every_dialect_are_completed_without_a_dialect() {
        let (_, words) = names().complete("ALTER ", None);
        let expected = [
            "ACCOUNT", "NETWORK", "POSTGRES", "SESSION", "SYSTEM", "USER",
        ];
        assert_eq!(words, expected);
    }
}
