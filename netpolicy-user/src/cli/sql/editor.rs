//! The prompt's line editor and its history.
//!
//! Knows nothing of statements but what [`Names`] completes.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{ColorMode, CompletionType, Config, Context, Helper};

use super::meta::{META, Meta};
use super::names::Names;
use crate::sql::Dialect;

/// Entries of the history.
const REMEMBERED: usize = 1000;
/// Longest entry, in bytes: longer ones are pasted, and are found in their files.
const LONGEST: usize = 16 * 1024;

/// What the user did at the prompt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PromptInput {
    /// Typed a line, or pasted several.
    Text(String),
    /// Ctrl-C: forget what was begun.
    Cleared,
    /// Ctrl-D: the end.
    Ended,
}

/// What a line is completed by.
#[derive(Clone, Debug, Default)]
pub(super) struct Guide {
    /// What the agent has.
    pub(super) names: Names,
    /// The dialect of the line.
    pub(super) dialect: Option<Dialect>,
    /// The lines of the statement before it.
    pub(super) before: String,
    /// Whether hints are shown: only a colour distinguishes them from what was typed.
    pub(super) has_hints: bool,
}

/// Reads lines from the terminal.
pub(super) struct Editor {
    /// `None`: lost to a panic while it read.
    inner: Option<rustyline::Editor<Guide, FileHistory>>,
    /// `None`: no history is kept.
    history: Option<PathBuf>,
}

impl Editor {
    /// An editor with its history in this file, which need not be there.
    pub(super) fn open(history: Option<PathBuf>, colour: bool) -> rustyline::Result<Self> {
        let config = Config::builder()
            .max_history_size(REMEMBERED)?
            .history_ignore_dups(true)?
            .auto_add_history(false)
            .completion_type(CompletionType::List)
            .color_mode(if colour {
                ColorMode::Enabled
            } else {
                ColorMode::Disabled
            })
            .build();
        let mut inner = rustyline::Editor::<Guide, _>::with_config(config)?;
        if let Some(path) = &history {
            // A damaged or missing one is started empty.
            let _ = inner.load_history(path);
        }
        Ok(Self {
            inner: Some(inner),
            history,
        })
    }

    /// Reads a line. Other tasks go on meanwhile.
    pub(super) async fn read(
        &mut self,
        prompt: String,
        guide: Guide,
    ) -> anyhow::Result<PromptInput> {
        let lost = || anyhow::anyhow!("the line editor is lost");
        let mut inner = self.inner.take().ok_or_else(lost)?;
        let (inner, line) = tokio::task::spawn_blocking(move || {
            inner.set_helper(Some(guide));
            let line = inner.readline(&prompt);
            (inner, line)
        })
        .await?;
        self.inner = Some(inner);
        match line {
            Ok(line) => Ok(PromptInput::Text(line)),
            Err(ReadlineError::Interrupted) => Ok(PromptInput::Cleared),
            Err(ReadlineError::Eof) => Ok(PromptInput::Ended),
            Err(error) => Err(anyhow::Error::from(error).context("the terminal cannot be read")),
        }
    }

    /// Adds an entry to the history and its file. The first time that it cannot be
    /// written says why; none is kept from then on.
    pub(super) fn remember(&mut self, entry: &str) -> Result<(), String> {
        let Some(inner) = self.inner.as_mut().filter(|_| entry.len() <= LONGEST) else {
            return Ok(());
        };
        let added = inner.add_history_entry(entry);
        let Some(path) = self.history.clone().filter(|_| added.is_ok()) else {
            return Ok(());
        };
        let written = make_parent(&path)
            .map_err(ReadlineError::from)
            .and_then(|()| inner.append_history(&path));
        written.map_err(|error| {
            let why = format!("no history is kept: {}: {error}", path.display());
            self.history = None;
            why
        })
    }
}

/// The history's file, by the XDG base directory specification
/// (<https://specifications.freedesktop.org/basedir-spec/latest/>): a relative
/// `XDG_STATE_HOME` counts as none. `None`: there is no home.
pub(super) fn history_file(
    state_home: Option<OsString>,
    home: Option<OsString>,
) -> Option<PathBuf> {
    let absolute = |path: Option<OsString>| path.map(PathBuf::from).filter(|p| p.is_absolute());
    let state = absolute(state_home).or_else(|| Some(absolute(home)?.join(".local/state")))?;
    Some(state.join("netpolicy/sql_history"))
}

fn make_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent),
        None => Ok(()),
    }
}

impl Guide {
    /// What can stand at the end of a line: where in the line that begins, and how it
    /// is written.
    fn candidates(&self, line: &str) -> (usize, Vec<String>) {
        if self.before.is_empty() && line.starts_with('\\') {
            return self.meta(line);
        }
        let text = format!("{}{line}", self.before);
        let (start, words) = self.names.complete(&text, self.dialect);
        match start.checked_sub(self.before.len()) {
            Some(start) => (start, words),
            None => (line.len(), Vec::new()),
        }
    }

