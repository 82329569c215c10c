//! A long policy file in pieces, one for each `[[policy]]`: the parser takes several times a
//! text's size, so that of a file with millions of rules is had for one policy at a time.

use std::ops::Range;

use toml_parser::Source;
use toml_parser::lexer::TokenKind;

/// The pieces of a text that begin with `[[policy]]`, to its end. What stands before the
/// first is none of them. `None`: the text cannot be cut, since other tables follow a policy.
pub(super) fn pieces(text: &str) -> Option<Vec<Range<usize>>> {
    let mut starts: Vec<usize> = Vec::new();
    // Brackets that are open in a value.
    let mut depth = 0_usize;
    // Whether a key or a header may begin here.
    let mut is_start = true;
    let source = Source::new(text);
    let mut tokens = source.lex().peekable();
    while let Some(token) = tokens.next() {
        match token.kind() {
            TokenKind::Whitespace | TokenKind::Comment => {}
            TokenKind::Newline => is_start = depth == 0,
            TokenKind::LeftSquareBracket if is_start => {
                let at = token.span().start();
                let mut header = String::new();
                while let Some(part) = tokens.next_if(|part| part.kind() != TokenKind::Newline) {
                    let span = part.span();
                    match part.kind() {
                        TokenKind::Comment => break,
                        TokenKind::Whitespace => {}
                        _ => header.push_str(text.get(span.start()..span.end())?),
                    }
                }
                match header.as_str() {
                    "[policy]]" => starts.push(at),
                    _ if starts.is_empty() => {}
                    _ => return None,
                }
                is_start = false;
            }
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => {
                depth += 1;
                is_start = false;
            }
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                depth = depth.saturating_sub(1);
                is_start = false;
            }
            _ => is_start = false,
        }
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let ends: Vec<usize> = ends.collect();
    Some(starts.into_iter().zip(ends).map(|(a, b)| a..b).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Option<Vec<&str>> {
        let pieces = pieces(text)?.into_iter();
        Some(pieces.map(|piece| &text[piece]).collect())
    }

    #[test]
    fn each_policy_is_a_piece_with_all_that_belongs_to_it() {
        let first = "[[policy]]\nname = \"a\"\nallow = [\n  [[policy]],\n]\n# [[policy]]\n";
        let second = "[[ policy ]] # b\ncomment = \"\"\"\n[[policy]]\n\"\"\"\n";
        let text =
            format!("[host]\nmode = \"observe\"\n[[service]]\nname = \"s\"\n\n{first}{second}");
        assert_eq!(cut(&text).unwrap(), [first, second]);
    }

    #[test]
    fn text_without_policies_has_no_piece() {
        assert!(cut("").unwrap().is_empty());
        assert!(cut("[host]\nmode = \"observe\"\n").unwrap().is_empty());
    }

    #[test]
    fn text_whose_policies_other_tables_follow_is_not_cut() {
        for other in [
            "[host]",
            "[[service]]",
            "[policy.x]",
            "[[policy.x]]",
            "[policy]",
        ] {
            assert_eq!(cut(&format!("[[policy]]\nname = \"a\"\n{other}\n")), None);
        }
    }
}
