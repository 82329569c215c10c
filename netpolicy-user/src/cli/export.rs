//! `netpolicy export`.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::context::Context;
use super::failure::{Exit, Failure, model_failure};
use crate::model::change::SourceText;
use crate::model::{ChangeContext, Limits, counted, file};
use crate::output::{Format, write_json};

/// Lines of a policy file whose lists are better files of their own.
const LONG: usize = 1_000;

/// The policy file in a directory.
const POLICY_FILE: &str = "policy.toml";

#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// A past revision instead of the desired state
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
    /// Write policy.toml into this directory, with long lists as files that it names
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Write the content of lists into the policy file, as is done without --dir, and say nothing
    /// about long ones
    #[arg(long, conflicts_with = "dir")]
    inline: bool,
}

/// The policy file as it is; with `--output json`, as one JSON string.
pub(super) async fn run(args: &ExportArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let text = cx.client.export(args.revision).await?;
    if let Some(dir) = &args.dir {
        return into_dir(text, dir, cx);
    }
    match cx.options.format {
        Format::Table => cx.out.write_all(text.as_bytes())?,
        Format::Json => write_json(&text, cx.out)?,
    }
    let lines = text.lines().count();
    if !args.inline && lines >= LONG {
        cx.note(&format!(
            "{lines} lines, with the content of all lists; --dir DIR writes long lists as files \
             that the policy file names, --inline leaves out this note"
        ))?;
    }
    Ok(Exit::Done)
}

/// Writes the policy file and its list files.
fn into_dir(text: String, dir: &Path, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let whole = SourceText {
        name: POLICY_FILE.to_owned(),
        text,
    };
    let now = ChangeContext {
        now: cx.options.now,
        actor: "",
        // What the agent has, it may have.
        limits: Limits {
            policies: usize::MAX,
            rules_per_list: usize::MAX,
        },
        force: true,
    };
    let state = file::parse(&whole, &[], false, &now).map_err(|errors| model_failure(&errors))?;
    let (text, mut files) = file::export_files(&state.state);
    let lists = files.len();
    // Last: it names the others.
    files.push(SourceText {
        name: POLICY_FILE.to_owned(),
        text,
    });
    // Also a symbolic link that leads nowhere is replaced.
    let is_there = |file: &SourceText| dir.join(&file.name).symlink_metadata().is_ok();
    let is_there = files.iter().any(is_there);
    if is_there {
        let dir = dir.display();
        cx.confirm(&format!("This replaces files in {dir}. Continue?"))?;
    }
    replace_files(dir, &files)?;
    let path = dir.join(POLICY_FILE);
    cx.note(&format!(
        "{} and {} written",
        path.display(),
        counted(lists, "list file", "list files")
    ))?;
    Ok(Exit::Done)
}

/// Writes files next to those that they replace, then puts all in place, the last one last. It
/// follows no symbolic link in the directory, and a full disk leaves the former files.
fn replace_files(dir: &Path, files: &[SourceText]) -> Result<(), Failure> {
    let mut drafts = Vec::with_capacity(files.len());
    let done = write_and_place(dir, files, &mut drafts);
    if done.is_err() {
        for draft in drafts {
            let _ = fs::remove_file(draft);
        }
    }
    done.map_err(|(path, error)| Failure::new(format!("{}: {error}", path.display())))
}

/// `drafts`: the files that were made so far.
fn write_and_place(
    dir: &Path,
    files: &[SourceText],
    drafts: &mut Vec<PathBuf>,
) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    fs::create_dir_all(dir).map_err(at(dir))?;
    for (number, file) in files.iter().enumerate() {
        let (path, id) = (dir.join(&file.name), std::process::id());
        let draft = dir.join(format!(".netpolicy-export.{id}.{number}"));
        let options = File::options().write(true).create_new(true).clone();
        let mut out = options.open(&draft).map_err(at(&draft))?;
        drafts.push(draft.clone());
        let former = path.symlink_metadata().ok().filter(fs::Metadata::is_file);
        let written = match former {
            Some(former) => out.set_permissions(former.permissions()),
            None => Ok(()),
        };
        let written = written.and_then(|()| out.write_all(file.text.as_bytes()));
        written.and_then(|()| out.sync_all()).map_err(at(&draft))?;
    }
    for (file, draft) in files.iter().zip(drafts.iter()) {
        let path = dir.join(&file.name);
        fs::rename(draft, &path).map_err(at(&path))?;
    }
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(at(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exported_file_replaces_a_symbolic_link_and_not_the_file_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let [outside, inside] = ["outside", "inside"].map(|name| dir.path().join(name));
        fs::write(&outside, "kept").unwrap();
        fs::create_dir(&inside).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join(POLICY_FILE)).unwrap();
        let file = |name: &str, text: &str| SourceText {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let files = [file("list.txt", "10.0.0.1\n"), file(POLICY_FILE, "new")];
        replace_files(&inside, &files).unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "kept");
        let text = |name: &str| fs::read_to_string(inside.join(name)).unwrap();
        assert_eq!(
            (&*text("list.txt"), &*text(POLICY_FILE)),
            ("10.0.0.1\n", "new")
        );
        assert_eq!(
            fs::read_dir(&inside).unwrap().count(),
            2,
            "no draft is left"
        );
    }
}
