//! A script that was read to its end, so that an error of the text is found before anything
//! is done.

use std::vec;

use crate::api::SqlRequest;
use crate::model::Dialect;
use crate::sql::{SqlError, Statement, Statements};

/// Bytes of a text whose statements are kept once they were read. Statements take up to
/// three times the text's memory; those of longer texts are read a second time instead.
const KEPT: usize = 96 << 20;

/// The statements of a script, which can all be read.
pub(super) struct ReadScript<'t> {
    /// Its dialect at first; `None`: no statement told.
    pub(super) dialect: Option<Dialect>,
    statements: ScriptSource<'t>,
}

enum ScriptSource<'t> {
    Kept(vec::IntoIter<Statement<'t>>),
    Again(Statements<'t>),
}

impl<'t> ReadScript<'t> {
    /// Reads all of it. Linear in the text.
    ///
    /// # Errors
    /// The first error of the text.
    pub(super) fn of(request: &'t SqlRequest) -> Result<Self, SqlError> {
        Self::keeping(request, KEPT)
    }

    fn keeping(request: &'t SqlRequest, kept: usize) -> Result<Self, SqlError> {
        let mut statements = Statements::new(&request.text, request.dialect)?;
        let dialect = statements.dialect();
        let statements = if request.text.len() <= kept {
            ScriptSource::Kept(statements.collect::<Result<Vec<_>, _>>()?.into_iter())
        } else {
            let again = statements.clone();
            statements.try_for_each(|statement| statement.map(drop))?;
            ScriptSource::Again(again)
        };
        Ok(Self {
            dialect,
            statements,
        })
    }
}

impl<'t> Iterator for ReadScript<'t> {
    type Item = Result<Statement<'t>, SqlError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.statements {
            ScriptSource::Kept(statements) => statements.next().map(Ok),
            ScriptSource::Again(statements) => statements.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> SqlRequest {
        SqlRequest {
            text: text.to_owned(),
            dialect: Some(Dialect::Snowflake),
            ..SqlRequest::default()
        }
    }

    #[test]
    fn long_and_short_texts_give_the_same_statements() {
        let text = "DROP NETWORK POLICY a; SET dialect = lakehouse; SHOW NETWORK POLICY";
        let request = request(text);
        let of = |kept| {
            let read = ReadScript::keeping(&request, kept).unwrap();
            read.map(|statement| statement.unwrap().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(of(0), of(KEPT));
        assert_eq!(of(0).len(), 3);
    }

    #[test]
    fn error_at_the_end_is_found_before_the_first_statement() {
        let request = request("DROP NETWORK POLICY a; DROP NETWORK POLICY b;\nDROP x");
        for kept in [0, KEPT] {
            let error = ReadScript::keeping(&request, kept).err().unwrap();
            assert_eq!(error.line, 2);
        }
    }
}
