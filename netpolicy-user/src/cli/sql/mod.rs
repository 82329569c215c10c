//! `netpolicy sql`: a file, statements from the command line, or a prompt.

mod editor;
mod meta;
mod names;
mod prompt;
mod script;
mod syntax;

pub(super) use syntax::statements;

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::context::Context;
use super::failure::Exit;
use super::input::Input;
use super::safety::Safety;
use crate::api::SqlRequest;
use crate::sql::Dialect;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without -e and -f it is a prompt on a terminal, else standard input is read.
The same text means different things in each dialect. It can also be named by a first \
line `-- dialect: snowflake` or a statement `SET dialect = snowflake`; without any of \
them it is detected from the text where that is safe.
A statement that fails ends the script; those before it stay, unless --atomic.")]
pub(super) struct SqlArgs {
    /// Whose SQL it is: snowflake, materialize or lakehouse
    #[arg(long, value_parser = dialect_parser(), value_name = "DIALECT", hide_possible_values = true)]
    dialect: Option<Dialect>,
    /// A statement; several are carried out in their order, as one script
    #[arg(long, short, value_name = "STATEMENT")]
    execute: Vec<String>,
    /// A script; `-` is standard input
    #[arg(long, short, value_name = "FILE", conflicts_with = "execute")]
    file: Option<PathBuf>,
    /// Make all of it one revision, or nothing of it
    #[arg(long)]
    atomic: bool,
    #[command(flatten)]
    safety: Safety,
}

fn dialect_parser() -> impl TypedValueParser<Value = Dialect> {
    PossibleValuesParser::new(Dialect::ALL.map(Dialect::as_str))
        .try_map(|name| name.parse::<Dialect>())
}

pub(super) async fn run(args: SqlArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let query = args.safety.query();
    let mut request = SqlRequest {
        text: String::new(),
        name: String::new(),
        dialect: args.dialect,
        atomic: args.atomic,
    };
    if !args.execute.is_empty() {
        request.text = script::join(&args.execute, args.dialect);
        request.name = "-e".to_owned();
    } else if args.file.is_none() && cx.terminals.stdin && cx.terminals.stdout {
        request.name = "sql".to_owned();
        return prompt::run(request, &query, cx).await;
    } else {
        let mut input = Input::default();
        let source = match args.file.as_deref() {
            Some(path) if path != Path::new("-") => input.read(path),
            _ => input.read_as("standard input".to_owned(), Path::new("-")),
        };
        input.check()?;
        request.text = source.text;
        request.name = source.name;
    }
    script::carry_out(&request, &query, cx).await
}
