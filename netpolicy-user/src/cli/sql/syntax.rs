//! What statements look like in each dialect: the prompt's help, and its completion.
//!
//! Both are read from the same lines, so that what is offered is what help shows.
//! Capitals, quoted words and signs stand for themselves and small letters for what the
//! user names; `[a]` may be left out, `{a | b}` is one of them, `…` goes on with more
//! of the same and `,…` with more behind commas. Whether a statement is right is only
//! for [`crate::sql`] to say.

use crate::sql::Dialect;

const SNOWFLAKE: &[&str] = &[
    "CREATE [OR REPLACE | OR ALTER] NETWORK POLICY [IF NOT EXISTS] name [{ALLOWED_IP_LIST = (…) | BLOCKED_IP_LIST = (…) | ALLOWED_NETWORK_RULE_LIST = ( {network_rule},… ) | BLOCKED_NETWORK_RULE_LIST = ( {network_rule},… ) | COMMENT = text}…]",
    "ALTER NETWORK POLICY [IF EXISTS] policy SET {ALLOWED_IP_LIST = (…) | BLOCKED_IP_LIST = (…) | ALLOWED_NETWORK_RULE_LIST = ( {network_rule},… ) | BLOCKED_NETWORK_RULE_LIST = ( {network_rule},… ) | COMMENT = text}…",
    "ALTER NETWORK POLICY [IF EXISTS] policy UNSET {ALLOWED_IP_LIST | BLOCKED_IP_LIST | ALLOWED_NETWORK_RULE_LIST | BLOCKED_NETWORK_RULE_LIST | COMMENT},…",
    "ALTER NETWORK POLICY [IF EXISTS] policy {ADD | REMOVE} {ALLOWED_NETWORK_RULE_LIST | BLOCKED_NETWORK_RULE_LIST} = ( {network_rule},… )",
    "ALTER NETWORK POLICY [IF EXISTS] policy RENAME TO name",
    "COMMENT [IF EXISTS] ON NETWORK POLICY policy IS {text | NULL}",
    "DROP NETWORK POLICY [IF EXISTS] policy",
    "DESC NETWORK POLICY policy",
    "SHOW NETWORK POLICIES [LIKE text] [IN ACCOUNT] [STARTS WITH text] [LIMIT rows [FROM text]]",
    "CREATE [OR REPLACE | OR ALTER] NETWORK RULE [IF NOT EXISTS] name {TYPE = {IPV4 | IPV6 | AWSVPCEID | AZURELINKID | GCPPSCID | HOST_PORT | PRIVATE_HOST_PORT | COMPUTE_POOL} | MODE = {INGRESS | INTERNAL_STAGE | EGRESS | POSTGRES_INGRESS | POSTGRES_EGRESS | SNOWFLAKE_MANAGED_STORAGE_VOLUME} | VALUE_LIST = (…) | COMMENT = text}…",
    "ALTER NETWORK RULE [IF EXISTS] network_rule {SET {VALUE_LIST = (…) | COMMENT = text}… | UNSET {VALUE_LIST | COMMENT},…}",
    "DROP NETWORK RULE [IF EXISTS] network_rule",
    "DESC NETWORK RULE network_rule",
    "SHOW NETWORK RULES [LIKE text] [IN {ACCOUNT | DATABASE name | SCHEMA name}] [STARTS WITH text] [LIMIT rows [FROM text]]",
    "SHOW CREATE NETWORK RULE network_rule",
    "ALTER ACCOUNT {SET NETWORK_POLICY = policy | UNSET NETWORK_POLICY}",
    "ALTER USER [IF EXISTS] service {SET NETWORK_POLICY = policy | UNSET NETWORK_POLICY}",
    "ALTER USER [IF EXISTS] service SET MINS_TO_BYPASS_NETWORK_POLICY = minutes",
    "ALTER POSTGRES INSTANCE [IF EXISTS] service {SET NETWORK_POLICY = policy | UNSET NETWORK_POLICY}",
    "CREATE OR REPLACE USER service NETWORK_POLICY = policy",
    "DESC USER service",
    "SHOW PARAMETERS [LIKE 'network_policy'] [{IN | FOR} {ACCOUNT | USER service}]",
    "GRANT {CREATE NETWORK POLICY | ATTACH POLICY},… ON ACCOUNT TO ROLE role",
    "REVOKE {CREATE NETWORK POLICY | ATTACH POLICY},… ON ACCOUNT FROM ROLE role",
    "GRANT USAGE ON NETWORK POLICY policy TO ROLE role",
    "REVOKE USAGE ON NETWORK POLICY policy FROM ROLE role",
    "GRANT OWNERSHIP ON {NETWORK POLICY policy | NETWORK RULE network_rule} TO ROLE role [{COPY | REVOKE} CURRENT GRANTS]",
    "SHOW GRANTS {ON ACCOUNT | ON NETWORK POLICY policy | ON NETWORK RULE network_rule | TO ROLE role}",
    "SHOW {REPLICATION | FAILOVER} GROUPS",
    "SELECT {CURRENT_IP_ADDRESS ( ) | CURRENT_USER ( ) | CURRENT_ROLE ( )},…",
    "SET variable = text",
    "UNSET variable",
    "USE {ROLE | WAREHOUSE | DATABASE | SCHEMA} name",
    "ALTER SESSION SET parameter = value",
];

