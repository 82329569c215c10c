//! Files that the user names, read with the user's own rights before anything is sent.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use super::failure::{Exit, Failure};
use crate::model::change::{ListInput, SourceText};
use crate::model::counted;

/// Most bytes of one file. The largest lists allowed have a few MiB.
const FILE_MAX: u64 = 256 * 1024 * 1024;
const FILE_MAX_TEXT: &str = "256 MiB";

/// What list files may hold that is otherwise refused.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct ListFileOptions {
    /// Leave out bad lines of list files, with a warning
    #[arg(long)]
    pub(super) skip_invalid: bool,
    /// Accept a list file without any address as an empty list
    #[arg(long)]
    pub(super) allow_empty: bool,
}

/// What rules that are added are called.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct RuleNote {
    /// A name for each rule that is added
    #[arg(long, value_name = "NAME")]
    rule_name: Option<String>,
    /// A comment for each rule that is added
    #[arg(long, value_name = "TEXT")]
    rule_comment: Option<String>,
    /// Rules have no end: refused, with what has one.
    #[arg(long = "for", value_name = "TIME", hide = true)]
    until: Option<String>,
}

impl RuleNote {
    /// Of entries of a list.
    pub(super) fn of(name: Option<String>, comment: Option<String>, until: Option<String>) -> Self {
        Self {
            rule_name: name,
            rule_comment: comment,
            until,
        }
    }

    /// Refuses what rules do not have.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let Some(until) = &self.until else {
            return Ok(());
        };
        let failure = Failure::new("--for: a rule has no end; it stays until it is removed");
        Err(Failure {
            exit: Exit::Usage,
            ..failure.hint(format!(
                "`netpolicy ban SRC --for {until}` denies a source for a time, `netpolicy bypass \
                 grant SRC --minutes N` exempts one"
            ))
        })
    }

    /// The same rules with these names and comments.
    pub(super) fn on(&self, mut list: ListInput) -> ListInput {
        if !list.is_empty() {
            list.name.clone_from(&self.rule_name);
            list.comment.clone_from(&self.rule_comment);
        }
        list
    }
}

/// Reads files, and remembers all that is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Input {
    stdin_was_read: bool,
    errors: Vec<String>,
}

impl Input {
    /// The text of a file, named as the user named it; `-` is standard input. An
    /// unreadable one is remembered, see [`Input::check`].
    pub(super) fn read(&mut self, path: &Path) -> SourceText {
        let name = path.display().to_string();
        self.read_as(name, path)
    }

    /// The same, under another name.
    pub(super) fn read_as(&mut self, name: String, path: &Path) -> SourceText {
        let text = if path == Path::new("-") {
            self.read_stdin()
        } else {
            read_file(path)
        };
        match text {
            Ok(text) => SourceText { name, text },
            Err(why) => {
                self.errors.push(why);
                SourceText {
                    name,
                    text: String::new(),
                }
            }
        }
    }

    /// A list from flags.
    pub(super) fn list(
        &mut self,
        items: Vec<String>,
        files: &[PathBuf],
        options: ListFileOptions,
    ) -> ListInput {
        ListInput {
            items: items.into_iter().map(|i| i.trim().to_owned()).collect(),
            files: files.iter().map(|f| self.read(f)).collect(),
            skip_invalid: options.skip_invalid,
            allow_empty: options.allow_empty,
            ..ListInput::default()
        }
    }

    /// Whether all files so far could be read.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(Failure {
            errors: self.errors.clone(),
            ..Failure::default()
        })
    }

    fn read_stdin(&mut self) -> Result<String, String> {
        if std::mem::replace(&mut self.stdin_was_read, true) {
            return Err("standard input (-) can be read only once: it was named twice".into());
        }
        let stdin = io::stdin();
        if stdin.is_terminal() {
            // Otherwise it looks as if the command hung.
            let _ = writeln!(
                io::stderr(),
                "reading from the terminal; Ctrl-D ends the text"
            );
        }
        read_text("standard input", stdin.lock())
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let name = path.display();
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => format!("{name}: there is no such file"),
        io::ErrorKind::PermissionDenied => format!("{name}: no permission to read it"),
        _ => format!("{name}: cannot be read: {e}"),
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(format!("{name}: is a directory, a file was expected"));
    }
    if metadata.len() > FILE_MAX {
        return Err(too_long(&name.to_string(), Some(metadata.len())));
    }
    read_text(&name.to_string(), file)
}

