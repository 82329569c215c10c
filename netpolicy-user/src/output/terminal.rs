//! Escaping for terminals: text from others must not control the terminal.
//!
//! [`Escaped`] is the boundary: all that commands print goes through it. Control
//! characters and invisible ones, such as those that turn the direction of text, are
//! written as escapes (`\u{202e}`, in JSON `\u202e`); the colours of tables pass.

use std::io::{self, Write};

use netpolicy_log::steers;

use super::Format;

/// A writer that escapes what steers a terminal.
pub struct Escaped<W: Write> {
    inner: W,
    json: bool,
    colour: bool,
    /// The beginning of a character, or of a colour's code.
    held: Vec<u8>,
}

impl<W: Write> Escaped<W> {
    /// In the manner of a format; `colour`: the codes of colours pass.
    pub fn new(inner: W, format: Format, colour: bool) -> Self {
        Self {
            inner,
            json: format == Format::Json,
            colour: colour && format == Format::Table,
            held: Vec::new(),
        }
    }

    fn put(&mut self, text: &str) -> io::Result<()> {
        let mut plain = 0;
        for (at, c) in text.char_indices() {
            // A tab is layout in scripts and files that are shown.
            if !steers(c) || c == '\t' || self.is_colour(&text[at..]) {
                continue;
            }
            self.inner.write_all(&text.as_bytes()[plain..at])?;
            plain = at + c.len_utf8();
            if self.json {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(self.inner, "\\u{unit:04x}")?;
                }
            } else {
                write!(self.inner, "{}", c.escape_default())?;
            }
        }
        self.inner.write_all(&text.as_bytes()[plain..])
    }

    /// Whether a text begins with the code of a colour (`ESC [ 1 ; 31 m`, ECMA-48, SGR).
    fn is_colour(&self, text: &str) -> bool {
        self.colour && colour_code(text.as_bytes()) == Some(true)
    }
}

/// Whether bytes begin with the code of a colour; `None`: not enough of them to know.
fn colour_code(bytes: &[u8]) -> Option<bool> {
    match bytes {
        [0x1b] => None,
        [0x1b, b'[', rest @ ..] => {
            let end = rest.iter().position(|b| !b.is_ascii_digit() && *b != b';');
            end.map(|end| rest.get(end) == Some(&b'm'))
        }
        _ => Some(false),
    }
}

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let (valid, broken) = match std::str::from_utf8(rest) {
                Ok(text) => (text, None),
                Err(error) => {
                    let valid = rest.get(..error.valid_up_to()).unwrap_or_default();
                    let text = std::str::from_utf8(valid).unwrap_or_default();
                    (text, Some(error.error_len()))
                }
            };
            // A code that is not all there yet waits for the rest of it.
            let whole = match valid.rfind('\u{1b}') {
                Some(at) if self.colour && broken.is_none() => {
                    match colour_code(&valid.as_bytes()[at..]) {
                        None => at,
                        Some(_) => valid.len(),
                    }
                }
                _ => valid.len(),
            };
            self.put(&valid[..whole])?;
            rest = &rest[whole..];
            match broken {
                None => {
                    self.held = rest.to_vec();
                    break;
                }
                // The beginning of a character.
                Some(None) => {
                    self.held = rest.to_vec();
                    break;
                }
                Some(Some(length)) => {
                    let (bad, after) = rest.split_at(length.min(rest.len()));
                    for byte in bad {
                        write!(self.inner, "\\x{byte:02x}")?;
                    }
                    rest = after;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // What is still not whole is never going to be.
        for byte in std::mem::take(&mut self.held) {
            if byte.is_ascii_graphic() {
                self.inner.write_all(&[byte])?;
            } else {
                write!(self.inner, "\\x{byte:02x}")?;
            }
        }
        self.inner.flush()
    }
}

impl<W: Write> Drop for Escaped<W> {
    fn drop(&mut self) {
        // Errors are reported by `flush`.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pieces: &[&[u8]], format: Format, colour: bool) -> String {
        let mut out = Vec::new();
        let mut escaped = Escaped::new(&mut out, format, colour);
        for piece in pieces {
            escaped.write_all(piece).unwrap();
        }
        escaped.flush().unwrap();
        drop(escaped);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn control_and_invisible_characters_are_escaped_and_words_kept() {
        let text = "a\u{202e}b\u{7}\r\u{9b}2J\u{feff}\u{e0041}\té \u{5b57} \u{1f600}\n";
        assert_eq!(
            written(&[text.as_bytes()], Format::Table, false),
            "a\\u{202e}b\\u{7}\\r\\u{9b}2J\\u{feff}\\u{e0041}\té \u{5b57} \u{1f600}\n"
        );
        assert_eq!(
            written(&["\"\u{202e}\u{e0041}\"".as_bytes()], Format::Json, false),
            "\"\\u202e\\udb40\\udc41\""
        );
    }

    #[test]
    fn colour_codes_pass_if_enabled_and_other_codes_never() {
        let text = "\u{1b}[1;31mred\u{1b}[0m \u{1b}[2J\u{1b}]0;title\u{7}\u{1b}";
        let kept = "\u{1b}[1;31mred\u{1b}[0m \\u{1b}[2J\\u{1b}]0;title\\u{7}\\x1b";
        assert_eq!(written(&[text.as_bytes()], Format::Table, true), kept);
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(written(&pieces, Format::Table, true), kept);
        assert!(!written(&[text.as_bytes()], Format::Table, false).contains('\u{1b}'));
    }

    proptest::proptest! {
        /// However the bytes come, nothing that steers leaves, and JSON means the same.
        #[test]
        fn no_control_character_is_written(text: String, cut in 0_usize..40, bytes: Vec<u8>) {
            for format in [Format::Table, Format::Json] {
                for input in [text.as_bytes(), &bytes] {
                    let (one, other) = input.split_at(cut.min(input.len()));
                    let out = written(&[one, other], format, false);
                    proptest::prop_assert!(!out.chars().any(|c| steers(c) && c != '\t'), "{out:?}");
                }
            }
            let json = serde_json::to_string(&text).unwrap();
            let out = written(&[json.as_bytes()], Format::Json, false);
            proptest::prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
