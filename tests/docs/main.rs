//! `cargo xtask docs`: writes the generated parts of the documents.
#![expect(
    clippy::print_stdout,
    reason = "what was written is for the person who started it"
)]

use std::fs;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use netpolicy_tests::binary::workspace;
use netpolicy_tests::docs;

/// Write the generated parts of the documents from what the program says of itself.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask docs")]
struct Args {
    /// Write nothing; fail if a page is not as it should be
    #[arg(long)]
    check: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
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
    ensure!(
        outdated.is_empty(),
        "{} differ from the program: run `cargo xtask docs`",
        outdated.join(", ")
    );
    Ok(())
}
