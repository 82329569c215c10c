//! What tests of formats share.
#![allow(dead_code, reason = "each test program uses some of it")]

use std::fs;
use std::path::PathBuf;

use netpolicy_formats::{Filter, Format, Reading, detect, read};

pub(crate) fn file(name: &str) -> Vec<u8> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    fs::read(root.join("../../tests/corpus/formats").join(name)).unwrap()
}

pub(crate) fn set(names: &[&str]) -> Filter {
    Filter {
        set: names.iter().map(ToString::to_string).collect(),
        ..Filter::default()
    }
}

pub(crate) fn country(code: &str) -> Filter {
    Filter {
        country: vec![code.to_owned()],
        ..Filter::default()
    }
}

pub(crate) fn asn(number: u32) -> Filter {
    Filter {
        asn: vec![number],
        ..Filter::default()
    }
}

pub(crate) fn service(name: &str) -> Filter {
    Filter {
        service: vec![name.to_owned()],
        ..Filter::default()
    }
}

/// What a file gives: addresses with their comments and lines.
pub(crate) fn shown(reading: &Reading) -> Vec<String> {
    let entries = reading.entries.iter().map(|entry| {
        let comment = entry.comment.as_deref();
        let comment = comment.map_or_else(String::new, |comment| format!(" # {comment}"));
        format!("{}: {}{comment}", entry.place.line, entry.net)
    });
    entries.collect()
}

pub(crate) fn read_file(name: &str, format: Format, filter: &Filter) -> Reading {
    let bytes = file(name);
    assert_eq!(detect(&bytes), Ok(format), "{name}");
    let reading = read(None, &bytes, filter).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
    assert_eq!(reading.format, format);
    reading
}

pub(crate) fn errors(bytes: &[u8], filter: &Filter) -> Vec<String> {
    let errors = read(None, bytes, filter).unwrap_err();
    errors.iter().map(|error| error.of_file("f")).collect()
}
