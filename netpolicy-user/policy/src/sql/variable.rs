//! Variables of a script: Snowflake's `SET x = 'text'`, `$x` and `IDENTIFIER($x)`
//! (<https://docs.snowflake.com/en/sql-reference/session-variables>).
//!
//! What a variable says is known when the text is read, so that all that follows is data
//! without variables.

use std::borrow::Cow;

use super::{Ident, Literal};

/// What a statement does to a variable.
#[derive(Clone, Debug)]
pub struct Variable<'t> {
    /// Which.
    pub name: Ident<'t>,
    /// What it says from here on; `None`: it is no more.
    pub value: Option<VariableValue<'t>>,
}

/// What a variable says.
#[derive(Clone, Debug)]
pub enum VariableValue<'t> {
    /// A string of the script.
    Text(Literal<'t>),
    /// A number, or TRUE or FALSE, as written.
    Number(&'t str),
    /// Strings that were put together.
    Joined(String),
}

impl<'t> VariableValue<'t> {
    /// Its text, without quotes.
    #[must_use]
    pub fn text(&self) -> Cow<'t, str> {
        match self {
            Self::Text(literal) => literal.text(),
            Self::Number(text) => Cow::Borrowed(text),
            Self::Joined(text) => Cow::Owned(text.clone()),
        }
    }
}
