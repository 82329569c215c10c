//! Lines on standard error that hold nothing that steers a terminal, and no colours.

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

use crate::escape::escape;

/// Writes each line to standard error, escaped.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainLines;

impl<'a> MakeWriter<'a> for PlainLines {
    type Writer = PlainWriter<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        PlainWriter(io::stderr())
    }
}

/// Escapes what is written to it, each piece by itself: a formatter writes an event in one.
#[derive(Debug)]
pub struct PlainWriter<W>(W);

impl<W: Write> Write for PlainWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.0.write_all(escape(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_holds_no_control_character() {
        let mut out = Vec::new();
        let line = "WARN \u{1b}[2J a\u{202e}b\u{7} é\n".as_bytes();
        PlainWriter(&mut out).write_all(line).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "WARN \\u{1b}[2J a\\u{202e}b\\u{7} é\n"
        );
    }
}
