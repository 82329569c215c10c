//! [`State`] to a policy file that names list files, and these files.

use std::fmt::Write;

use super::export::{Section, SectionKey, SectionPart, sections};
use crate::model::{Name, Rule, RuleList, SourceText, State};

/// Lists with fewer rules stand in the policy file itself.
const LONG: usize = 20;

/// The policy file of [`export`](super::export), in which long lists are files of their own, and
/// those files by the names that it has for them. Read again together, they give the same state.
#[must_use]
pub fn export_files(state: &State) -> (String, Vec<SourceText>) {
    let mut text = String::new();
    let mut files = Vec::new();
    for (number, section) in sections(state).into_iter().enumerate() {
        for part in &section.parts {
            let mut line = |line: &str| {
                text.push_str(line);
                text.push('\n');
            };
            match part {
                SectionPart::Rules(key, before, list) if fits_a_file(list) => {
                    let name = file_name(&section, number, key);
                    if !before.is_empty() {
                        line(&format!("{key} = ["));
                        before.iter().for_each(|before| line(before));
                        line("]");
                    }
                    let key = match *key {
                        "entries" => "file".to_owned(),
                        key => format!("{key}_file"),
                    };
                    line(&format!("{key} = \"{name}\""));
                    files.push(SourceText {
                        name,
                        text: list_file(list),
                    });
                }
                part => part.lines(line),
            }
        }
    }
    (text, files)
}

/// Whether a list is long, and a list file says all of it.
fn fits_a_file(list: &RuleList) -> bool {
    list.len() >= LONG && list.iter().all(fits_a_line)
}

/// Whether a line of a list file says all of a rule.
fn fits_a_line(rule: &Rule) -> bool {
    let is_written = |comment: &str| {
        let begins = comment.starts_with(['#', ';']);
        comment == comment.trim()
            && !comment.is_empty()
            && !begins
            && !comment.contains(char::is_control)
    };
    rule.name().is_none() && rule.expires().is_none() && rule.comment().is_none_or(is_written)
}

fn list_file(list: &RuleList) -> String {
    let mut text = String::new();
    for rule in list.iter() {
        // Writing to a string does not fail.
        let _ = match rule.comment() {
            None => writeln!(text, "{}", rule.text()),
            Some(comment) => writeln!(text, "{}  # {comment}", rule.text()),
        };
    }
    text
}

/// "list-bad-hosts.txt", "policy-office-block.txt". A name that is no file name everywhere is left
/// out for the number of the table.
fn file_name(section: &Section<'_>, number: usize, key: &str) -> String {
    let plain = |name: &Name| {
        let text = name.as_str();
        let is_plain = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
            && !text.starts_with(|c: char| c.is_ascii_digit());
        match is_plain {
            true => text.to_owned(),
            false => number.to_string(),
        }
    };
    match section.key {
        SectionKey::List(name) => format!("list-{}.txt", plain(name)),
        SectionKey::Policy(name) => format!("policy-{}-{key}.txt", plain(name)),
        _ => format!("{number}-{key}.txt"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::arbitrary::{cx, state};
    use crate::model::file::{export, parse};
    use crate::model::{Rule, plan};

    fn policy_file(text: String) -> SourceText {
        SourceText {
            name: "policy.toml".into(),
            text,
        }
    }

    fn read(text: String, files: &[SourceText]) -> State {
        parse(&policy_file(text), files, false, &cx())
            .unwrap()
            .state
    }

    /// A state whose lists are as long as those that get files.
    fn lengthened(mut state: State) -> State {
        for policy in &mut state.policies {
            let more = (0..30_u32).map(|i| Rule {
                net: ipnet::Ipv4Net::from(std::net::Ipv4Addr::from(0xcb00_7100 + i)).into(),
                source: 0,
                line: 0,
                note: None,
            });
            let is_new = |rule: &Rule| policy.block.iter().all(|known| known.net != rule.net);
            let more: Vec<_> = more.filter(is_new).collect();
            let rules = policy.block.iter().cloned().chain(more).collect();
            policy.block = RuleList::from_parts(rules, vec!["--block".into()]);
        }
        state
    }

    proptest! {
        #[test]
        fn files_read_back_as_the_same_state(state in state()) {
            let state = lengthened(state);
            let (text, files) = export_files(&state);
            let again = read(text, &files);
            let whole = read(export(&state), &[]);
            prop_assert_eq!(plan(&whole, &again), Vec::new());
        }
    }

    #[test]
    fn long_lists_are_files_and_what_no_file_says_stands_in_the_policy_file() {
        let hosts = |ends: &str| {
            let hosts = (0..30)
                .map(|i| format!("{{ address = \"192.0.2.{i}\", comment = \"c {i}\"{ends} }}"));
            hosts.collect::<Vec<_>>().join(", ")
        };
        let (plain, ends) = (hosts(""), hosts(", expires = \"2030-01-31T12:00:00Z\""));
        let state = read(
            format!(
                "[[list]]\nname = \"bad-hosts\"\nentries = [{plain}]\n\
                 [[policy]]\nname = \"office\"\nallow = [\"@bad-hosts\", {plain}]\nblock = [{ends}]\n"
            ),
            &[],
        );
        let (text, files) = export_files(&state);
        let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["list-bad-hosts.txt", "policy-office-allow.txt"]);
        assert!(
            files[0]
                .text
                .starts_with("192.0.2.0  # c 0\n192.0.2.1  # c 1\n")
        );
        assert!(text.contains("\nfile = \"list-bad-hosts.txt\"\n"), "{text}");
        assert!(
            text.contains(
                "allow = [\n  \"@bad-hosts\",\n]\nallow_file = \"policy-office-allow.txt\"\n"
            ),
            "{text}"
        );
        assert!(
            text.contains("expires = \"2030-01-31T12:00:00Z\""),
            "{text}"
        );
        assert_eq!(plan(&state, &read(text, &files)), Vec::new());
    }
}
