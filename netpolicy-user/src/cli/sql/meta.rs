//! The prompt's own commands.

/// The prompt's own commands, and what they do.
pub(super) const META: [(&str, &str); 6] = [
    ("\\d", "list the policies; \\d NAME shows one"),
    (
        "\\dialect",
        "show the dialect; \\dialect NAME sets it, \\dialect auto detects it from each statement",
    ),
    (
        "\\x",
        "switch expanded display, a line for each column, on or off",
    ),
    ("\\h", "this help; so does \\?"),
    ("\\?", "this help"),
    ("\\q", "quit; so does Ctrl-D"),
];

/// A command of the prompt itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meta {
    Quit,
    Help,
    Expanded,
    /// All, or the one of this name.
    Policies(Option<String>),
    /// To show or to set; `auto` is as written.
    Dialect(Option<String>),
    Unknown(String),
}

impl Meta {
    /// The command in a line at a statement's start; `None`: it is SQL.
    pub(super) fn of(line: &str) -> Option<Self> {
        let line = line.trim().trim_end_matches(';').trim_end();
        let (command, argument) = match line.split_once(char::is_whitespace) {
            Some((command, argument)) => (command, Some(argument.trim().to_owned())),
            None => (line, None),
        };
        Some(match (command, &argument) {
            ("\\q", None) => Self::Quit,
            ("\\h" | "\\?", None) => Self::Help,
            ("\\x", None) => Self::Expanded,
            ("\\d", _) => Self::Policies(argument),
            ("\\dialect", _) => Self::Dialect(argument),
            (command, _) if command.starts_with('\\') => Self::Unknown(command.to_owned()),
            // No statement begins so, and users try it.
            (word, None) => match word.to_ascii_lowercase().as_str() {
                "quit" | "exit" => Self::Quit,
                "help" => Self::Help,
                _ => return None,
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompt_commands_are_not_sent_as_sql() {
        for (line, meta) in [
            ("\\q", Some(Meta::Quit)),
            (" \\q; ", Some(Meta::Quit)),
            ("EXIT", Some(Meta::Quit)),
            ("quit;", Some(Meta::Quit)),
            ("\\?", Some(Meta::Help)),
            ("help", Some(Meta::Help)),
            ("\\d", Some(Meta::Policies(None))),
            (
                "\\d \"Head Office\"",
                Some(Meta::Policies(Some("\"Head Office\"".into()))),
            ),
            (
                "\\dialect  snowflake",
                Some(Meta::Dialect(Some("snowflake".into()))),
            ),
            ("\\x", Some(Meta::Expanded)),
            ("\\x y", Some(Meta::Unknown("\\x".into()))),
            ("\\q now", Some(Meta::Unknown("\\q".into()))),
            ("SHOW NETWORK POLICIES;", None),
            ("exit now", None),
            ("", None),
        ] {
            assert_eq!(Meta::of(line), meta, "{line}");
        }
        assert!(
            META.iter()
                .all(|(c, _)| !matches!(Meta::of(c), None | Some(Meta::Unknown(_))))
        );
    }
}
