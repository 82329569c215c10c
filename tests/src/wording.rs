//! The words of Rust files: of their comments and identifiers, without string literals.

/// A word of a file, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word. `drop_in`, `DropIn` and `drop-in` are two words each.
    pub text: String,
    /// Its line, from 1.
    pub line: usize,
    /// Whether it belongs to the word before, as `in` does there.
    pub is_joined: bool,
}

/// The words of a file's comments and identifiers, in order.
#[must_use]
pub fn words(source: &str) -> Vec<Word> {
    let mut words = Vec::new();
    for (index, line) in without_strings(source).lines().enumerate() {
        let mut previous = '\0';
        let mut joins = false;
        for letter in line.chars() {
            let is_hump = letter.is_uppercase() && previous.is_lowercase();
            if letter.is_alphabetic() {
                let is_start = !previous.is_alphabetic() || is_hump;
                match words.last_mut() {
                    Some(Word { text, .. }) if !is_start => text.extend(letter.to_lowercase()),
                    _ => words.push(Word {
                        text: letter.to_lowercase().collect(),
                        line: index + 1,
                        is_joined: joins || is_hump,
                    }),
                }
            }
            joins = matches!(letter, '_' | '-') && previous.is_alphabetic();
            previous = letter;
        }
    }
    words
}

/// The text with every string and character literal emptied; lines stay.
fn without_strings(source: &str) -> String {
    let mut kept = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '/' if rest.starts_with("//") => {
                let end = rest.find('\n').unwrap_or(rest.len());
                let (comment, after) = rest.split_at(end);
                kept.push_str(comment);
                rest = after;
                continue;
            }
            '"' => string(rest),
            'r' if !ends_in_word(&kept) || kept.ends_with(['b', 'c']) => raw_string(rest),
            '\'' => character(rest),
            _ => None,
        };
        let (literal, after) = rest.split_at(skipped.unwrap_or(first.len_utf8()));
        match skipped {
            Some(_) => kept.extend(literal.chars().filter(|c| *c == '\n')),
            None => kept.push_str(literal),
        }
        rest = after;
    }
    kept
}

fn ends_in_word(text: &str) -> bool {
    text.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// The length of a string literal, with its quotes.
fn string(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let end = text[1..].find(|letter| {
        let ends = letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        ends
    })?;
    Some(end + 2)
}

/// The length of a raw string, if the text begins with one.
fn raw_string(text: &str) -> Option<usize> {
    let marks = text[1..].bytes().take_while(|byte| *byte == b'#').count();
    let inner = text[1 + marks..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(marks));
    Some(2 + marks + inner.find(&close)? + close.len())
}

/// The length of a character literal; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let inner = &text[1..];
    let first = inner.chars().next()?;
    let escape = if first == '\\' { 2 } else { first.len_utf8() };
    let end = inner.get(escape..)?.find('\'')?;
    (first == '\\' || end == 0).then_some(1 + escape + end + 1)
}

#[cfg(test)]
mod tests {
    use super::words;

    fn texts(source: &str) -> Vec<String> {
        words(source).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn comments_and_identifiers_are_words_and_literals_are_none() {
        let source = r##"
            /// An *owner's* name.
            fn take_back<'a>(Asker { brake }: Asker<'a>) -> char {
                call("not this", r#"nor "this" one"#, br"x", 'q', '\'', '"'); // Yes: it is
                let XDPMode = b'"';
            }
        "##;
        assert_eq!(
            texts(source).join(" "),
            "an owner s name fn take back a asker brake asker a char \
             call b yes it is let xdpmode b"
        );
    }

    #[test]
    fn joined_words_are_distinguished_from_words_in_a_row() {
        let joined: Vec<_> = words("// a drop-in drops in\ndrop_in DropIn in")
            .into_iter()
            .filter(|word| word.is_joined)
            .map(|word| (word.text, word.line))
            .collect();
        let is_in = |line| ("in".to_owned(), line);
        assert_eq!(joined, [is_in(1), is_in(2), is_in(2)]);
    }
}
