//! Long files, whose arrays are read item by item, against the parser's reading of them.

use proptest::prelude::*;

use super::super::read::read_text;
use super::super::text::Text;
use super::super::{EarlierState, Tolerance};
use crate::model::State;
use crate::model::arbitrary::cx;
use crate::model::list::Sameness;
use crate::model::report::Report;

/// What comes of a text: policies with the places of their rules, or messages.
fn read(text: &str, is_long: bool) -> Result<(String, Vec<String>), Vec<String>> {
    let length = if is_long { 0 } else { usize::MAX };
    let text = Text::with_outline_from(length, "p.toml", text);
    let mut report = Report::default();
    let earlier = EarlierState {
        state: &State::empty(),
        sameness: Sameness::Place,
    };
    let file = read_text(
        &text,
        &[],
        Tolerance::default(),
        earlier,
        &cx(),
        &mut report,
    );
    let warnings = report.finish().map_err(|errors| errors.messages())?;
    Ok((format!("{file:?}"), warnings))
}

fn file(block: &str, allow: &str) -> String {
    format!(
        "[[policy]]\nname = \"one\"\nblock = [{block}]\n\
         allow = [{allow}]\nbind = [\"host\"]\n[[policy]]\nname = \"two\"\nblok = 1\n"
    )
}

/// The place of a message: file, line and column.
fn place(messages: &[String]) -> Option<&str> {
    messages.first()?.split(": ").next()
}

#[test]
fn every_form_of_item_is_read_at_its_place() {
    let block = "\n  \"10.0.0.1\", # one, \"two\"]\r\n  '10.0.0.2' ,\n# ä\n{ address = \"10.0.0.3\", \
                 comment = \"a ] b\" }, \"10.0.0.\\u0034\", \"\"\"10.0.0.5\"\"\", \"10.0.0.6-10.0.0.7\"";
    let text = file(block, "").replace("blok = 1\n", "");
    let (long, warnings) = read(&text, true).unwrap();
    assert!(warnings.is_empty());
    assert_eq!(long, read(&text, false).unwrap().0);
    for address in ["10.0.0.3/32", "10.0.0.4/32", "10.0.0.6/31", "a ] b"] {
        assert!(long.contains(address), "{address}: {long}");
    }
}

#[test]
fn syntax_error_among_items_is_reported_at_its_place() {
    for (block, at, what) in [
        (
            "\n\"10.0.0.1\",\n\"10.0.0.2,\n\"10.0.0.3\",\n",
            "p.toml:5:",
            "string",
        ),
        ("\n\"10.0.0.1\",\n, \"10.0.0.2\"", "p.toml:5:1", "comma"),
        ("\n\"10.0.0.1\"\n\"10.0.0.2\"", "p.toml:", "comma"),
        (
            "\"10.0.0.1\", \u{201c}10.0.0.2\u{201d}",
            "p.toml:3:22",
            "typographic",
        ),
        ("\"10.0.0.1\", { address = }", "p.toml:3:", ""),
    ] {
        for is_long in [true, false] {
            let text = file(block, "").replace("blok = 1\n", "");
            let messages = read(&text, is_long).unwrap_err();
            assert!(
                messages[0].starts_with(at) && messages[0].contains(what),
                "{block}: {messages:?}"
            );
        }
    }
}

#[test]
fn unterminated_array_is_the_only_error() {
    let text = "[[policy]]\nblock = [\n\"10.0.0.1\",\n\"10.0.0.2\",\n";
    let long = read(text, true).unwrap_err();
    assert_eq!(long.len(), 1, "{long:?}");
    assert!(long[0].contains("unclosed array"), "{long:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn long_file_is_read_as_the_parser_reads_it(
        tokens in proptest::collection::vec(prop_oneof![
            6 => (0..9_u8).prop_map(|i| format!("\"10.0.0.{i}\",")),
            2 => (0..9_u8).prop_map(|i| format!("'10.1.0.{i}'\n,")),
            2 => prop::sample::select(vec![
                "\n", "\r\n", " ", "\t", "# c\n", "# ] \" \n", "# \u{e4}\n",
                "{ address = \"10.2.0.1\", comment = \"]\" },", "{ address = \"10.2.0.2\" },",
                "{ addres = \"10.2.0.3\" },", "[\"10.2.0.4\"],", "5,", "\"10.2.0.\\u0035\",",
                "\"\"\"10.2.0.6\"\"\",", "\"\",", "\"nonsense\",", "\"10.3.0.1-10.3.0.4\",",
                "\"10.4.0.1/24\",",
            ]).prop_map(str::to_owned),
        ], 0..30),
        broken in prop::option::weighted(0.3, (0..30_usize, prop::sample::select(vec![
            ",", "\"", "'", "[", "]", "{", "}", "=", "\\", "\r", "\u{1}", "\u{7f}", "\"\"\"", "# \u{1}\n",
            "\u{feff}", "allow = [", "[[policy]]\n",
        ]))),
        last in prop::option::of(Just("\"10.9.9.9\"")),
    ) {
        let mut tokens = tokens;
        if let Some((at, token)) = broken {
            tokens.insert(at.min(tokens.len()), token.to_owned());
        }
        let block = tokens.concat() + last.unwrap_or_default();
        for text in [file(&block, "\"10.0.0.1\""), file("\"::1\",", &block)] {
            let text = text.replace("blok = 1\n", "");
            match (read(&text, false), read(&text, true)) {
                (Ok(whole), Ok(long)) => prop_assert_eq!(whole, long),
                (Err(whole), Err(long)) => {
                    // Of a long text only the first syntax error is reported.
                    if broken.is_none() {
                        prop_assert_eq!(whole, long);
                    } else {
                        prop_assert!(place(&long).is_some());
                    }
                }
                (whole, long) => prop_assert!(false, "{whole:?}\n{long:?}\n{text}"),
            }
        }
    }
}
