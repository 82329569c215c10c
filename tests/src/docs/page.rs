//! A Markdown page as tests look at it: anchors, links, code.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// What a page holds, each with the line it stands on.
#[derive(Debug, Default)]
pub struct Page {
    /// The file.
    pub path: PathBuf,
    /// What links may name after `#`.
    pub anchors: Vec<String>,
    /// Targets of links and images.
    pub links: Vec<(usize, String)>,
    /// Words in backquotes.
    pub spans: Vec<Span>,
    /// Fenced blocks.
    pub blocks: Vec<Block>,
}

/// Words in backquotes.
#[derive(Debug)]
pub struct Span {
    /// On which line.
    pub line: usize,
    /// The words.
    pub text: String,
    /// In which cell of a table's row: the row's number in the page, and the column.
    pub cell: Option<(usize, usize)>,
}

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    /// On which line it begins.
    pub line: usize,
    /// What stands behind the fence: "toml policy".
    pub info: String,
    /// What is in it.
    pub text: String,
}

impl Page {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut page = Self::parse(&fs::read_to_string(path)?);
        path.clone_into(&mut page.path);
        Ok(page)
    }

    /// Reads a text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut page = Self::default();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let (mut heading, mut block): (Option<String>, Option<Block>) = (None, None);
        let (mut rows, mut column, mut in_table) = (0, 0, false);
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
        for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
            let line = || text[..range.start].matches('\n').count() + 1;
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let name = anchor(&heading.take().unwrap_or_default());
                    let count = seen.entry(name.clone()).or_default();
                    page.anchors.push(match *count {
                        0 => name,
                        n => format!("{name}-{n}"),
                    });
                    *count += 1;
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let info = match kind {
                        CodeBlockKind::Fenced(info) => info.to_string(),
                        CodeBlockKind::Indented => "indented".to_owned(),
                    };
                    block = Some(Block {
                        line: line(),
                        info,
                        text: String::new(),
                    });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((line(), dest_url.to_string()));
                }
                Event::Start(Tag::TableHead | Tag::TableRow) => {
                    (rows, column, in_table) = (rows + 1, 0, true);
                }
                Event::End(TagEnd::TableCell) => column += 1,
                Event::End(TagEnd::Table) => in_table = false,
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    page.spans.push(Span {
                        line: line(),
                        text: code.to_string(),
                        cell: in_table.then_some((rows, column)),
                    });
                }
                Event::Text(words) => {
                    if let Some(block) = &mut block {
                        block.text.push_str(&words);
                    } else if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                }
                _ => {}
            }
        }
        page
    }
}

/// A heading's anchor, as GitHub makes it.
#[must_use]
pub fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn anchors_are_those_of_github() {
        assert_eq!(anchor("Filter a NIC"), "filter-a-nic");
        assert_eq!(anchor("GET /v1/policies/{name}"), "get-v1policiesname");
        assert_eq!(anchor("`netpolicy policy alter`"), "netpolicy-policy-alter");
        let page = Page::parse("# A\n## `a`\n");
        assert_eq!(page.anchors, ["a", "a-1"]);
    }

    #[test]
    fn links_blocks_and_spans_are_found_with_their_lines() {
        let page = Page::parse(
            "x\n[a](b.md#c) `d`\n\n| `e` | `f` |\n|---|---|\n| `g` | |\n\n```toml policy\nh\n```\n",
        );
        assert_eq!(page.links, [(2, "b.md#c".to_owned())]);
        let cells: Vec<_> = page
            .spans
            .iter()
            .map(|s| (s.text.as_str(), s.cell))
            .collect();
        assert_eq!(
            cells,
            [
                ("d", None),
                ("e", Some((1, 0))),
                ("f", Some((1, 1))),
                ("g", Some((2, 0)))
            ]
        );
        assert_eq!(
            (page.blocks[0].line, page.blocks[0].info.as_str()),
            (8, "toml policy")
        );
        assert_eq!(page.blocks[0].text, "h\n");
    }
}
