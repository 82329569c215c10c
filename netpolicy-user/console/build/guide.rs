//! The documents that are for users, as pages of the console.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use super::Packed;

/// Single documents next to the guide's directory.
const OTHERS: [&str; 7] = [
    "reference/cli.md",
    "reference/configuration.md",
    "reference/exit-codes.md",
    "reference/reasons.md",
    "troubleshooting.md",
    "limits.md",
    "security.md",
];

/// All pages, each a document without scripts.
pub(super) fn pages(docs: &Path) -> Result<Vec<Packed>> {
    let mut names = Vec::new();
    markdown(&docs.join("guide"), "guide/", &mut names)?;
    names.extend(OTHERS.map(str::to_owned));
    names.sort();
    let mut titled = BTreeMap::new();
    let mut rendered = Vec::new();
    for name in &names {
        let text = fs::read_to_string(docs.join(name)).with_context(|| format!("read {name}"))?;
        let (title, body) = render(&text, name, &names);
        titled.insert(name.clone(), title.clone());
        rendered.push((name, title, body));
    }
    let pages = rendered.into_iter().map(|(name, title, body)| Packed {
        path: url(name),
        media: "text/html; charset=utf-8",
        content: document(&title, &body, &contents(&titled, name)).into_bytes(),
    });
    Ok(pages.collect())
}

fn markdown(dir: &Path, prefix: &str, names: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{} has no name", path.display()))?;
        if path.is_dir() {
            markdown(&path, &format!("{prefix}{name}/"), names)?;
        } else if name.ends_with(".md") {
            names.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

/// `guide/policies.md` is `/guide/policies`, `limits.md` is `/guide/limits`.
fn url(name: &str) -> String {
    let name = name.strip_suffix(".md").unwrap_or(name);
    let name = name.strip_prefix("guide/").unwrap_or(name);
    format!("/guide/{name}")
}

/// A document's title, and its body as HTML.
fn render(text: &str, name: &str, names: &[String]) -> (String, String) {
    let mut title = String::new();
    let mut in_title = false;
    let mut heading: Option<String> = None;
    let mut events: Vec<Event<'_>> = Vec::new();
    let mut in_picture = false;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match &event {
            // Comments of generated blocks, and nothing else.
            Event::Html(_) | Event::InlineHtml(_) => continue,
            // Pictures of the console are for readers of the repository.
            Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => {
                in_picture = matches!(event, Event::Start(_));
                continue;
            }
            _ if in_picture => continue,
            Event::Start(Tag::Heading { level, .. }) => {
                in_title = *level == HeadingLevel::H1;
                heading = Some(String::new());
            }
            Event::Text(text) | Event::Code(text) => {
                if in_title {
                    title.push_str(text);
                }
                if let Some(heading) = &mut heading {
                    heading.push_str(text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                in_title = false;
                let anchor = heading.take().map(|heading| anchor(&heading));
                let start = events
                    .iter()
                    .rposition(|event| matches!(event, Event::Start(Tag::Heading { .. })));
                if let Some(Event::Start(Tag::Heading { id, .. })) =
                    start.and_then(|start| events.get_mut(start))
                {
                    *id = anchor.map(CowStr::from);
                }
            }
            _ => {}
        }
        events.push(match event {
            Event::Start(Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            }) => Event::Start(Tag::Link {
                link_type,
                dest_url: target(&dest_url, name, names).into(),
                title,
                id,
            }),
            event => event,
        });
    }
    let mut body = String::new();
    html::push_html(&mut body, events.into_iter());
    // The page's policy of content refuses styles in attributes.
    for (side, class) in [("left", ""), ("center", ""), ("right", " class=\"num\"")] {
        body = body.replace(&format!(" style=\"text-align: {side}\""), class);
    }
    (title, body)
}

/// As GitHub makes them.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

/// Where a link leads: a page of the console, or the repository, which is not at hand.
fn target(link: &str, from: &str, names: &[String]) -> String {
    if link.starts_with('#') || link.contains("://") {
        return link.to_owned();
    }
    let (file, fragment) = match link.split_once('#') {
        Some((file, fragment)) => (file, format!("#{fragment}")),
        None => (link, String::new()),
    };
    let mut path: PathBuf = Path::new(from)
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default();
    for part in Path::new(file).components() {
        match part {
            std::path::Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
    }
    let path = path.to_string_lossy().into_owned();
    match names.contains(&path) {
        true => format!("{}{fragment}", url(&path)),
        false => "#not-embedded".to_owned(),
    }
}

/// The list of all pages, with the present one marked.
fn contents(titled: &BTreeMap<String, String>, present: &str) -> String {
    let rows = titled.iter().map(|(name, title)| {
        let mark = match name == present {
            true => " aria-current=\"page\"",
            false => "",
        };
        format!(
            "<li><a href=\"{}\"{mark}>{}</a></li>",
            url(name),
            escape(title)
        )
    });
    rows.collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn document(title: &str, body: &str, contents: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{} - netpolicy</title>\
         <link rel=\"icon\" href=\"/icon.svg\"><link rel=\"stylesheet\" href=\"/style.css\">\
         <script src=\"/theme.js\"></script></head>\
         <body class=\"guide\"><header class=\"guide-head\"><a href=\"/\">netpolicy console</a></header>\
         <div class=\"guide-body\"><nav aria-label=\"Guide\"><ul>{contents}</ul></nav>\
         <main id=\"main\">{body}</main></div></body></html>\n",
        escape(title)
    )
}
