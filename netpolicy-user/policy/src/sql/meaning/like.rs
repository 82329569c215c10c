//! LIKE: `%` is any text, `_` one character, a backslash takes the next as it stands.

/// Whether a text is like a pattern. At most the product of their lengths, without
/// recursion.
pub(super) fn is_like(text: &str, pattern: &str, ignore_case: bool) -> bool {
    let fold = |text: &str| -> Vec<char> {
        if ignore_case {
            text.chars().flat_map(char::to_lowercase).collect()
        } else {
            text.chars().collect()
        }
    };
    let (text, pattern) = (fold(text), parts(&fold(pattern)));
    // Where to go on after the last `%`, once what follows it does not fit.
    let mut retry: Option<(usize, usize)> = None;
    let (mut at, mut part) = (0, 0);
    while let Some(&c) = text.get(at) {
        match pattern.get(part) {
            Some(Part::Any) => {
                part += 1;
                retry = Some((at, part));
            }
            Some(Part::One) => (at, part) = (at + 1, part + 1),
            Some(Part::Char(expected)) if *expected == c => (at, part) = (at + 1, part + 1),
            _ => match &mut retry {
                Some((from, after)) => {
                    *from += 1;
                    (at, part) = (*from, *after);
                }
                None => return false,
            },
        }
    }
    let rest = pattern.get(part..).unwrap_or_default();
    rest.iter().all(|part| *part == Part::Any)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Any,
    One,
    Char(char),
}

fn parts(pattern: &[char]) -> Vec<Part> {
    let mut parts = Vec::with_capacity(pattern.len());
    let mut chars = pattern.iter();
    while let Some(&c) = chars.next() {
        parts.push(match c {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => Part::Char(*chars.next().unwrap_or(&'\\')),
            c => Part::Char(c),
        });
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (text, pattern, expected) in [
            ("office", "office", true),
            ("office", "off%", true),
            ("office", "%ice", true),
            ("office", "%f_c%", true),
            ("office", "%f%f%f%", false),
            ("office", "offic", false),
            ("office", "_____", false),
            ("office", "______", true),
            ("office", "%", true),
            ("", "%", true),
            ("", "_", false),
            ("a_b", "a\\_b", true),
            ("axb", "a\\_b", false),
            ("b\u{fc}ro", "b_ro", true),
            ("a\\", "a\\", true),
            ("aab", "%ab", true),
        ] {
            assert_eq!(is_like(text, pattern, false), expected, "{text} {pattern}");
        }
        assert!(is_like("OFFICE", "off%", true));
        assert!(!is_like("OFFICE", "off%", false));
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let text = "a".repeat(255);
        let pattern = "%a".repeat(100) + "b";
        assert!(!is_like(&text, &pattern, true));
    }
}
