//! List files in the formats of other programs: read here, and sent as plain lists.
//!
//! What is a plain list is sent as it is, so that the agent names what is wrong with it. Any
//! other format becomes a plain list whose entries stand in the lines of the file.

use netpolicy_formats::{
    Error, Filter, Format, Options, Reading, Unrecognised, detect, is_plain_list, read_with, write,
};

use crate::model::counted;

/// A list file as it is sent, and what the user should know of it.
pub(super) struct ListText {
    pub(super) text: String,
    pub(super) notes: Vec<String>,
}

/// What is taken from a list file that is refused otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ListTolerance {
    pub(super) skip_invalid: bool,
    pub(super) allow_empty: bool,
}

/// The text of a list file that is sent.
pub(super) fn list_text(
    name: &str,
    bytes: Vec<u8>,
    tolerance: ListTolerance,
) -> Result<ListText, Vec<String>> {
    let format = match detect(&bytes) {
        // What is wrong with it, the agent says: it may be a list with errors.
        Ok(Format::Plain) if is_plain_list(&bytes) => return as_it_is(name, bytes),
        Err(
            Unrecognised::Empty
            | Unrecognised::Html
            | Unrecognised::Xml
            | Unrecognised::Json
            | Unrecognised::Binary
            | Unrecognised::Unknown { .. }
            | Unrecognised::NotUtf8 { .. },
        ) => return as_it_is(name, bytes),
        Err(other) => return Err(vec![format!("{name}: {other}")]),
        Ok(format) => format,
    };
    let options = Options {
        skip_invalid: tolerance.skip_invalid,
        ..Options::default()
    };
    let reading = read_with(Some(format), &bytes, &Filter::default(), options);
    let reading = reading.map_err(|errors| of_file(name, &errors))?;
    if reading.entries.is_empty() && !tolerance.allow_empty {
        return Err(vec![empty(name, &reading)]);
    }
    let mut notes = vec![summary(name, &reading)];
    notes.extend(remarks(name, &reading));
    let text = match reading.entries.is_empty() {
        true => String::new(),
        false => write::list_file_by_lines(&reading),
    };
    Ok(ListText { text, notes })
}

fn as_it_is(name: &str, bytes: Vec<u8>) -> Result<ListText, Vec<String>> {
    let text = super::input::text_of(name, bytes).map_err(|error| vec![error])?;
    let notes = Vec::new();
    Ok(ListText { text, notes })
}

/// The errors of a file, each with its place.
pub(super) fn of_file(name: &str, errors: &[Error]) -> Vec<String> {
    errors.iter().map(|error| error.of_file(name)).collect()
}

/// "drop.json: a DROP list of Spamhaus (JSON lines), 3 entries".
pub(super) fn summary(name: &str, reading: &Reading) -> String {
    let entries = counted(reading.entries.len(), "entry", "entries");
    format!("{name}: {}, {entries}", reading.format.title())
}

/// What else is to be known of a reading.
pub(super) fn remarks(name: &str, reading: &Reading) -> Vec<String> {
    let notes = reading.notes.iter().map(|note| format!("{name}: {note}"));
    notes.chain(reading.left_out(name)).collect()
}

/// A file that holds no entry would empty a list.
pub(super) fn empty(name: &str, reading: &Reading) -> String {
    let title = reading.format.title();
    format!("{name}: {title} without an entry that a list can hold; --allow-empty accepts it")
}
