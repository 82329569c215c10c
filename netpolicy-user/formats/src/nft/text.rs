//! What `nft list` prints, and files for `nft -f` with the same tables.

use std::time::Duration;

use netpolicy_policy::model::error::Excerpt;

use super::{is_address_type, is_input, skip_set};
use crate::collect::Collector;
use crate::error::Problem;
use crate::source_rule::SourceRule;
use crate::text::Places;
use crate::{Format, Place, duration};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t str),
    Quoted(&'t str),
    /// `{ } ; = ,` and a line's end.
    Mark(char),
}

impl<'t> Token<'t> {
    fn text(self) -> &'t str {
        match self {
            Self::Word(text) | Self::Quoted(text) => text,
            Self::Mark(_) => "",
        }
    }
}

/// Any blank but a line's end.
fn is_blank(c: char) -> bool {
    c.is_whitespace() && c != '\n'
}

struct Tokens<'t> {
    text: &'t str,
    at: usize,
    places: Places<'t>,
}

impl<'t> Tokens<'t> {
    fn peek(&mut self) -> Option<Token<'t>> {
        let before = self.at;
        let token = self.next();
        self.at = before;
        token
    }

    fn place(&mut self) -> Place {
        let rest = &self.text[self.at..];
        let blanks = rest.len() - rest.trim_start_matches(is_blank).len();
        self.places.of(self.at + blanks)
    }

    /// The next token but ends of lines.
    fn solid(&mut self) -> Option<Token<'t>> {
        loop {
            match self.next()? {
                Token::Mark('\n') => {}
                token => return Some(token),
            }
        }
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        const MARKS: [char; 6] = ['{', '}', ';', '=', ',', '\n'];
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start_matches(is_blank);
        let mut begin = self.at + rest.len() - trimmed.len();
        let mut first = trimmed.chars().next()?;
        if first == '#' {
            let end = trimmed.find('\n').unwrap_or(trimmed.len());
            begin += end;
            first = self.text[begin..].chars().next()?;
        }
        let rest = &self.text[begin..];
        if MARKS.contains(&first) {
            self.at = begin + first.len_utf8();
            return Some(Token::Mark(first));
        }
        if first == '"' {
            let inner = &rest[1..];
            let end = inner.find('"').unwrap_or(inner.len());
            self.at = (begin + end + 2).min(self.text.len());
            return Some(Token::Quoted(&inner[..end]));
        }
        let end = rest.find(|c: char| c.is_whitespace() || MARKS.contains(&c) || c == '"');
        let end = end.unwrap_or(rest.len());
        self.at = begin + end;
        Some(Token::Word(&rest[..end]))
    }
}

/// Reads tables.
pub(crate) fn read(text: &str, into: &mut Collector<'_>) {
    let mut tokens = Tokens {
        text,
        at: 0,
        places: Places::new(text),
    };
    while !into.is_done() {
        let at = tokens.place();
        match tokens.next() {
            None => return,
            Some(Token::Mark('\n' | ';')) => {}
            Some(Token::Word("add")) => {}
            Some(Token::Word("table")) => {
                let mut names = Vec::new();
                while let Some(Token::Word(name)) = tokens.peek() {
                    names.push(name);
                    tokens.next();
                }
                let is_open = tokens.peek() == Some(Token::Mark('{'));
                if is_open && table(&names.join(" "), &mut tokens, into).is_none() {
                    if !into.is_done() {
                        let missing = "a closing '}'".to_owned();
                        into.error(None, Problem::Truncated { missing });
                    }
                    return;
                }
            }
            // What scripts begin with.
            Some(Token::Word("flush" | "delete" | "destroy")) => skip_line(&mut tokens),
            Some(token) => {
                let problem = Problem::Line {
                    format: Format::NftText,
                    found: Excerpt::new(token.text()),
                    expected: "`table FAMILY NAME { … }`",
                };
                into.refuse(at, problem);
                skip_line(&mut tokens);
            }
        }
    }
}

fn skip_line(tokens: &mut Tokens<'_>) {
    for token in tokens.by_ref() {
        if matches!(token, Token::Mark('\n' | ';')) {
            return;
        }
    }
}

