//! A long policy file without its rules: the parser needs several times a text's size, so
//! arrays of millions of rules are taken out of what it parses, and read item by item.

use std::ops::Range;

use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use super::items;

/// A text, in which arrays of rules are empty.
#[derive(Debug, Default)]
pub(super) struct Outline {
    text: String,
    arrays: Vec<Array>,
}

/// An array that was taken out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Array {
    /// Where the outline's text goes on after it.
    at: usize,
    /// Its items in the whole text.
    pub(super) items: Range<usize>,
    /// Whether it ends.
    pub(super) is_closed: bool,
}

impl Outline {
    /// The outline of a text: without the items of all arrays that are values of `allow`,
    /// `block` or `entries` at the beginning of a line.
    pub(super) fn of(text: &str) -> Self {
        let mut outline = Self::default();
        let mut copied = 0;
        let mut from = 0;
        while let Some(start) = next_array(text, from) {
            let (end, is_closed) = items::end(text, start);
            outline.text.push_str(&text[copied..start]);
            outline.arrays.push(Array {
                at: outline.text.len(),
                items: start..end,
                is_closed,
            });
            if !is_closed {
                // What the array lacks is reported for itself.
                outline.text.push(']');
            }
            (copied, from) = (end, (end + 1).min(text.len()));
        }
        outline.text.push_str(&text[copied..]);
        outline
    }

    /// What there is to parse.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The array whose bracket opens at an offset of the outline.
    pub(super) fn array(&self, offset: usize) -> Option<&Array> {
        let found = self
            .arrays
            .binary_search_by_key(&(offset + 1), |array| array.at);
        self.arrays.get(found.ok()?)
    }

    /// The array that does not end.
    pub(super) fn unclosed(&self) -> Option<&Array> {
        self.arrays.last().filter(|array| !array.is_closed)
    }

    /// Where in the whole text an offset of the outline is.
    pub(super) fn original(&self, offset: usize) -> usize {
        let before = self.arrays.partition_point(|array| array.at <= offset);
        match before.checked_sub(1).and_then(|last| self.arrays.get(last)) {
            Some(array) => array.items.end + (offset - array.at),
            None => offset,
        }
    }
}

/// Where the items of the next array of rules begin.
fn next_array(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    // Brackets that are open in a value.
    let mut depth = 0_usize;
    // Only the first search begins at a line's beginning.
    let mut is_start = from == 0;
    let source = Source::new(rest);
    let mut tokens = source.lex().peekable();
    while let Some(token) = tokens.next() {
        match token.kind() {
            TokenKind::Whitespace => {}
            TokenKind::Newline => is_start = depth == 0,
            TokenKind::Atom if is_start => {
                is_start = false;
                let span = token.span();
                if !matches!(
                    rest.get(span.start()..span.end()),
                    Some("allow" | "block" | "entries")
                ) {
                    continue;
                }
                let blank = |kind| kind == TokenKind::Whitespace;
                while tokens.next_if(|token| blank(token.kind())).is_some() {}
                let equals = tokens.next_if(|token| token.kind() == TokenKind::Equals);
                if equals.is_none() {
                    continue;
                }
                while tokens.next_if(|token| blank(token.kind())).is_some() {}
                let opens = TokenKind::LeftSquareBracket;
                if let Some(bracket) = tokens.next_if(|token| token.kind() == opens) {
                    return Some(from + bracket.span().end());
                }
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
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outline_omits_arrays_of_rules_and_maps_offsets_back() {
        let text = "[[policy]]\nname = \"a\"\nallow = [\n \"10.0.0.1\", # one]\n \"10.0.0.2\"\n]\nbind = [\"host\"]\n\tblock=['::1']\ncomment = \"\"\"\nallow = [1]\n\"\"\"\n";
        let outline = Outline::of(text);
        assert_eq!(
            outline.text(),
            "[[policy]]\nname = \"a\"\nallow = []\nbind = [\"host\"]\n\tblock=[]\ncomment = \"\"\"\nallow = [1]\n\"\"\"\n"
        );
        let items: Vec<_> = outline
            .arrays
            .iter()
            .map(|a| &text[a.items.clone()])
            .collect();
        assert_eq!(items, ["\n \"10.0.0.1\", # one]\n \"10.0.0.2\"\n", "'::1'"]);
        assert!(outline.unclosed().is_none());
        for word in ["name", "allow =", "bind", "block", "comment"] {
            let (at, original) = (outline.text().find(word), text.find(word));
            assert_eq!(at.map(|at| outline.original(at)), original, "{word}");
        }
        let bracket = outline.text().find("[]").unwrap();
        let found = outline.array(bracket).unwrap();
        assert_eq!(found, &outline.arrays[0]);
        assert!(outline.array(bracket + 1).is_none());
    }

    #[test]
    fn outline_keeps_other_arrays() {
        for text in [
            "",
            "allow = \"[1]\"\n",
            "x = { allow = [1] }\n",
            "x = [\nallow = [1]\n]\n",
            "a.allow = [1]\nallow.b = [1]\nallowed = [1]\n",
            "[allow]\n[[block]]\n# allow = [1]\n",
        ] {
            assert_eq!(Outline::of(text).text(), text);
        }
    }

    #[test]
    fn unterminated_array_is_found() {
        let outline = Outline::of("allow = [\n\"10.0.0.1\",\nname = \"a\"\n");
        assert_eq!(outline.text(), "allow = []");
        assert_eq!(outline.unclosed().unwrap().items, 9..33);
    }
}
