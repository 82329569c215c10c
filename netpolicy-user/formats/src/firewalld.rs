//! Ipsets of firewalld, as in `/etc/firewalld/ipsets/*.xml` and `firewalld.ipset(5)`.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::collect::Collector;
use crate::error::Problem;
use crate::text::Places;

/// Elements inside others, at most; the format has three levels.
const DEPTH: usize = 16;

/// Reads an ipset.
pub(crate) fn read(text: &str, into: &mut Collector<'_>) {
    let mut reader = Reader::from_str(text);
    let mut places = Places::new(text);
    let (mut inside, mut has_set) = (Vec::new(), false);
    // The text of the entry that is being read, and where it begins.
    let mut entry: Option<(String, usize)> = None;
    loop {
        let offset = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => {
                let at = places.of(usize::try_from(reader.error_position()).unwrap_or(usize::MAX));
                let why = error.to_string();
                into.error(Some(at), Problem::Syntax { syntax: "XML", why });
                return;
            }
        };
        match event {
            Event::Start(_) | Event::Empty(_) if inside.is_empty() && has_set => {
                let why = "something follows the end of the ipset".to_owned();
                into.error(
                    Some(places.of(offset)),
                    Problem::Syntax { syntax: "XML", why },
                );
                return;
            }
            Event::Start(tag) => {
                let name = tag.name().as_ref().to_owned();
                if name == "ipset" {
                    has_set = true;
                    kind(&tag, places.of(offset), into);
                } else if name == "entry" {
                    let after = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
                    entry = Some((String::new(), after));
                }
                inside.push(name);
                if inside.len() > DEPTH {
                    let why = format!("elements are nested more than {DEPTH} deep");
                    into.error(
                        Some(places.of(offset)),
                        Problem::Syntax { syntax: "XML", why },
                    );
                    return;
                }
            }
            Event::Text(part) => {
                if let Some((text, _)) = &mut entry {
                    text.push_str(&part);
                }
            }
            Event::GeneralRef(part) => {
                // An entity, of which no address has one: it is shown in the error.
                if let Some((text, _)) = &mut entry {
                    text.push('&');
                    text.push_str(&part);
                    text.push(';');
                }
            }
            Event::End(_) => {
                inside.pop();
                if let Some((text, begin)) = entry.take() {
                    let blanks = text.len() - text.trim_start().len();
                    into.add(&text, places.of(begin + blanks), None, None);
                }
            }
            Event::Eof => break,
            _ => {}
        }
        if into.is_done() {
            return;
        }
    }
    if let Some(open) = inside.last() {
        let missing = format!("</{open}>");
        into.error(None, Problem::Truncated { missing });
    } else if !has_set {
        let why = "expected the element <ipset>".to_owned();
        into.error(None, Problem::Syntax { syntax: "XML", why });
    }
}

/// Notes a type whose entries are no addresses alone; they are then refused one by one.
fn kind(tag: &BytesStart<'_>, at: crate::Place, into: &mut Collector<'_>) {
    let Ok(Some(kind)) = tag.try_get_attribute("type") else {
        return;
    };
    let kind = kind.value.to_string();
    if !matches!(kind.as_str(), "hash:ip" | "hash:net") {
        let why = format!(
            "the ipset is of type {kind}, whose entries are no addresses alone; expected hash:ip or hash:net"
        );
        into.error(Some(at), Problem::Entry(why));
    }
}