/// Reads what is in a table's braces; `None` if the text ends before they do.
fn table(name: &str, tokens: &mut Tokens<'_>, into: &mut Collector<'_>) -> Option<()> {
    tokens.next();
    loop {
        let at = tokens.place();
        match tokens.solid()? {
            Token::Mark('}') => return Some(()),
            Token::Word(word @ ("set" | "chain")) => {
                let own = tokens.solid()?.text();
                let full = format!("{name} {own}");
                while tokens.next()? != Token::Mark('{') {}
                match word {
                    "set" => set(&full, at, tokens, into)?,
                    _ => chain(&full, tokens, into)?,
                }
            }
            // Maps, counters, flowtables.
            Token::Mark('{') => skip_block(tokens)?,
            _ => {}
        }
        if into.is_done() {
            return None;
        }
    }
}

/// Skips to the end of the braces that are open.
fn skip_block(tokens: &mut Tokens<'_>) -> Option<()> {
    let mut depth = 1;
    while depth > 0 {
        match tokens.next()? {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => depth -= 1,
            _ => {}
        }
    }
    Some(())
}

fn set(name: &str, at: Place, tokens: &mut Tokens<'_>, into: &mut Collector<'_>) -> Option<()> {
    let is_wanted = into.part(name);
    let mut kind = String::new();
    loop {
        match tokens.solid()? {
            Token::Mark('}') => return Some(()),
            Token::Word("type" | "typeof") => {
                let mut words = Vec::new();
                loop {
                    match tokens.next()? {
                        Token::Mark('\n' | ';') => break,
                        token => words.push(token.text()),
                    }
                }
                kind = words.join(" ");
                if is_wanted && !is_address_type(&kind) {
                    skip_set(name, &kind, at, into);
                }
            }
            Token::Word("elements") => {
                while tokens.next()? != Token::Mark('{') {}
                if is_wanted && is_address_type(&kind) {
                    elements(tokens, into)?;
                } else {
                    skip_block(tokens)?;
                }
            }
            // "flags interval,timeout", "timeout 1d" and the like.
            _ => {}
        }
        if into.is_done() {
            return None;
        }
    }
}

/// Reads elements up to the closing brace.
fn elements(tokens: &mut Tokens<'_>, into: &mut Collector<'_>) -> Option<()> {
    loop {
        while tokens.peek()? == Token::Mark('\n') {
            tokens.next();
        }
        let at = tokens.place();
        let mut element = String::new();
        let (mut timeout, mut expires, mut comment) = (None, None, None);
        let is_last = loop {
            match tokens.solid()? {
                Token::Mark(',') => break false,
                Token::Mark('}') => break true,
                Token::Word("timeout") => timeout = duration_of(tokens)?,
                Token::Word("expires") => expires = duration_of(tokens)?,
                Token::Word("comment") => comment = Some(tokens.solid()?.text()),
                Token::Word("counter") => {
                    // "counter packets 0 bytes 0"
                    while matches!(tokens.peek()?, Token::Word(word)
                        if matches!(word, "packets" | "bytes") || word.parse::<u64>().is_ok())
                    {
                        tokens.next();
                    }
                }
                token => {
                    if !element.is_empty() {
                        element.push(' ');
                    }
                    element.push_str(token.text());
                }
            }
        };
        if !element.is_empty() {
            into.add(&element, at, comment, expires.or(timeout));
        }
        if is_last {
            return Some(());
        }
        if into.is_done() {
            return None;
        }
    }
}

fn duration_of(tokens: &mut Tokens<'_>) -> Option<Option<Duration>> {
    let duration = duration::parse(tokens.solid()?.text());
    Some(duration.filter(|duration| !duration.is_zero()))
}

