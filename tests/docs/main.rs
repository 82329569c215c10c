//! `cargo xtask docs`: writes the generated parts of the documents. For `cargo xtask dist` also
//! what of a package is generated: manual pages, completions, the configuration file.
#![expect(
    clippy::print_stdout,
    reason = "what was written is for the person who started it"
)]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use netpolicy_tests::binary::workspace;
use netpolicy_tests::docs;
use netpolicy_user::{cli, config};

/// Write the generated parts of the documents from what the program says of itself.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask docs")]
struct Args {
    /// Write nothing; fail if a page is not as it should be
    #[arg(long)]
    check: bool,
    /// Write what of a package is generated into this directory instead
    #[arg(long, value_name = "DIR", requires = "date", conflicts_with = "check")]
    package: Option<PathBuf>,
    /// The date in the manual pages: YYYY-MM-DD
    #[arg(long)]
    date: Option<String>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if let (Some(directory), Some(date)) = (&args.package, &args.date) {
        return package(directory, date);
    }
    let mut outdated = Vec::new();
    for path in docs::pages()? {
        let text = fs::read_to_string(&path)?;
        let name = path.strip_prefix(workspace()).unwrap_or(&path).display();
        let (filled, _) = docs::fill(&text).with_context(|| name.to_string())?;
        if filled == text {
            continue;
        }
        if args.check {
            outdated.push(name.to_string());
        } else {
            fs::write(&path, filled)?;
            println!("{name}");
        }
    }
    let path = workspace().join(docs::OPENAPI);
    let text = docs::openapi()?;
    if fs::read_to_string(&path).unwrap_or_default() != text {
        if args.check {
            outdated.push(docs::OPENAPI.to_owned());
        } else {
            fs::write(&path, text)?;
            println!("{}", docs::OPENAPI);
        }
    }
    ensure!(
        outdated.is_empty(),
        "{} differ from the program: run `cargo xtask docs`",
        outdated.join(", ")
    );
    Ok(())
}

/// What of a package is generated: where the files belong is the packager's matter.
fn package(directory: &Path, date: &str) -> Result<()> {
    docs::man::write(&directory.join("man"), date)?;
    let completions = directory.join("completions");
    fs::create_dir_all(&completions)?;
    for shell in ["bash", "fish", "zsh"] {
        let script =
            cli::completions(shell).with_context(|| format!("no completions for {shell}"))?;
        fs::write(completions.join(shell), script)?;
    }
    fs::write(directory.join("config.toml"), config::commented_default())?;
    Ok(())
}
