//! Manual pages: of the commands from clap's description of them, of the files and of SQL from
//! the guide's own pages.

mod text;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Command;
use clap_mangen::Man;
use netpolicy_user::cli;
use netpolicy_user::config::DEFAULT_FILE;

use crate::binary::workspace;

/// What stands above every page.
const MANUAL: &str = "netpolicy";

/// A page that is made of pages of `docs/`.
struct Text {
    name: &'static str,
    section: u8,
    purpose: &'static str,
    pages: &'static [&'static str],
    see_also: &'static str,
}

const TEXTS: [Text; 3] = [
    Text {
        name: "netpolicy.toml",
        section: 5,
        purpose: "configuration of the netpolicy agent and commands",
        pages: &["docs/reference/configuration.md"],
        see_also: "netpolicy(1), netpolicy-agent(1)",
    },
    Text {
        name: "netpolicy-policy-file",
        section: 5,
        purpose: "network policies in a file",
        pages: &["docs/guide/policy-file.md"],
        see_also: "netpolicy-apply(1), netpolicy-export(1), netpolicy-policy-lint(1)",
    },
    Text {
        name: "netpolicy-dialects",
        section: 7,
        purpose: "network policies in the SQL of Snowflake, Materialize and Singdata Lakehouse",
        pages: &[
            "docs/guide/sql.md",
            "docs/guide/sql/snowflake.md",
            "docs/guide/sql/materialize.md",
            "docs/guide/sql/lakehouse.md",
        ],
        see_also: "netpolicy-sql(1), netpolicy-policy-file(5)",
    },
];

/// A manual page.
#[derive(Debug)]
pub struct ManPage {
    /// "netpolicy-status.1"
    pub file: String,
    /// roff.
    pub text: String,
}

/// Every manual page; `date` is that of the release.
///
/// # Errors
/// A page of `docs/` cannot be read, or a command cannot be described.
pub fn pages(date: &str) -> Result<Vec<ManPage>> {
    let mut command = cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    commands(&command, date, &mut pages)?;
    for text in &TEXTS {
        pages.push(page_of(text, date)?);
    }
    Ok(pages)
}

fn commands(command: &Command, date: &str, into: &mut Vec<ManPage>) -> Result<()> {
    into.push(page(command, date)?);
    let inner = command.get_subcommands();
    for inner in inner.filter(|inner| !inner.is_hide_set()) {
        commands(inner, date, into)?;
    }
    Ok(())
}

fn page(command: &Command, date: &str) -> Result<ManPage> {
    let version = env!("CARGO_PKG_VERSION");
    let man = Man::new(command.clone())
        .date(date)
        .source(format!("netpolicy {version}"))
        .manual(MANUAL);
    let file = man.get_filename();
    let mut out = Vec::new();
    let sections = || {
        man.render_title(&mut out)?;
        man.render_name_section(&mut out)?;
        man.render_synopsis_section(&mut out)?;
        man.render_description_section(&mut out)?;
        man.render_options_section(&mut out)?;
        if command.has_subcommands() {
            man.render_subcommands_section(&mut out)?;
        }
        Ok::<_, std::io::Error>(())
    };
    let mut sections = sections;
    sections().with_context(|| file.clone())?;
    let mut text = String::from_utf8(out).with_context(|| file.clone())?;
    let after = command.get_after_help().map(ToString::to_string);
    let after = after.unwrap_or_default();
    let (notes, examples) = after.split_once("Examples:\n").unwrap_or((&after, ""));
    // The exit codes have a section of their own there.
    let is_root = command.get_name() == "netpolicy";
    if !notes.trim().is_empty() && !is_root {
        text += &format!(".SH NOTES\n{}\n", text::escaped(notes.trim()));
    }
    let examples: Vec<_> = examples.lines().map(str::trim).collect();
    if !examples.is_empty() {
        text += &format!(".SH EXAMPLES\n{}", text::code(&examples.join("\n")));
    }
    if is_root {
        text += &files();
    } else {
        text += ".SH SEE ALSO\nnetpolicy(1)\n";
    }
    Ok(ManPage { file, text })
}

/// What the page of the whole program says more.
fn files() -> String {
    let mut out = String::from(".SH EXIT STATUS\n");
    for (code, meaning) in cli::exit_codes() {
        out += &format!(".TP\n\\fB{code}\\fR\n{}\n", text::escaped(meaning));
    }
    out += ".SH FILES\n";
    for (file, what) in [
        (DEFAULT_FILE, "configuration; see netpolicy.toml(5)"),
        (
            "/var/lib/netpolicy",
            "the state database; back it up with netpolicy-backup(1)",
        ),
        ("/run/netpolicy/agent.sock", "the agent's socket"),
        ("/sys/fs/bpf/netpolicy", "program, maps and links"),
    ] {
        out += &format!(".TP\n\\fI{}\\fR\n{what}\n", text::escaped(file));
    }
    let texts: Vec<_> = TEXTS
        .iter()
        .map(|text| format!("{}({})", text.name, text.section))
        .collect();
    out + &format!(".SH SEE ALSO\n{}\n", text::escaped(&texts.join(", ")))
}

fn page_of(text: &Text, date: &str) -> Result<ManPage> {
    let mut out = format!(
        ".TH {} {} {date} \"netpolicy {}\" {MANUAL}\n.SH NAME\n{} \\- {}\n",
        text::escaped(text.name),
        text.section,
        env!("CARGO_PKG_VERSION"),
        text::escaped(text.name),
        text::escaped(text.purpose),
    );
    for (at, page) in text.pages.iter().enumerate() {
        let path = workspace().join(page);
        let markdown = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        out += &text::roff(&markdown, at == 0);
    }
    out += &format!(".SH SEE ALSO\n{}\n", text::escaped(text.see_also));
    Ok(ManPage {
        file: format!("{}.{}", text.name, text.section),
        text: out,
    })
}

/// Writes every page into the directory of its section, `man1` and so on, below `directory`.
///
/// # Errors
/// As [`pages`], or a file cannot be written.
pub fn write(directory: &Path, date: &str) -> Result<()> {
    for page in pages(date)? {
        let section = page.file.rsplit('.').next().unwrap_or_default();
        let directory = directory.join(format!("man{section}"));
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(&page.file), &page.text)?;
    }
    Ok(())
}