const MATERIALIZE: &[&str] = &[
    "CREATE NETWORK POLICY name ( RULES ( [{rule ( {ACTION = 'allow' | DIRECTION = 'ingress' | ADDRESS = text},… )},…] ) )",
    "ALTER NETWORK POLICY policy SET ( RULES ( [{rule ( {ACTION = 'allow' | DIRECTION = 'ingress' | ADDRESS = text},… )},…] ) )",
    "ALTER NETWORK POLICY policy OWNER TO role",
    "DROP NETWORK POLICY [IF EXISTS] {policy},… [CASCADE | RESTRICT]",
    "SHOW NETWORK POLICIES [LIKE text | WHERE NAME = text]",
    "COMMENT ON NETWORK POLICY policy IS {text | NULL}",
    "ALTER SYSTEM {SET NETWORK_POLICY = policy | RESET NETWORK_POLICY}",
    "ALTER SYSTEM SET ENABLE_NETWORK_POLICIES = ON",
    "SHOW {NETWORK_POLICY | ENABLE_NETWORK_POLICIES | MAX_NETWORK_POLICIES | MAX_RULES_PER_NETWORK_POLICY}",
    "GRANT CREATENETWORKPOLICY ON SYSTEM TO {role},…",
    "GRANT USAGE ON {NETWORK POLICY policy | ALL POLICIES} TO {role},…",
    "REVOKE CREATENETWORKPOLICY ON SYSTEM FROM {role},…",
    "REVOKE USAGE ON {NETWORK POLICY policy | ALL POLICIES} FROM {role},…",
    "SELECT {* | COUNT ( * )} FROM {MZ_NETWORK_POLICIES | MZ_NETWORK_POLICY_RULES | MZ_SHOW_NETWORK_POLICIES} [WHERE NAME {= | LIKE} text] [ORDER BY NAME]",
];

const LAKEHOUSE: &[&str] = &[
    "CREATE [OR REPLACE] NETWORK POLICY [IF NOT EXISTS] name [{ALLOWED_IP_LIST = (…) | BLOCKED_IP_LIST = (…) | COMMENT text}…] [FORCE]",
    "ALTER NETWORK POLICY [IF EXISTS] policy SET {ALLOWED_IP_LIST = (…) | BLOCKED_IP_LIST = (…)}… [FORCE]",
    "ALTER NETWORK POLICY [IF EXISTS] policy {ACTIVATE | INACTIVATE} [FORCE]",
    "DROP NETWORK POLICY [IF EXISTS] policy [FORCE]",
    "ALTER USER [IF EXISTS] service {SET NETWORK_POLICY = policy | UNSET NETWORK_POLICY}",
    "DESC NETWORK POLICY policy",
    "SHOW NETWORK POLICY",
];

const ALL: &[&str] = &[
    "SHOW CREATE NETWORK POLICY policy [IN dialect]",
    "SET DIALECT = dialect",
];

