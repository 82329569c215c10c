//! Files that the user names, read with the user's own rights before anything is sent.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use super::end::RuleEnd;
use super::failure::{Exit, Failure};
use super::geo::{Geo, GeoRegion, databases};
use super::list_file::{ListTolerance, list_text};
use crate::config::Config;
use crate::model::change::{ListInput, SourceText};
use crate::model::counted;
use crate::output::one_line;

/// Most bytes of one file. The largest lists allowed have a few MiB.
const FILE_MAX: u64 = 256 * 1024 * 1024;
const FILE_MAX_TEXT: &str = "256 MiB";

/// What list files may hold that is otherwise refused.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ListFileOptions {
    /// Leave out bad lines of list files, with a warning
    #[arg(long)]
    pub(super) skip_invalid: bool,
    /// Accept a list file without any address as an empty list
    #[arg(long)]
    pub(super) allow_empty: bool,
    /// Database for country:XX and as:NUMBER, MaxMind's (.mmdb) or CSV; may be repeated
    /// [default: geo_databases of the configuration]
    #[arg(long, value_name = "FILE")]
    pub(super) geo: Vec<PathBuf>,
}

impl ListFileOptions {
    /// As list files are read.
    pub(super) fn tolerance(&self) -> ListTolerance {
        ListTolerance {
            skip_invalid: self.skip_invalid,
            allow_empty: self.allow_empty,
        }
    }
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
    #[command(flatten)]
    end: RuleEnd,
}

impl RuleNote {
    /// Of entries of a list.
    pub(super) fn of(name: Option<String>, comment: Option<String>, end: RuleEnd) -> Self {
        Self {
            rule_name: name,
            rule_comment: comment,
            end,
        }
    }

    /// Refuses a name, a comment or an end where no rule is added that could have it.
    pub(super) fn check_added(&self, adds_rules: bool) -> Result<(), Failure> {
        let is_empty = self.rule_name.is_none() && self.rule_comment.is_none();
        if adds_rules || (is_empty && self.end.at().is_none()) {
            return Ok(());
        }
        let failure =
            Failure::new("--rule-name, --rule-comment, --for and --until: no rule is added");
        Err(Failure {
            exit: Exit::Usage,
            ..failure.hint(
                "they belong to the rules that the same command adds; --comment describes the policy",
            )
        })
    }

    /// The same rules with this name, comment and end.
    pub(super) fn on(&self, mut list: ListInput) -> ListInput {
        if !list.is_empty() {
            list.name.clone_from(&self.rule_name);
            list.comment.clone_from(&self.rule_comment);
            list.expires = self.end.at();
        }
        list
    }
}

/// Reads files, and remembers all that is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Input {
    stdin_was_read: bool,
    errors: Vec<String>,
    /// What the user should know of list files.
    notes: Vec<String>,
    geo: Geo,
}

impl Input {
    /// With databases of countries and autonomous systems: those named, else those configured.
    pub(super) fn with_databases(named: &[PathBuf], config: &Config) -> Self {
        Self {
            geo: Geo::new(databases(named, &config.geo_databases)),
            ..Self::default()
        }
    }

    /// The text of a file, named as the user named it; `-` is standard input. An
    /// unreadable one is remembered, see [`Input::check`].
    pub(super) fn read(&mut self, path: &Path) -> SourceText {
        let name = path.display().to_string();
        self.read_as(name, path)
    }

    /// The same, under another name.
    pub(super) fn read_as(&mut self, name: String, path: &Path) -> SourceText {
        let shown = shown_name(path);
        let bytes = self.read_bytes(path);
        match bytes.and_then(|bytes| text_of(&shown, bytes)) {
            Ok(text) => SourceText { name, text },
            Err(why) => {
                self.errors.push(why);
                let text = String::new();
                SourceText { name, text }
            }
        }
    }

    /// The bytes of a file, and its name for messages.
    pub(super) fn bytes(&mut self, path: &Path) -> (String, Vec<u8>) {
        let bytes = self.read_bytes(path).unwrap_or_else(|why| {
            self.errors.push(why);
            Vec::new()
        });
        (shown_name(path), bytes)
    }