    fn meta(&self, line: &str) -> (usize, Vec<String>) {
        let Some((command, argument)) = line.split_once(' ') else {
            let known = META.iter().map(|(command, _)| *command);
            let begun = known.filter(|command| command.starts_with(line));
            return (0, begun.map(str::to_owned).collect());
        };
        let start = line.len() - argument.len();
        let mut words = match Meta::of(command) {
            Some(Meta::Policies(_)) => self.names.policies.clone(),
            Some(Meta::Dialect(_)) => {
                let names = Dialect::ALL.map(Dialect::as_str);
                names
                    .iter()
                    .chain(&["auto"])
                    .map(|n| (*n).to_owned())
                    .collect()
            }
            _ => Vec::new(),
        };
        words.retain(|word| word.starts_with(argument));
        (start, words)
    }
}

impl Completer for Guide {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, words) = self.candidates(line.get(..pos).unwrap_or_default());
        let pairs = words.into_iter().map(|word| Pair {
            replacement: format!("{word} "),
            display: word,
        });
        Ok((start, pairs.collect()))
    }
}

impl Hinter for Guide {
    type Hint = String;

    /// The rest of a word that can only be one.
    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<String> {
        if !self.has_hints || pos < line.len() || line.is_empty() {
            return None;
        }
        let (start, words) = self.candidates(line);
        let begun = line.get(start..).filter(|begun| !begun.is_empty())?;
        match words.as_slice() {
            [word] => word
                .get(begun.len()..)
                .filter(|rest| !rest.is_empty())
                .map(str::to_owned),
            _ => None,
        }
    }
}

impl Highlighter for Guide {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        format!("\x1b[2m{hint}\x1b[0m").into()
    }
}

impl Validator for Guide {}
impl Helper for Guide {}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn guide() -> Guide {
        Guide {
            names: Names {
                policies: vec!["office".into()],
                lists: Vec::new(),
                services: Vec::new(),
            },
            dialect: Some(Dialect::Lakehouse),
            before: String::new(),
            has_hints: true,
        }
    }

    #[test]
    fn completion_continues_statement_of_earlier_lines() {
        let mut guide = guide();
        assert_eq!(guide.candidates("alter net"), (6, vec!["network".into()]));
        guide.before = "ALTER NETWORK POLICY\n".into();
        assert_eq!(guide.candidates("of"), (0, vec!["office".into()]));
        guide.before = "ALTER NETWORK POLICY office SET ALLOWED_IP_LIST = ('a\n".into();
        assert_eq!(guide.candidates("b"), (1, Vec::new()));
    }

    #[test]
    fn prompt_commands_are_completed() {
        let guide = guide();
        assert_eq!(guide.candidates("\\d").1, ["\\d", "\\dialect"]);
        assert_eq!(
            guide.candidates("\\dialect ma"),
            (9, vec!["materialize".into()])
        );
        assert_eq!(guide.candidates("\\d o"), (3, vec!["office".into()]));
        assert_eq!(guide.candidates("\\q x").1, [""; 0]);
    }

    #[test]
    fn hint_is_the_rest_of_the_only_completion() {
        let guide = guide();
        let history = FileHistory::new();
        let context = Context::new(&history);
        assert_eq!(guide.hint("ALT", 3, &context).as_deref(), Some("ER"));
        assert_eq!(guide.hint("D", 1, &context), None, "DESC or DROP");
        assert_eq!(guide.hint("", 0, &context), None);
        assert_eq!(guide.hint("ALT", 1, &context), None, "within the line");
        let plain = Guide {
            has_hints: false,
            ..guide
        };
        assert_eq!(plain.hint("ALT", 3, &context), None);
    }

    #[test]
    fn history_is_kept_after_the_prompt_with_mode_0600() {
        let dir = tempfile::tempdir().unwrap();
        let path = history_file(Some(dir.path().join("state").into()), None).unwrap();
        let mut editor = Editor::open(Some(path.clone()), false).unwrap();
        editor.remember("DESC NETWORK POLICY\n  office;").unwrap();
        let mut editor = Editor::open(Some(path.clone()), false).unwrap();
        editor.remember("\\d").unwrap();
        editor.remember(&"x".repeat(LONGEST + 1)).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        let editor = Editor::open(Some(path), false).unwrap();
        let history = editor.inner.as_ref().unwrap().history();
        let entries: Vec<_> = history.iter().map(String::as_str).collect();
        assert_eq!(entries, ["DESC NETWORK POLICY\n  office;", "\\d"]);
    }

    #[test]
    fn unwritable_history_is_reported_once() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("netpolicy"), "in the way").unwrap();
        let path = history_file(Some(dir.path().into()), None).unwrap();
        let mut editor = Editor::open(Some(path.clone()), false).unwrap();
        let why = editor.remember("a;").unwrap_err();
        let start = format!("no history is kept: {}: ", path.display());
        assert!(why.starts_with(&start), "{why}");
        assert_eq!(editor.remember("b;"), Ok(()));
    }

    #[test]
    fn history_is_in_the_user_s_state_directory() {
        let file = |state: Option<&str>, home: Option<&str>| {
            history_file(state.map(Into::into), home.map(Into::into))
        };
        let home = Some(PathBuf::from("/home/a/.local/state/netpolicy/sql_history"));
        assert_eq!(
            file(Some("/s"), Some("/h")),
            Some("/s/netpolicy/sql_history".into())
        );
        assert_eq!(file(None, Some("/home/a")), home);
        assert_eq!(file(Some("relative"), Some("/home/a")), home);
        assert_eq!(file(Some(""), None), None);
    }
}