/// The statements of a dialect, or of all.
pub(in crate::cli) fn statements(dialect: Option<Dialect>) -> Vec<&'static str> {
    let own: &[&[&str]] = match dialect {
        Some(Dialect::Snowflake) => &[SNOWFLAKE],
        Some(Dialect::Materialize) => &[MATERIALIZE],
        Some(Dialect::Lakehouse) => &[LAKEHOUSE],
        None => &[SNOWFLAKE, MATERIALIZE, LAKEHOUSE],
    };
    own.iter()
        .chain([&ALL])
        .copied()
        .flatten()
        .copied()
        .collect()
}

/// What can stand somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SyntaxItem {
    /// A keyword, a sign or a quoted word.
    Word(&'static str),
    /// The name of a policy.
    Policy,
    /// The name of a service.
    Service,
    /// The name of a network rule.
    NetworkRule,
    /// The name of a dialect.
    Dialect,
    /// Something that only the user knows: a new name, a text, a list.
    Free(&'static str),
}

/// What can come after these tokens of a statement, each once.
pub(super) fn next(tokens: &[&str], dialect: Option<Dialect>) -> Vec<SyntaxItem> {
    let mut found = Vec::new();
    for statement in statements(dialect) {
        let mut signs = signs(statement).into_iter().peekable();
        let node = sequence(&mut signs);
        node.walk(tokens, vec![0], &mut found);
    }
    found.sort();
    found.dedup();
    found
}

/// A part of a statement's line.
#[derive(Debug)]
enum Node {
    One(SyntaxItem),
    All(Vec<Self>),
    Either(Vec<Self>),
    Maybe(Box<Self>),
    /// Once or more, behind commas or not.
    More(Box<Self>, bool),
}

type Signs = std::iter::Peekable<std::vec::IntoIter<&'static str>>;

/// A line's words and signs.
fn signs(line: &'static str) -> Vec<&'static str> {
    let mut signs = Vec::new();
    for mut word in line.split(' ') {
        while !word.is_empty() {
            let len = match word {
                w if w.starts_with("(…)") => "(…)".len(),
                w if w.starts_with(",…") => ",…".len(),
                w if w.starts_with('…') => "…".len(),
                w if w.starts_with(['[', ']', '{', '}']) => 1,
                w => w.find(['[', ']', '{', '}', ',', '…']).unwrap_or(w.len()),
            };
            let (sign, rest) = word.split_at(len);
            signs.push(sign);
            word = rest;
        }
    }
    signs
}

/// Reads up to a sign that closes or separates.
fn sequence(signs: &mut Signs) -> Node {
    let mut parts = Vec::new();
    while let Some(sign) = signs.next_if(|s| !matches!(*s, "]" | "}" | "|")) {
        let part = match sign {
            "[" => Node::Maybe(Box::new(group(signs))),
            "{" => group(signs),
            sign => Node::One(item(sign)),
        };
        parts.push(match signs.next_if(|s| matches!(*s, "…" | ",…")) {
            Some(more) => Node::More(Box::new(part), more == ",…"),
            None => part,
        });
    }
    Node::All(parts)
}

/// Alternatives, up to and with what closes them.
fn group(signs: &mut Signs) -> Node {
    let mut either = vec![sequence(signs)];
    while signs.next() == Some("|") {
        either.push(sequence(signs));
    }
    Node::Either(either)
}

fn item(sign: &'static str) -> SyntaxItem {
    match sign {
        "policy" => SyntaxItem::Policy,
        "service" => SyntaxItem::Service,
        "network_rule" => SyntaxItem::NetworkRule,
        "dialect" => SyntaxItem::Dialect,
        "(…)" => SyntaxItem::Free(sign),
        sign if sign.starts_with(|c: char| c.is_ascii_lowercase()) => SyntaxItem::Free(sign),
        sign => SyntaxItem::Word(sign),
    }
}

impl Node {
    /// Where among the tokens one can be behind this part, having been at `at`. What
    /// this part wants where the tokens end is put into `found`.
    fn walk(&self, tokens: &[&str], at: Vec<usize>, found: &mut Vec<SyntaxItem>) -> Vec<usize> {
        match self {
            Self::One(item) => at
                .into_iter()
                .filter_map(|at| {
                    if at == tokens.len() {
                        found.push(*item);
                    }
                    item.len(tokens.get(at..)?).map(|len| at + len)
                })
                .collect(),
            Self::All(parts) => parts
                .iter()
                .fold(at, |at, part| part.walk(tokens, at, found)),
            Self::Either(parts) => {
                let mut out = Vec::new();
                for part in parts {
                    out.extend(part.walk(tokens, at.clone(), found));
                }
                once(out)
            }
            Self::Maybe(part) => {
                let mut out = part.walk(tokens, at.clone(), found);
                out.extend(at);
                once(out)
            }
            Self::More(part, commas) => {
                let mut out = Vec::new();
                let mut at = at;
                // Each round is further on, so it ends.
                while !at.is_empty() {
                    let behind = part.walk(tokens, at, found);
                    at = if *commas {
                        Self::One(SyntaxItem::Word(",")).walk(tokens, behind.clone(), found)
                    } else {
                        behind.clone()
                    };
                    at.retain(|at| *at < tokens.len() || !out.contains(at));
                    let ended = behind.iter().all(|b| out.contains(b));
                    out.extend(behind);
                    if ended {
                        break;
                    }
                }
                once(out)
            }
        }
    }
}

/// Sorted, each once.
fn once(mut at: Vec<usize>) -> Vec<usize> {
    at.sort_unstable();
    at.dedup();
    at
}

impl SyntaxItem {
    /// How many tokens at the start of these it is; `None`: it does not stand there.
    fn len(self, tokens: &[&str]) -> Option<usize> {
        let first = *tokens.first()?;
        let starts = |is: fn(char) -> bool| first.starts_with(is);
        let is_name = || {
            // Where IF can stand it is no name.
            starts(|c| c.is_alphanumeric() || matches!(c, '_' | '"' | '\''))
                && !first.eq_ignore_ascii_case("IF")
        };
        match self {
            Self::Word(word) => first.eq_ignore_ascii_case(word).then_some(1),
            Self::Free("(…)") => {
                let closed = tokens.iter().position(|t| *t == ")")?;
                (first == "(").then_some(closed + 1)
            }
            Self::Free("text") => starts(|c| c == '\'').then_some(1),
            Self::Free("variable") if first.eq_ignore_ascii_case("DIALECT") => None,
            Self::Free("minutes" | "rows") => starts(|c| c.is_ascii_digit()).then_some(1),
            Self::Policy | Self::Service | Self::NetworkRule | Self::Dialect | Self::Free(_) => {
                is_name().then_some(1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Statements, Tail};

    fn after(text: &str, dialect: Dialect) -> Vec<String> {
        let tail = Tail::of(text, Some(dialect));
        let items = next(&tail.tokens, Some(dialect)).into_iter();
        items
            .map(|item| match item {
                SyntaxItem::Word(word) | SyntaxItem::Free(word) => word.to_owned(),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn completions_are_what_the_dialect_accepts_next() {
        use Dialect::{Lakehouse, Materialize, Snowflake};
        for (text, dialect, expected) in [
            (
                "",
                Lakehouse,
                &["ALTER", "CREATE", "DESC", "DROP", "SET", "SHOW"][..],
            ),
            (
                "alter",
                Snowflake,
                &["ACCOUNT", "NETWORK", "POSTGRES", "SESSION", "USER"],
            ),
            ("ALTER", Lakehouse, &["NETWORK", "USER"]),
            ("ALTER", Materialize, &["NETWORK", "SYSTEM"]),
            ("ALTER NETWORK POLICY", Snowflake, &["IF", "Policy"]),
            ("ALTER NETWORK POLICY IF", Snowflake, &["EXISTS"]),
            (
                "ALTER NETWORK POLICY p",
                Snowflake,
                &["ADD", "REMOVE", "RENAME", "SET", "UNSET"],
            ),
            (
                "ALTER NETWORK POLICY p",
                Lakehouse,
                &["ACTIVATE", "INACTIVATE", "SET"],
            ),
            ("ALTER USER", Snowflake, &["IF", "Service"]),
            ("CREATE NETWORK POLICY", Snowflake, &["IF", "name"]),
            ("CREATE NETWORK POLICY p COMMENT", Snowflake, &["="]),
            ("CREATE NETWORK POLICY p COMMENT =", Snowflake, &["text"]),
            ("CREATE NETWORK POLICY p COMMENT", Lakehouse, &["text"]),
            ("SHOW NETWORK", Lakehouse, &["POLICY"]),
            (
                "CREATE NETWORK POLICY p ALLOWED_IP_LIST = ('10.0.0.1', '10.0.0.2')",
                Lakehouse,
                &["ALLOWED_IP_LIST", "BLOCKED_IP_LIST", "COMMENT", "FORCE"],
            ),
            // The user's addresses are not known.
            (
                "CREATE NETWORK POLICY p ALLOWED_IP_LIST = ('10.0.0.1'",
                Snowflake,
                &[],
            ),
            ("ALTER NETWORK POLICY p UNSET COMMENT", Snowflake, &[","]),
            (
                "ALTER NETWORK POLICY p UNSET COMMENT,",
                Snowflake,
                &[
                    "ALLOWED_IP_LIST",
                    "ALLOWED_NETWORK_RULE_LIST",
                    "BLOCKED_IP_LIST",
                    "BLOCKED_NETWORK_RULE_LIST",
                    "COMMENT",
                ],
            ),
            ("CREATE NETWORK POLICY p (", Materialize, &["RULES"]),
            (
                "CREATE NETWORK POLICY p (RULES (r (ACTION = 'allow',",
                Materialize,
                &["ACTION", "ADDRESS", "DIRECTION"],
            ),
            (
                "CREATE NETWORK POLICY p (RULES (r (ADDRESS = '::/0'), s (ACTION =",
                Materialize,
                &["'allow'"],
            ),
            ("DROP NETWORK POLICY a,", Materialize, &["Policy"]),
            ("SET dialect =", Snowflake, &["Dialect"]),
            ("SHOW NETWORK POLICIES", Lakehouse, &[]),
            ("FROBNICATE", Snowflake, &[]),
            (
                "DROP NETWORK POLICY a; DESC",
                Snowflake,
                &["NETWORK", "USER"],
            ),
            ("GRANT ATTACH POLICY", Snowflake, &[",", "ON"]),
            ("SELECT COUNT(*)", Materialize, &["FROM"]),
        ] {
            assert_eq!(after(text, dialect), expected, "{text} ({dialect})");
        }
        let all = next(&["ALTER"], None);
        assert!(
            all.contains(&SyntaxItem::Word("SYSTEM")) && all.contains(&SyntaxItem::Word("ACCOUNT"))
        );
    }

    /// A statement made by always taking the `n`th of what can come.
    fn made(dialect: Dialect, n: usize) -> String {
        let mut tokens: Vec<&str> = Vec::new();
        for _ in 0..60 {
            let items = next(&tokens, Some(dialect));
            if items.is_empty() {
                break;
            }
            match items[(n + tokens.len()) % items.len()] {
                SyntaxItem::Word(word) => tokens.push(word),
                SyntaxItem::Free("(…)") => tokens.extend(["(", "'10.0.0.1'", ")"]),
                SyntaxItem::Free("text") => tokens.push("'10.0.0.1/32'"),
                SyntaxItem::Free("minutes" | "rows") => tokens.push("5"),
                SyntaxItem::Dialect => tokens.push("lakehouse"),
                SyntaxItem::Policy
                | SyntaxItem::Service
                | SyntaxItem::NetworkRule
                | SyntaxItem::Free(_) => {
                    tokens.push("office");
                }
            }
        }
        tokens.join(" ")
    }

    #[test]
    fn completed_statements_are_accepted_by_the_grammar() {
        let mut whole = 0;
        for dialect in Dialect::ALL {
            for n in 0..200 {
                let text = made(dialect, n);
                let mut statements = Statements::new(&text, Some(dialect)).unwrap();
                match statements.next() {
                    Some(Ok(_)) => whole += 1,
                    Some(Err(error)) => {
                        // Clauses that repeat, and statements that were not ended.
                        let text_of = error.to_string();
                        assert!(
                            text_of.contains("twice")
                                || text_of.contains("the end of the text")
                                || text_of.contains("exclude each other")
                                || text_of.contains("lacks"),
                            "{text}\n{error}"
                        );
                    }
                    None => panic!("{text}"),
                }
            }
        }
        assert!(whole > 100, "{whole}");
    }
}