    /// A list file, which may be in another program's format, under the name by which it is
    /// referred to.
    pub(super) fn list_file(
        &mut self,
        name: String,
        path: &Path,
        tolerance: ListTolerance,
    ) -> SourceText {
        let shown = shown_name(path);
        let bytes = self.read_bytes(path).map_err(|why| vec![why]);
        match bytes.and_then(|bytes| list_text(&shown, bytes, tolerance)) {
            Ok(list) => {
                self.notes.extend(list.notes);
                let text = list.text;
                SourceText { name, text }
            }
            Err(why) => {
                self.errors.extend(why);
                let text = String::new();
                SourceText { name, text }
            }
        }
    }

    /// Resolves `country:XX` and `as:NUMBER` in a policy file; the lists that it then names.
    pub(super) fn resolve_regions(&mut self, file: &mut SourceText) -> Vec<SourceText> {
        let resolved = self.geo.resolve_file(file);
        self.noted(resolved).unwrap_or_default()
    }

    fn noted<T>(&mut self, found: Result<(T, Vec<String>), Vec<String>>) -> Option<T> {
        match found {
            Ok((found, notes)) => {
                self.notes.extend(notes);
                Some(found)
            }
            Err(errors) => {
                self.errors.extend(errors);
                None
            }
        }
    }

    /// A list from flags.
    pub(super) fn list(
        &mut self,
        items: Vec<String>,
        files: &[PathBuf],
        options: &ListFileOptions,
    ) -> ListInput {
        let (mut plain, mut texts) = (Vec::new(), Vec::new());
        for item in items {
            let item = item.trim();
            match GeoRegion::read(item) {
                None => plain.push(item.to_owned()),
                Some(Ok(region)) => {
                    let list = self.geo.list(&region);
                    texts.extend(self.noted(list));
                }
                Some(Err(error)) => self.errors.push(error),
            }
        }
        for path in files {
            let name = path.display().to_string();
            texts.push(self.list_file(name, path, options.tolerance()));
        }
        ListInput {
            items: plain,
            files: texts,
            skip_invalid: options.skip_invalid,
            allow_empty: options.allow_empty,
            ..ListInput::default()
        }
    }

    /// Whether all files so far could be read. If so, says on standard error what the user
    /// should know of them.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        if self.errors.is_empty() {
            let mut err = io::stderr().lock();
            for note in self.notes.drain(..) {
                // Notes must not keep the change from being made.
                let _ = writeln!(err, "note: {}", one_line(&note));
            }
            return Ok(());
        }
        Err(Failure {
            errors: self.errors.clone(),
            ..Failure::default()
        })
    }

    fn read_bytes(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        match path == Path::new("-") {
            true => self.read_stdin(),
            false => bytes_of(path),
        }
    }

    fn read_stdin(&mut self) -> Result<Vec<u8>, String> {
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
        read_all("standard input", stdin.lock())
    }
}

fn shown_name(path: &Path) -> String {
    match path == Path::new("-") {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

/// The bytes of a file, which has a size within bounds.
pub(super) fn bytes_of(path: &Path) -> Result<Vec<u8>, String> {
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
    read_all(&name.to_string(), file)
}

/// Reads it all, but not more than is allowed: pipes and devices have no length beforehand.
fn read_all(name: &str, from: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    from.take(FILE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("{name}: cannot be read: {e}"))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(too_long(name, None));
    }
    Ok(bytes)
}

/// The text of a file.
pub(super) fn text_of(name: &str, bytes: Vec<u8>) -> Result<String, String> {
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
        let error = read_all("pipe", io::repeat(b'1')).unwrap_err();
        assert_eq!(error, "pipe: is too long: at most 256 MiB were expected");
    }

    #[test]
    fn errors_of_all_files_are_reported() {
        let mut input = Input::default();
        let files = ["/nonexistent/a".into(), "/nonexistent/b".into()];
        let list = input.list(
            vec![" 10.0.0.1 ".into()],
            &files,
            &ListFileOptions::default(),
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
