//! Words that comments and identifiers do without, and types that share a name.

use std::collections::{BTreeMap, BTreeSet};

use netpolicy_tests::binary::workspace;
use netpolicy_tests::wording::{Word, words};
use syn::visit::{self, Visit};

use super::{sources, user_sources};

/// Crates of the workspace.
const CRATES: [&str; 5] = [
    "netpolicy-common",
    "netpolicy-ebpf",
    "netpolicy-user",
    "tests",
    "xtask",
];

/// Words that are not written, and what is written instead. Words with a hyphen are a compound,
/// which identifiers join with an underscore or a capital letter.
const REPLACED: [(&str, &str); 39] = [
    ("nobody", "no user, no process, no source"),
    ("everybody", "every source, every user"),
    ("somebody", "a user, a process"),
    ("anybody", "any user, any process"),
    ("he", "the owner, the caller, they"),
    ("him", "the owner, the caller, them"),
    ("his", "the owner's, the caller's, their"),
    ("she", "the owner, the caller, they"),
    ("himself", "the operator"),
    ("herself", "the operator"),
    ("whom", "which source, which client"),
    ("asker", "requester, caller"),
    ("seat", "the operator's origin"),
    ("anew", "again; reinstalled, rebuilt, reloaded"),
    ("beside", "next to, with, concurrently with"),
    ("besides", "apart from, in addition to"),
    ("hardly", "very few, likely mistake"),
    ("rubbish", "unreferenced, inconsistent"),
    ("brake", "kill switch"),
    ("lapse", "expire"),
    ("lapses", "expires"),
    ("lapsed", "expired"),
    ("lapsing", "expiring"),
    ("unusual", "slow path"),
    ("forgotten", "opaque, removed"),
    ("stand-in", "overlay page"),
    ("stand-ins", "overlay pages"),
    ("held back", "rate-limited"),
    ("take back", "roll back"),
    ("takes back", "rolls back"),
    ("taken back", "rolled back"),
    ("took back", "rolled back"),
    ("all the same", "anyway, nevertheless"),
    ("of what is", "of, with a noun"),
    ("such as has", "with"),
    ("such as had", "with"),
    ("for people", "description"),
    ("in thought", "simulated"),
    ("no one", "no user, no process"),
];

/// Where a word is written after all: the word, the file or directory, and why.
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "nobody",
    "tests/tests/agent_faults.rs",
    "the OS user of that name",
)];

/// Types of `netpolicy-user` that share a name, and why.
const SHARED: [(&str, &str); 1] = [(
    "Mode",
    "`netdev` knows no model: there it is the mode of an XDP attachment",
)];

#[test]
fn comments_and_identifiers_use_the_fields_words() {
    let mut wrong = Vec::new();
    let mut needed = BTreeSet::new();
    for part in CRATES {
        for (file, text) in sources(&workspace().join(part)) {
            let name = file.strip_prefix(workspace()).unwrap();
            let words = words(&text);
            for (replaced, instead) in REPLACED {
                for line in lines_with(&words, replaced) {
                    let exception = EXCEPTIONS
                        .iter()
                        .position(|(word, place, _)| *word == replaced && name.starts_with(place));
                    match exception {
                        Some(exception) => _ = needed.insert(exception),
                        None => wrong.push(format!(
                            "{}:{line}: '{replaced}'; write: {instead}",
                            name.display()
                        )),
                    }
                }
            }
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    for (exception, (word, place, _)) in EXCEPTIONS.iter().enumerate() {
        assert!(
            needed.contains(&exception),
            "{place} no longer uses '{word}'"
        );
    }
}

#[test]
fn types_of_one_crate_have_names_of_their_own() {
    let mut defined: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in user_sources() {
        for of_type in types_in(&text) {
            defined.entry(of_type).or_default().insert(name.clone());
        }
    }
    defined.retain(|_, files| files.len() > 1);
    let is_allowed = |name: &&String| SHARED.iter().any(|(shared, _)| shared == name);
    let wrong: Vec<_> = defined.keys().filter(|name| !is_allowed(name)).collect();
    assert!(wrong.is_empty(), "{wrong:?}: {defined:?}");
    for (shared, _) in SHARED {
        assert!(
            defined.contains_key(shared),
            "{shared} is no longer defined twice"
        );
    }
}

#[test]
fn replaced_words_and_types_are_found_in_every_form() {
    let hit = |text: &str, word| lines_with(&words(text), word);
    assert_eq!(hit("// A\n// Nobody.", "nobody"), [2]);
    assert_eq!(hit("struct Nobody;", "nobody"), [1]);
    assert_eq!(hit("fn take_back_all() {}\nTakeBack", "take back"), [1, 2]);
    assert_eq!(hit("// taken\n/// back", "taken back"), [1]);
    assert_eq!(hit("// to stand in; x\nstand_in", "stand-in"), [2]);
    assert!(hit("let x = \"nobody\";", "nobody").is_empty());
    assert!(hit("// antihero, Hero", "he").is_empty());
    let found = types_in(
        "pub struct A; enum B {} type C = u8; trait D {} fn f() { struct E; } mod m { union F { a: u8 } }
         impl Iterator for A { type Item = u8; } struct G<T>(T);",
    );
    assert_eq!(found.join(""), "ABCDEFG");
}

/// The lines in which a word begins, or a compound, or words in a row.
fn lines_with(words: &[Word], replaced: &str) -> Vec<usize> {
    let sought: Vec<_> = replaced.split([' ', '-']).collect();
    let is_compound = replaced.contains('-');
    let hits = words.windows(sought.len()).filter(|row| {
        let is_same = row
            .iter()
            .zip(&sought)
            .all(|(word, text)| word.text == *text);
        is_same && (!is_compound || row.iter().skip(1).all(|word| word.is_joined))
    });
    hits.filter_map(|row| row.first().map(|word| word.line))
        .collect()
}

/// The names of the types and traits that a file defines.
fn types_in(text: &str) -> Vec<String> {
    struct Types(Vec<String>);
    impl<'ast> Visit<'ast> for Types {
        fn visit_item(&mut self, item: &'ast syn::Item) {
            let name = match item {
                syn::Item::Enum(item) => Some(&item.ident),
                syn::Item::Struct(item) => Some(&item.ident),
                syn::Item::Trait(item) => Some(&item.ident),
                syn::Item::Type(item) => Some(&item.ident),
                syn::Item::Union(item) => Some(&item.ident),
                _ => None,
            };
            self.0.extend(name.map(ToString::to_string));
            visit::visit_item(self, item);
        }
    }
    let mut types = Types(Vec::new());
    types.visit_file(&syn::parse_file(text).unwrap());
    types.0
}