fn chain(name: &str, tokens: &mut Tokens<'_>, into: &mut Collector<'_>) -> Option<()> {
    let own = name.rsplit(' ').next().unwrap_or(name);
    let mut is_read = into.filter.set.iter().any(|set| set == own || set == name);
    loop {
        let at = tokens.place();
        // A statement: up to the end of its line, but for those in braces.
        let (mut words, mut depth) = (Vec::new(), 0);
        let is_last = loop {
            match tokens.next()? {
                Token::Mark('}') if depth == 0 => break true,
                Token::Mark('\n' | ';') if depth == 0 => break false,
                Token::Mark('\n') => {}
                token => {
                    match token {
                        Token::Mark('{') => depth += 1,
                        Token::Mark('}') => depth -= 1,
                        _ => {}
                    }
                    words.push(token);
                }
            }
        };
        let hook = words.iter().position(|word| *word == Token::Word("hook"));
        if let Some(hook) = hook.and_then(|at| words.get(at + 1)) {
            is_read |= is_input(hook.text());
        } else if is_read && words.contains(&Token::Word("xt")) {
            // What it matches is printed in part at most.
            let chain = name.to_owned();
            into.error(Some(at), Problem::Xtables { chain });
        } else if !words.is_empty() && is_read {
            rule(name, at, &words).carry(into);
        }
        if is_last {
            return Some(());
        }
        if into.is_done() {
            return None;
        }
    }
}

fn rule(chain: &str, at: Place, words: &[Token<'_>]) -> SourceRule {
    let mut rule = SourceRule {
        chain: chain.to_owned(),
        place: at,
        ..SourceRule::default()
    };
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        rest = after;
        let mut take = || match rest.split_first() {
            Some((word, after)) => {
                rest = after;
                word.text()
            }
            None => "",
        };
        match (*word, after.first().map(|word| word.text())) {
            (Token::Word("ip" | "ip6"), Some("saddr")) => {
                take();
                rest = sources(&mut rule, rest, at);
            }
            (Token::Word("accept"), _) => rule.accepts = Some(true),
            (Token::Word("return"), _) => rule.divert("the chain before"),
            (Token::Word("jump" | "goto"), _) => rule.divert(&format!("chain {}", take())),
            (Token::Word("queue"), _) => rule.divert("a queue"),
            (Token::Word("drop"), _) => rule.accepts = Some(false),
            (Token::Word("reject"), _) => {
                rule.accepts = Some(false);
                // "with icmp port-unreachable", "with tcp reset"
                let end = after
                    .iter()
                    .position(|word| *word == Token::Word("comment"));
                rest = after.get(end.unwrap_or(after.len())..).unwrap_or_default();
            }
            (Token::Word("comment"), _) => rule.comment = Some(take().to_owned()),
            (Token::Word("counter"), _) => {
                if after.first() == Some(&Token::Word("packets")) {
                    // Packets, bytes, and their numbers.
                    for _ in 0..4 {
                        take();
                    }
                }
            }
            (Token::Word("meta"), Some("l4proto" | "nfproto")) => {
                take();
                let value = take();
                if !matches!(value, "tcp" | "ipv4" | "ipv6" | "6") {
                    rule.not_carried(|| format!("holds for {value} alone"));
                }
            }
            (Token::Word("ip"), Some("protocol")) => {
                take();
                let value = take();
                if value != "tcp" {
                    rule.not_carried(|| format!("holds for {value} alone"));
                }
            }
            _ => {
                let others = words.iter().map(|word| word.text()).collect::<Vec<_>>();
                rule.not_carried(|| {
                    format!("has conditions that no list has: {}", others.join(" "))
                });
            }
        }
    }
    if rule.sources.is_empty() {
        rule.accepts = None;
    }
    rule
}

/// Reads what follows `saddr`, and gives what follows that.
fn sources<'w, 't>(rule: &mut SourceRule, words: &'w [Token<'t>], at: Place) -> &'w [Token<'t>] {
    let mut rest = words;
    rule.begin_sources();
    loop {
        match rest {
            [Token::Word("!"), Token::Mark('='), after @ ..] => {
                rule.not_carried(|| "holds for every source but some".to_owned());
                rest = after;
            }
            [Token::Mark('='), after @ ..] => rest = after,
            [Token::Word(word), after @ ..] => {
                // The set is a part of its own.
                if !word.starts_with('@') {
                    rule.sources.push(((*word).to_owned(), at));
                }
                return after;
            }
            [Token::Mark('{'), after @ ..] => {
                let end = after.iter().position(|word| *word == Token::Mark('}'));
                let end = end.unwrap_or(after.len());
                for word in &after[..end] {
                    if let Token::Word(word) = word {
                        rule.sources.push(((*word).to_owned(), at));
                    }
                }
                return after.get(end + 1..).unwrap_or_default();
            }
            _ => return rest,
        }
    }
}
