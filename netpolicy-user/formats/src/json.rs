//! JSON without a tree of it: parts of the text, and arrays item by item.
//!
//! A part is skipped without recursion, and what is read is of fixed types, so depth and size
//! of a file cost nothing.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::error::Category;
pub(crate) use serde_json::value::RawValue;

use crate::collect::Collector;
use crate::error::{Error, Problem};
use crate::text::Places;

/// A string; part of the file unless it has escapes.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Text<'t>(#[serde(borrow)] pub(crate) Cow<'t, str>);

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Text that tells why an array is not read to its end.
const ENOUGH: &str = "enough was read";

/// Reads the whole file, or a part of it, as `T`.
pub(crate) fn parse<'t, T: Deserialize<'t>>(
    part: &'t str,
    places: &mut Places<'_>,
    into: &mut Collector<'_>,
) -> Option<T> {
    match serde_json::from_str(part) {
        Ok(value) => Some(value),
        Err(why) => {
            let error = error(&why, part, places);
            into.error(error.place, error.problem);
            None
        }
    }
}

/// Reads an array item by item, until the collector has enough.
pub(crate) fn each<'t, T: Deserialize<'t>>(
    part: &'t str,
    places: &mut Places<'_>,
    into: &mut Collector<'_>,
    mut item: impl FnMut(T, &mut Places<'_>, &mut Collector<'_>),
) {
    let mut deserializer = serde_json::Deserializer::from_str(part);
    let read = {
        let each = Each {
            item: |value| {
                item(value, places, into);
                into.is_done()
            },
            of: PhantomData,
        };
        each.deserialize(&mut deserializer)
    };
    let read = read.and_then(|()| deserializer.end());
    if let Err(why) = read
        && !into.is_done()
    {
        let error = error(&why, part, places);
        into.error(error.place, error.problem);
    }
}

struct Each<T, F> {
    item: F,
    of: PhantomData<T>,
}

impl<'t, T: Deserialize<'t>, F: FnMut(T) -> bool> DeserializeSeed<'t> for Each<T, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        // What it is, says the text: `null` is an array as well.
        deserializer.deserialize_any(self)
    }
}

impl<'t, T: Deserialize<'t>, F: FnMut(T) -> bool> Visitor<'t> for Each<T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'t>>(mut self, mut array: A) -> Result<(), A::Error> {
        while let Some(value) = array.next_element()? {
            if (self.item)(value) {
                return Err(A::Error::custom(ENOUGH));
            }
        }
        Ok(())
    }

    /// `null`, which Go prints for an empty array.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// An error in a part of the file.
fn error(why: &serde_json::Error, part: &str, places: &mut Places<'_>) -> Error {
    if why.classify() == Category::Eof {
        let missing = "the end of the JSON text".to_owned();
        return Problem::Truncated { missing }.into();
    }
    let mut lines = part.split_inclusive('\n');
    let before = lines.by_ref().take(why.line().saturating_sub(1));
    let offset = before.map(str::len).sum::<usize>() + why.column().saturating_sub(1);
    let mut offset = offset.min(part.len());
    while !part.is_char_boundary(offset) {
        offset -= 1;
    }
    let message = why.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    Error {
        place: Some(places.of_part(&part[offset..])),
        problem: Problem::Syntax {
            syntax: "JSON",
            why: message.to_owned(),
        },
    }
}