/// Reads it all, but not more than is allowed: pipes and devices have no length beforehand.
fn read_text(name: &str, from: impl Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    from.take(FILE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("{name}: cannot be read: {e}"))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(too_long(name, None));
    }
    String::from_utf8(bytes).map_err(|e| {
        let offset = e.utf8_error().valid_up_to();
        let (good, bad) = e.as_bytes().split_at(offset);
        let good = String::from_utf8_lossy(good);
        let good = good.trim_start_matches('\u{feff}');
        let line = good.matches('\n').count() + 1;
        let column = good.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let byte = bad.first().copied().unwrap_or_default();
        format!(
            "{name}:{line}:{column}: is not text: byte 0x{byte:02x} at offset {offset} is not valid UTF-8"
        )
    })
}

fn too_long(name: &str, bytes: Option<u64>) -> String {
    let has = bytes.map_or_else(String::new, |n| {
        format!(" ({})", counted(n, "byte", "bytes"))
    });
    format!("{name}: is too long{has}: at most {FILE_MAX_TEXT} were expected")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> Result<String, String> {
        let mut input = Input::default();
        let source = input.read(path);
        match input.check() {
            Ok(()) => Ok(source.text),
            Err(failure) => Err(failure.to_string()),
        }
    }

    #[test]
    fn unreadable_files_are_reported_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.txt");
        assert_eq!(
            read(&path).unwrap_err(),
            format!("{}: there is no such file", path.display())
        );
        assert_eq!(
            read(dir.path()).unwrap_err(),
            format!(
                "{}: is a directory, a file was expected",
                dir.path().display()
            )
        );
        std::fs::write(&path, b"10.0.0.1\n\xc3\xa40.0.\xff").unwrap();
        assert_eq!(
            read(&path).unwrap_err(),
            format!(
                "{}:2:6: is not text: byte 0xff at offset 15 is not valid UTF-8",
                path.display()
            )
        );
        std::fs::write(&path, "10.0.0.1\n").unwrap();
        assert_eq!(read(&path).unwrap(), "10.0.0.1\n");
    }

    #[test]
    fn file_over_the_limit_is_refused_before_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("noise");
        // Sparse: needs no room.
        File::create(&path).unwrap().set_len(FILE_MAX + 1).unwrap();
        assert_eq!(
            read(&path).unwrap_err(),
            format!(
                "{}: is too long (268435457 bytes): at most 256 MiB were expected",
                path.display()
            )
        );
    }

    #[test]
    fn stream_over_the_limit_is_refused() {
        let error = read_text("pipe", io::repeat(b'1')).unwrap_err();
        assert_eq!(error, "pipe: is too long: at most 256 MiB were expected");
    }

    #[test]
    fn errors_of_all_files_are_reported() {
        let mut input = Input::default();
        let files = ["/nonexistent/a".into(), "/nonexistent/b".into()];
        let list = input.list(
            vec![" 10.0.0.1 ".into()],
            &files,
            ListFileOptions::default(),
        );
        assert_eq!(list.items, ["10.0.0.1"]);
        assert_eq!(
            input.check().unwrap_err().errors,
            [
                "/nonexistent/a: there is no such file",
                "/nonexistent/b: there is no such file"
            ]
        );
    }

    #[test]
    fn standard_input_is_read_only_once() {
        let mut input = Input {
            stdin_was_read: true,
            ..Input::default()
        };
        input.read(Path::new("-"));
        assert_eq!(
            input.check().unwrap_err().to_string(),
            "standard input (-) can be read only once: it was named twice"
        );
    }
}
