//! The documents say what is true: their generated parts, links, commands, files, statements
//! and quotations are compared with the program.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::error::ErrorKind;
use jiff::Timestamp;
use netpolicy_tests::binary::workspace;
use netpolicy_tests::docs::page::Page;
use netpolicy_tests::docs::{self, literals, shell};
use netpolicy_tests::imports;
use netpolicy_user::cli;
use netpolicy_user::config::{Config, Overrides};
use netpolicy_user::model::{ChangeContext, Limits, SourceText, file};
use netpolicy_user::sql::{Dialect, Statements};

/// Most lines of the README.
const README_LINES: usize = 150;

/// Directories in which a document may name a file without the way to them.
const ROOTS: [&str; 14] = [
    "",
    "tests/tests",
    "tests/src",
    "netpolicy-user/src",
    "netpolicy-user/agent/src",
    "netpolicy-user/api/src",
    "netpolicy-user/datapath/src",
    "netpolicy-user/policy/src",
    "netpolicy-user/store/src",
    "netpolicy-user/host/src",
    "netpolicy-user/formats/src",
    "netpolicy-ebpf/src",
    "netpolicy-common/src",
    "xtask/src",
];

/// All pages.
fn all() -> &'static [Page] {
    static PAGES: OnceLock<Vec<Page>> = OnceLock::new();
    PAGES.get_or_init(|| {
        let paths = docs::pages().unwrap();
        let pages = paths.iter().map(|path| Page::read(path).unwrap());
        pages.collect()
    })
}

/// The pages that tell of files and commands as they are.
fn pages() -> impl Iterator<Item = &'static Page> {
    all()
        .iter()
        .filter(|page| !page.path.ends_with("CHANGELOG.md"))
}

/// The page that a link leads to, by its file.
fn target(page: &Page, file: &str) -> PathBuf {
    let path = page.path.parent().unwrap().join(file);
    path.canonicalize().unwrap_or(path)
}

fn shown(path: &Path) -> String {
    path.strip_prefix(workspace())
        .unwrap_or(path)
        .display()
        .to_string()
}

