//! Bytes to text, and offsets to places.

use crate::Place;
use crate::collect::Collector;
use crate::error::{Problem, Unrecognised};

/// What compressed files begin with, which program made them, and which one undoes it.
const COMPRESSED: [(&[u8], &str, &str); 5] = [
    (b"\x1f\x8b", "gzip", "zcat"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstdcat"),
    (b"\xfd7zXZ\0", "xz", "xzcat"),
    (b"BZh", "bzip2", "bzcat"),
    (b"PK\x03\x04", "zip", "unzip -p"),
];

/// The text of a file, without its byte order mark.
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, Unrecognised> {
    for (magic, by, command) in COMPRESSED {
        if bytes.starts_with(magic) {
            return Err(Unrecognised::Compressed { by, command });
        }
    }
    if is_utf16(bytes) {
        return Err(Unrecognised::Utf16);
    }
    if bytes.contains(&0) {
        return Err(Unrecognised::Binary);
    }
    match str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let (good, bad) = bytes.split_at(error.valid_up_to());
            let good = String::from_utf8_lossy(good);
            Err(Unrecognised::NotUtf8 {
                place: Places::new(&good).of(good.len()),
                byte: bad.first().copied().unwrap_or_default(),
            })
        }
    }
}

/// By its byte order mark, or by zeros at every other of its first bytes.
fn is_utf16(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(64) & !1];
    let zeros = |from: usize| head.iter().skip(from).step_by(2).all(|byte| *byte == 0);
    bytes.starts_with(b"\xff\xfe")
        || bytes.starts_with(b"\xfe\xff")
        || head.len() >= 4 && (zeros(0) != zeros(1))
}

/// Places of offsets, quickly if they come in ascending order.
#[derive(Debug)]
pub(crate) struct Places<'t> {
    text: &'t str,
    /// How far lines were counted.
    at: usize,
    line: u32,
    /// Where that line begins.
    begin: usize,
}

impl<'t> Places<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
            begin: 0,
        }
    }

    /// The place of an offset into the text.
    pub(crate) fn of(&mut self, offset: usize) -> Place {
        let offset = offset.min(self.text.len());
        if offset < self.at {
            *self = Self::new(self.text);
        }
        let passed = &self.text.as_bytes()[self.at..offset];
        let lines = passed.iter().filter(|byte| **byte == b'\n').count();
        if lines > 0 {
            let last = passed.iter().rposition(|byte| *byte == b'\n');
            self.begin = self.at + last.unwrap_or_default() + 1;
            self.line = self.line.saturating_add(count(lines));
        }
        self.at = offset;
        // A file of one line may be long: its columns are counted in bytes.
        let line = &self.text.as_bytes()[self.begin..offset];
        let column = match line.len() {
            ..=4096 => String::from_utf8_lossy(line).chars().count(),
            bytes => bytes,
        };
        Place {
            line: self.line,
            column: count(column).saturating_add(1),
        }
    }

    /// The place of a part of the text; that of another text is not known.
    pub(crate) fn of_part(&mut self, part: &str) -> Place {
        let begin = self.text.as_ptr().addr();
        match part.as_ptr().addr().checked_sub(begin) {
            Some(offset) if offset <= self.text.len() => self.of(offset),
            _ => Place::default(),
        }
    }
}

/// As many as fit.
pub(crate) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX - 1)
}

/// The lines of a text with their numbers, without what ends them.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (u32, &str)> {
    text.lines()
        .zip(1_u32..)
        .map(|(line, number)| (number, line))
}

/// The column of a part of a line.
pub(crate) fn column(line: &str, part: &str) -> u32 {
    let offset = part.as_ptr().addr().saturating_sub(line.as_ptr().addr());
    let before = line.get(..offset).unwrap_or_default();
    count(before.chars().count()).saturating_add(1)
}

/// The place of a part of a line.
pub(crate) fn place(number: u32, line: &str, part: &str) -> Place {
    Place {
        line: number,
        column: column(line, part),
    }
}

/// What programs print ends with a line's end: without one, the last line may be cut off
/// within an address, which is then another one.
pub(crate) fn require_last_line(text: &str, into: &mut Collector<'_>) {
    if !text.is_empty() && !text.ends_with('\n') {
        let missing = "the end of the last line".to_owned();
        into.error(None, Problem::Truncated { missing });
    }
}
