//! `fail2ban-client banned`: jails with their banned addresses, as Python prints them.

use crate::collect::Collector;
use crate::error::Problem;
use crate::text::Places;

/// What the text consists of.
#[derive(Debug, PartialEq, Eq)]
enum Token<'t> {
    Mark(char),
    Text(&'t str),
}

/// Reads `[{'sshd': ['192.0.2.1']}, {'nginx': []}]`. All jails together are the list unless
/// one is chosen.
pub(crate) fn read(text: &str, into: &mut Collector<'_>) {
    into.join_parts();
    let mut places = Places::new(text);
    // How deep in brackets and braces, and whether the last text was a jail.
    let (mut open, mut jail, mut is_wanted) = (Vec::new(), None, false);
    let mut rest = text.trim_start();
    loop {
        let token = match next(rest) {
            Some((token, after)) => {
                rest = after.trim_start();
                token
            }
            None if rest.is_empty() => break,
            None => {
                let why = "expected [{'JAIL': ['ADDRESS', …]}, …]".to_owned();
                let at = places.of_part(rest);
                if rest.starts_with(['\'', '"']) {
                    truncated(into);
                } else {
                    let syntax = "fail2ban";
                    into.error(Some(at), Problem::Syntax { syntax, why });
                }
                return;
            }
        };
        match token {
            Token::Mark(c @ ('[' | '{')) => open.push(c),
            Token::Mark(c @ (']' | '}')) => {
                let expected = if c == ']' { '[' } else { '{' };
                if open.pop() != Some(expected) {
                    let (syntax, why) = ("fail2ban", format!("'{c}' closes nothing"));
                    into.error(Some(places.of_part(rest)), Problem::Syntax { syntax, why });
                    return;
                }
            }
            Token::Mark(_) => {}
            Token::Text(text) => match open[..] {
                ['[', '{'] => {
                    is_wanted = into.part(text);
                    jail = Some(text);
                }
                ['[', '{', '['] if is_wanted => {
                    let comment = jail.map(|jail| format!("fail2ban {jail}"));
                    into.add(text, places.of_part(text), comment.as_deref(), None);
                }
                ['[', '{', '['] => {}
                _ => {
                    let (syntax, why) = ("fail2ban", "a text outside a jail".to_owned());
                    into.error(Some(places.of_part(text)), Problem::Syntax { syntax, why });
                    return;
                }
            },
        }
        if into.is_done() {
            return;
        }
    }
    if !open.is_empty() {
        truncated(into);
    }
}

fn truncated(into: &mut Collector<'_>) {
    let missing = "the closing ']'".to_owned();
    into.error(None, Problem::Truncated { missing });
}

fn next(text: &str) -> Option<(Token<'_>, &str)> {
    let first = text.chars().next()?;
    match first {
        '[' | ']' | '{' | '}' | ',' | ':' => Some((Token::Mark(first), &text[1..])),
        '\'' | '"' => {
            let inner = &text[1..];
            let end = inner.find(first)?;
            Some((Token::Text(&inner[..end]), &inner[end + 1..]))
        }
        _ => None,
    }
}