#[track_caller]
fn assert_none(mut wrong: Vec<String>) {
    wrong.sort();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn generated_parts_are_what_the_program_says() {
    let mut found = BTreeSet::new();
    for path in docs::pages().unwrap() {
        let text = fs::read_to_string(&path).unwrap();
        let (filled, names) = docs::fill(&text).unwrap();
        found.extend(names);
        let line = filled.lines().zip(text.lines()).position(|(a, b)| a != b);
        assert!(
            filled == text,
            "{} differs from the program at line {}: run `cargo xtask docs`",
            shown(&path),
            line.map_or(0, |line| line + 1)
        );
    }
    let known: BTreeSet<_> = docs::BLOCKS.map(str::to_owned).into();
    assert_eq!(found, known);
}

#[test]
fn served_openapi_document_is_what_the_handlers_say() {
    let file = fs::read_to_string(workspace().join(docs::OPENAPI)).unwrap();
    let line = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (file, said) = (line(&file), line(&docs::openapi().unwrap()));
    let differs = said.iter().zip(&file).position(|(a, b)| a != b);
    assert!(
        said == file,
        "{} differs from the handlers at line {}: run `cargo xtask docs`",
        docs::OPENAPI,
        differs.unwrap_or(said.len().min(file.len())) + 1
    );
}

#[test]
fn readme_is_short() {
    let text = fs::read_to_string(workspace().join("README.md")).unwrap();
    let lines = text.lines().count();
    assert!(lines <= README_LINES, "{lines} lines");
}

#[test]
fn relative_links_resolve_to_files_and_headings() {
    let mut wrong = Vec::new();
    for page in all() {
        for (line, link) in &page.links {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.path.clone(),
                file => target(page, file),
            };
            let at = format!("{}:{line}: {link}", shown(&page.path));
            let known = all().iter().find(|page| page.path == target);
            let has_anchor = known.is_some_and(|page| page.anchors.iter().any(|a| a == anchor));
            if !target.exists() {
                wrong.push(format!("{at}: there is no such file"));
            } else if !anchor.is_empty() && !has_anchor {
                wrong.push(format!("{at}: there is no such heading"));
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn every_page_is_linked_from_another() {
    let mut linked = BTreeSet::new();
    for page in all() {
        let files = page
            .links
            .iter()
            .filter_map(|(_, link)| link.split('#').next());
        let targets = files.map(|file| target(page, file));
        linked.extend(targets.filter(|target| *target != page.path));
    }
    let is_lost = |page: &&Page| !page.path.ends_with("README.md") && !linked.contains(&page.path);
    let lost = all().iter().filter(is_lost).map(|page| shown(&page.path));
    assert_none(lost.collect());
}

#[test]
fn commands_in_documents_are_commands_of_the_program() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        // Clap's own words need no comparison with clap.
        let typed = page.blocks.iter().filter(|block| block.info != "usage");
        let blocks = typed.flat_map(|block| {
            let commands = shell::commands(&block.text, "netpolicy");
            commands.into_iter().map(|words| (block.line, words, true))
        });
        let spans = page.spans.iter().flat_map(|span| {
            let commands = shell::commands(&span.text, "netpolicy");
            commands.into_iter().map(|words| (span.line, words, false))
        });
        for (line, words, is_whole) in blocks.chain(spans) {
            // "netpolicy policy …" names a group of commands.
            let words: Vec<_> = words.into_iter().filter(|word| word != "…").collect();
            seen += 1;
            let Err(error) = cli::command().try_get_matches_from(&words) else {
                continue;
            };
            let is_cut_short = matches!(
                error.kind(),
                ErrorKind::MissingRequiredArgument
                    | ErrorKind::MissingSubcommand
                    | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            );
            // A number and the like that a span leaves to the reader.
            let has_placeholder = error.kind() == ErrorKind::ValueValidation
                || error.to_string().contains("but none was supplied");
            let is_help = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            if is_help || !is_whole && (is_cut_short || has_placeholder) {
                continue;
            }
            let at = format!("{}:{line}", shown(&page.path));
            wrong.push(format!("{at}: {}: {error}", words.join(" ")));
        }
    }
    assert!(seen > 150, "{seen}");
    assert_none(wrong);
}

#[test]
fn tasks_in_documents_are_tasks_of_xtask() {
    let main = fs::read_to_string(workspace().join("xtask/src/main.rs")).unwrap();
    let items = syn::parse_file(&main).unwrap().items;
    let tasks: Vec<_> = items
        .iter()
        .filter_map(|item| match item {
            syn::Item::Enum(item) if item.ident == "Task" => Some(&item.variants),
            _ => None,
        })
        .flatten()
        .map(|variant| variant.ident.to_string().to_lowercase())
        .collect();
    assert!(tasks.len() >= 10, "{tasks:?}");
    let mut wrong = Vec::new();
    for page in pages() {
        let blocks = page.blocks.iter().map(|block| (block.line, &block.text));
        let spans = page.spans.iter().map(|span| (span.line, &span.text));
        for (line, text) in blocks.chain(spans) {
            for words in shell::commands(text, "cargo") {
                let [_, xtask, task, ..] = words.as_slice() else {
                    continue;
                };
                if xtask == "xtask" && task != "…" && !tasks.contains(task) {
                    wrong.push(format!("{}:{line}: {}", shown(&page.path), words.join(" ")));
                }
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn policy_and_configuration_files_in_documents_are_read() {
    let now = ChangeContext {
        now: Timestamp::UNIX_EPOCH,
        actor: "root",
        limits: Limits::default(),
        force: false,
    };
    let mut wrong = Vec::new();
    let mut seen = [0, 0];
    for page in pages() {
        for block in page
            .blocks
            .iter()
            .filter(|block| block.info.starts_with("toml"))
        {
            let at = format!("{}:{}", shown(&page.path), block.line);
            match block.info.as_str() {
                "toml policy" => {
                    seen[0] += 1;
                    wrong.extend(read_policies(&block.text, &now).map(|e| format!("{at}: {e}")));
                }
                "toml config" => {
                    seen[1] += 1;
                    let directory = tempfile::tempdir().unwrap();
                    let file = directory.path().join("config.toml");
                    fs::write(&file, &block.text).unwrap();
                    let overrides = Overrides {
                        file: Some(file),
                        ..Overrides::default()
                    };
                    let config = Config::load(&overrides, |_| None);
                    wrong.extend(config.err().map(|e| format!("{at}: {e}")));
                }
                other => wrong.push(format!(
                    "{at}: '{other}': write 'toml policy' or 'toml config'"
                )),
            }
        }
    }
    assert!(seen[0] >= 3 && seen[1] >= 2, "{seen:?}");
    assert_none(wrong);
}

/// What is wrong with a policy file; the list files that it names hold an address each.
fn read_policies(text: &str, now: &ChangeContext<'_>) -> Option<String> {
    let source = SourceText {
        name: "policy.toml".to_owned(),
        text: text.to_owned(),
    };
    let lists = match file::referenced_lists(&source) {
        Ok(names) => names,
        Err(errors) => return Some(errors.messages().join("; ")),
    };
    let lists: Vec<_> = lists
        .into_iter()
        .enumerate()
        .map(|(at, name)| SourceText {
            name,
            text: format!("203.0.113.{at}/32\n"),
        })
        .collect();
    let read = file::parse(&source, &lists, false, now);
    read.err().map(|errors| errors.messages().join("; "))
}

#[test]
fn sql_in_documents_is_sql_of_its_dialect() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for block in page
            .blocks
            .iter()
            .filter(|block| block.info.starts_with("sql"))
        {
            let at = format!("{}:{}", shown(&page.path), block.line);
            let name = block.info.trim_start_matches("sql").trim();
            let Ok(dialect) = name.parse::<Dialect>() else {
                wrong.push(format!("{at}: '{}' names no dialect", block.info));
                continue;
            };
            match Statements::new(&block.text, Some(dialect)) {
                Ok(statements) => {
                    for statement in statements {
                        seen += 1;
                        wrong.extend(statement.err().map(|error| format!("{at}: {error}")));
                    }
                }
                Err(error) => wrong.push(format!("{at}: {error}")),
            }
        }
    }
    assert!(seen >= 15, "{seen}");
    assert_none(wrong);
}

/// A search for what the program printed must find the page that says what to do.
#[test]
fn quoted_messages_are_those_of_the_program() {
    let mut known = Vec::new();
    for part in ["netpolicy-user", "netpolicy-ebpf", "xtask/src"] {
        known.extend(literals::of_directory(&workspace().join(part)).unwrap());
    }
    let page = Page::read(&workspace().join("docs/troubleshooting.md")).unwrap();
    let quotations: Vec<_> = page
        .spans
        .iter()
        .filter(|span| span.cell.is_some_and(|(_, column)| column == 0))
        .collect();
    assert!(quotations.len() > 50, "{}", quotations.len());
    let mut wrong = Vec::new();
    for span in quotations {
        if let Err(part) = literals::fits(&span.text, &known) {
            wrong.push(format!("troubleshooting.md:{}: \"{part}\"", span.line));
        }
    }
    assert_none(wrong);
}

/// Whatever a document names as a source file is there, and so are the tests that it names
/// behind one in the same cell of a table.
#[test]
fn source_files_and_tests_in_documents_exist() {
    let mut wrong = Vec::new();
    let mut tests = 0;
    for page in pages() {
        let mut file: Option<((usize, usize), PathBuf)> = None;
        for span in &page.spans {
            let at = format!("{}:{}: {}", shown(&page.path), span.line, span.text);
            if is_source(&span.text) {
                let found = ROOTS
                    .iter()
                    .map(|root| workspace().join(root).join(&span.text));
                let found = found.into_iter().find(|path| path.exists());
                if found.is_none() {
                    wrong.push(format!("{at}: there is no such file"));
                }
                file = span.cell.zip(found);
            } else if is_test(&span.text) {
                let Some((_, path)) = file.as_ref().filter(|(cell, _)| Some(*cell) == span.cell)
                else {
                    continue;
                };
                tests += 1;
                let text = fs::read_to_string(path).unwrap();
                if !text.contains(&format!("fn {}(", span.text)) {
                    wrong.push(format!("{at}: there is no such test in {}", shown(path)));
                }
            }
        }
    }
    assert!(tests > 40, "{tests}");
    assert_none(wrong);
}

/// What modules import is in two tables: no more and no less.
#[test]
fn layering_tables_are_what_modules_import() {
    let src = workspace().join("netpolicy-user/src");
    let part = |name: &str| workspace().join(format!("netpolicy-user/{name}/src"));
    let crates = ["agent", "api", "datapath", "host", "policy", "store"].map(part);
    let crates: Vec<_> = [src.clone()].into_iter().chain(crates).collect();
    let actual = imports::layering(&crates).unwrap();
    let page = fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let section = page.split("\n## Layering\n").nth(1).unwrap();
    let (section, rooms) = section.split_once("\n### ").unwrap();
    let lib = fs::read_to_string(src.join("lib.rs")).unwrap();
    for (file, text, start) in [
        ("ARCHITECTURE.md", section, "| `"),
        ("lib.rs", &lib, "//! | [`"),
    ] {
        let table = imports::table(text, start, &actual);
        let differs = |module: &&String| table.get(*module) != actual.get(*module);
        let modules = actual.keys().chain(table.keys()).filter(differs);
        let rows = modules.map(|module| {
            let imports = actual.get(module).into_iter().flatten();
            let imports: Vec<_> = imports.map(String::as_str).collect();
            format!("{file}: {module} imports {}", imports.join(", "))
        });
        assert_none(rows.collect());
    }
    let actual = imports::rooms(&part("agent"), "agent").unwrap();
    assert_eq!(imports::table(rooms, "| `", &actual), actual);
}

fn is_source(text: &str) -> bool {
    let is_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    let is_file = text.ends_with(".rs") || text.ends_with(".toml") && text.contains('/');
    is_file && text.chars().all(is_path) && !text.starts_with('/')
}

fn is_test(text: &str) -> bool {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.matches('_').count() >= 2 && text.chars().all(is_name)
}
