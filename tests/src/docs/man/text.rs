//! Markdown of the guide as roff, for `man(7)`.

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// A page of Markdown as roff without its head. The first page of a manual page has its
/// title there already; a further one is a section.
pub(super) fn roff(markdown: &str, is_first: bool) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut writer = Writer {
        is_first,
        ..Writer::default()
    };
    for event in Parser::new_ext(markdown, options) {
        writer.take(event);
    }
    writer.out
}

/// Text in which roff finds nothing of its own.
pub(super) fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let text = text.replace('\n', " ");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}

/// Lines as they are.
pub(super) fn code(text: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().map(escaped).collect();
    format!(".PP\n.RS 4\n.nf\n{}\n.fi\n.RE\n", lines.join("\n"))
}

#[derive(Default)]
struct Writer {
    out: String,
    is_first: bool,
    /// The paragraph, heading or cell that is being read.
    line: String,
    block: Option<String>,
    heading: bool,
    /// Numbers of the ordered lists that are open; `None`: one with bullets.
    lists: Vec<Option<u64>>,
    /// Whether an item was begun, whose first paragraph follows its mark at once.
    in_item: bool,
    head: Vec<String>,
    row: Vec<String>,
    in_head: bool,
}

impl Writer {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.text(&text),
            Event::Code(text) => self.line += &format!("\\fB{}\\fR", inner(&text)),
            Event::SoftBreak | Event::HardBreak => self.line.push(' '),
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Heading { .. } => self.heading = true,
            Tag::CodeBlock(_) => {
                self.paragraph();
                self.block = Some(String::new());
            }
            Tag::List(first) => {
                self.paragraph();
                if !self.lists.is_empty() {
                    self.out += ".RS\n";
                }
                self.lists.push(*first);
            }
            Tag::Item => {
                match self.lists.last_mut() {
                    Some(Some(number)) => {
                        self.out += &format!(".IP {number}. 4\n");
                        *number += 1;
                    }
                    _ => self.out += ".IP \\(bu 2\n",
                }
                self.in_item = true;
            }
            Tag::TableHead => self.in_head = true,
            Tag::Strong => self.line += "\\fB",
            Tag::Emphasis => self.line += "\\fI",
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => self.head_line(level),
            TagEnd::Paragraph | TagEnd::Item => self.paragraph(),
            TagEnd::CodeBlock => {
                let block = self.block.take().unwrap_or_default();
                self.out += &code(&block);
            }
            TagEnd::List(_) => {
                self.lists.pop();
                if !self.lists.is_empty() {
                    self.out += ".RE\n";
                }
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.line);
                match self.in_head {
                    true => self.head.push(cell),
                    false => self.row.push(cell),
                }
            }
            TagEnd::TableHead => self.in_head = false,
            TagEnd::TableRow => self.table_row(),
            TagEnd::Table => self.head.clear(),
            TagEnd::Strong | TagEnd::Emphasis => self.line += "\\fR",
            _ => {}
        }
    }

    fn text(&mut self, text: &CowStr<'_>) {
        match &mut self.block {
            Some(block) => block.push_str(text),
            None => self.line += &inner(text),
        }
    }

    /// The document's title is a heading of the first level, and the manual page's own.
    fn head_line(&mut self, level: HeadingLevel) {
        self.heading = false;
        let title = std::mem::take(&mut self.line);
        match (level, self.is_first) {
            (HeadingLevel::H1, true) => self.out += ".SH DESCRIPTION\n",
            (HeadingLevel::H1, false) | (HeadingLevel::H2, true) => {
                self.out += &format!(".SH {}\n", plain(&title).to_uppercase());
            }
            _ => self.out += &format!(".SS {}\n", plain(&title)),
        }
    }

    fn paragraph(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        if !std::mem::take(&mut self.in_item) {
            self.out += match self.lists.is_empty() {
                true => ".PP\n",
                false => ".IP\n",
            };
        }
        self.out += &format!("{}\n", guarded(line));
    }

    /// A row as its first cell, and the others below it, each with its column's head.
    fn table_row(&mut self) {
        let row = std::mem::take(&mut self.row);
        let mut cells = row.into_iter().zip(self.head.iter());
        let Some((first, _)) = cells.next() else {
            return;
        };
        let cells: Vec<_> = cells.filter(|(cell, _)| !cell.trim().is_empty()).collect();
        let is_wide = self.head.len() > 2;
        let lines: Vec<_> = cells
            .iter()
            .map(|(cell, head)| match is_wide && !head.trim().is_empty() {
                true => guarded(&format!("{head}: {cell}")),
                false => guarded(cell),
            })
            .collect();
        let first = match first.trim() {
            "" => "\\(em".to_owned(),
            first => format!("\\fB{}\\fR", plain(first)),
        };
        self.out += &format!(".TP\n{first}\n{}\n", lines.join("\n.br\n"));
    }
}

/// Text within a line.
fn inner(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

/// A line that roff does not take for a request.
fn guarded(line: &str) -> String {
    match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line.to_owned(),
    }
}

/// Without changes of the font.
fn plain(text: &str) -> String {
    text.replace("\\fB", "")
        .replace("\\fI", "")
        .replace("\\fR", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_lists_tables_and_code_have_their_requests() {
        let page = "# Title\n\nFirst `a-b`.\n\n## Part\n\n- one\n- two\n\n| k | v | w |\n|---|---|---|\n| x | y | z |\n\n```\n.so it\n```\n";
        assert_eq!(
            roff(page, true),
            ".SH DESCRIPTION\n.PP\nFirst \\fBa\\-b\\fR.\n.SH PART\n.IP \\(bu 2\none\n.IP \\(bu 2\ntwo\n\
             .TP\n\\fBx\\fR\nv: y\n.br\nw: z\n.PP\n.RS 4\n.nf\n\\&.so it\n.fi\n.RE\n"
        );
        assert!(roff(page, false).starts_with(".SH TITLE\n.PP\nFirst"));
    }

    #[test]
    fn text_cannot_give_roff_a_request() {
        assert_eq!(escaped(".TH"), "\\&.TH");
        assert_eq!(escaped("a\\fB"), "a\\efB");
        assert_eq!(roff(".TH x", true), ".PP\n\\&.TH x\n");
    }
}
