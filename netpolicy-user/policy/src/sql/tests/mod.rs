use super::*;

mod dialects;
mod errors;
mod properties;
mod statements;

/// All statements of a text that has no error.
fn all(dialect: Dialect, text: &str) -> Vec<Statement<'_>> {
    let statements = Statements::new(text, Some(dialect)).unwrap();
    statements
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The error of a text.
fn failure(dialect: impl Into<Option<Dialect>>, text: &str) -> SqlError {
    match Statements::new(text, dialect.into()) {
        Ok(mut statements) => statements
            .find_map(Result::err)
            .unwrap_or_else(|| panic!("no error: {text}")),
        Err(error) => error,
    }
}
