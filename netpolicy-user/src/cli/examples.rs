//! Examples of each command, which its help and the reference show.

mod bans;
mod databases;
mod feed;
mod fleet;
mod integrations;
mod list;
mod policy;
mod sources;
mod upkeep;

use clap::Command;

/// Where examples begin in the text after a command's options.
const HEADING: &str = "Examples:";

/// Each command, by its words after `netpolicy`, and two command lines: those that no
/// other table has.
static EXAMPLES: [(&str, [&str; 2]); 20] = [
    (
        "",
        [
            "netpolicy policy create office --allow 203.0.113.0/24",
            "netpolicy explain 198.51.100.7 --port 5432",
        ],
    ),
    (
        "apply",
        [
            "netpolicy apply -f policy.toml --dry-run",
            "netpolicy apply -f policy.toml --if-revision 41 --confirm-within 60s",
        ],
    ),
    (
        "import",
        [
            "netpolicy import drop_v4.json --list bad-hosts --apply",
            "netpolicy import ipset.save --into bans --for 7d --by ipset",
        ],
    ),
    (
        "export",
        [
            "netpolicy export > policy.toml",
            "netpolicy export --revision 41 --dir earlier",
        ],
    ),
    (
        "sql",
        [
            "netpolicy sql --dialect snowflake -e \"SHOW NETWORK POLICIES\"",
            "netpolicy sql -f policies.sql --atomic --dry-run",
        ],
    ),
    (
        "confirm",
        ["netpolicy confirm", "netpolicy confirm --output json"],
    ),
    (
        "history",
        [
            "netpolicy history --policy office --since 7d",
            "netpolicy history --text office --after 120",
        ],
    ),
    (
        "rollback",
        [
            "netpolicy rollback 41 --dry-run",
            "netpolicy rollback 41 --confirm-within 60s",
        ],
    ),
    (
        "diff",
        [
            "netpolicy diff 40 41",
            "netpolicy diff -f policy.toml --exit-code",
        ],
    ),
    (
        "explain",
        [
            "netpolicy explain 198.51.100.7 2001:db8::7 --port postgres",
            "netpolicy explain 198.51.100.0/24 --port postgres --revision 41",
        ],
    ),
    (
        "find",
        [
            "netpolicy find 198.51.100.7",
            "netpolicy find 198.51.100.0/24 --output json",
        ],
    ),
    (
        "clients",
        [
            "netpolicy clients --service postgres",
            "netpolicy clients --denied --output json",
        ],
    ),
    (
        "bypass",
        [
            "netpolicy bypass grant 198.51.100.7 --minutes 30",
            "netpolicy bypass list",
        ],
    ),
    (
        "bypass grant",
        [
            "netpolicy bypass grant 198.51.100.7 --minutes 30",
            "netpolicy bypass grant 2001:db8:a::/64 --service postgres",
        ],
    ),
    (
        "bypass list",
        [
            "netpolicy bypass list",
            "netpolicy bypass list --output json",
        ],
    ),
    (
        "bypass revoke",
        [
            "netpolicy bypass revoke 198.51.100.7",
            "netpolicy bypass revoke 2001:db8:a::/64 --service postgres",
        ],
    ),
    (
        "grant",
        [
            "netpolicy grant create --to user:alice",
            "netpolicy grant attach --to group:dba --policy office",
        ],
    ),
    (
        "revoke",
        [
            "netpolicy revoke create --from user:alice",
            "netpolicy revoke attach --from group:dba --policy office",
        ],
    ),
    (
        "grants",
        ["netpolicy grants", "netpolicy grants --output json"],
    ),
    (
        "audit",
        [
            "netpolicy audit --limit 50",
            "netpolicy audit --text alice --output json",
        ],
    ),
];

/// All examples.
fn all() -> impl Iterator<Item = &'static (&'static str, [&'static str; 2])> {
    EXAMPLES
        .iter()
        .chain(&feed::FEED)
        .chain(&fleet::FLEET)
        .chain(&integrations::INTEGRATIONS)
        .chain(&list::LIST)
        .chain(&bans::BANS)
        .chain(&databases::DATABASES)
        .chain(&policy::POLICY)
        .chain(&sources::SOURCES)
        .chain(&upkeep::UPKEEP)
}

/// Puts the examples at the end of each command's help, after a note that it has already.
pub(super) fn add(command: Command) -> Command {
    of(command, "")
}

fn of(command: Command, path: &str) -> Command {
    let names: Vec<_> = command
        .get_subcommands()
        .map(|inner| inner.get_name().to_owned())
        .collect();
    let command = names.into_iter().fold(command, |command, name| {
        let inner = format!("{path} {name}");
        command.mut_subcommand(name, |command| of(command, inner.trim_start()))
    });
    let Some((_, lines)) = all().find(|(known, _)| *known == path) else {
        return command;
    };
    let note = command.get_after_help().map(|note| format!("{note}\n\n"));
    let lines = lines.map(|line| format!("  {line}"));
    let note = note.unwrap_or_default();
    command.after_help(format!("{note}{HEADING}\n{}", lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::usage;

    /// The words of a command line, up to a redirection.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (at, part) in line.split('"').enumerate() {
            if at % 2 == 1 {
                words.push(part.to_owned());
                continue;
            }
            for word in part.split_whitespace() {
                if word == ">" {
                    return words;
                }
                words.push(word.to_owned());
            }
        }
        words
    }

    /// The words that select a command.
    fn path(matches: &clap::ArgMatches) -> String {
        let mut path = Vec::new();
        let mut inner = matches.subcommand();
        while let Some((name, matches)) = inner {
            path.push(name);
            inner = matches.subcommand();
        }
        path.join(" ")
    }

    fn paths(command: &Command, path: &str, into: &mut Vec<String>) {
        into.push(path.to_owned());
        for inner in command.get_subcommands() {
            let path = format!("{path} {}", inner.get_name());
            paths(inner, path.trim_start(), into);
        }
    }

    #[test]
    fn every_command_s_help_ends_with_two_examples() {
        let command = usage::command();
        let mut known = Vec::new();
        paths(&command, "", &mut known);
        let mut listed: Vec<_> = all().map(|(path, _)| (*path).to_owned()).collect();
        known.sort();
        listed.sort();
        assert_eq!(known, listed);
        let alter = command.find_subcommand("policy").unwrap();
        let alter = alter.find_subcommand("alter").unwrap().clone();
        let help = alter.clone().render_help().to_string();
        assert!(
            help.ends_with(
                "Examples:\n  netpolicy policy alter office --add-allow 203.0.113.9 \
                 --confirm-within 60s\n  netpolicy policy alter abuse --add-block \
                 198.51.100.7 --for 4h --rule-comment scanner\n"
            ),
            "{help}"
        );
        assert!(
            alter
                .clone()
                .render_long_help()
                .to_string()
                .contains(HEADING)
        );
    }

    #[test]
    fn examples_are_command_lines_of_their_command() {
        for (command, lines) in all() {
            for line in lines {
                let matches = usage::command().try_get_matches_from(words(line));
                let path = path(&matches.unwrap_or_else(|error| panic!("{line}: {error}")));
                assert!(
                    path == *command
                        || path.starts_with(&format!("{command} "))
                        || command.is_empty(),
                    "'{line}' is an example of '{path}', not of '{command}'"
                );
            }
        }
    }

    #[test]
    fn examples_fit_into_the_help_s_width() {
        for (_, lines) in all() {
            for line in lines {
                assert!(line.len() + 2 <= 100, "{line}");
            }
        }
    }
}
