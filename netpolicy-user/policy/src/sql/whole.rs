//! A script that was read to its end, so that an error of the text is found before anything
//! is done.

use std::vec;

use super::{Dialect, SqlError, Statement, Statements, Verb};

/// Bytes of a text whose statements are kept once they were read. Statements take up to
/// three times the text's memory; those of longer texts are read a second time instead.
const KEPT: usize = 96 << 20;

/// The statements of a script, all of which can be read.
#[derive(Debug)]
pub struct WholeScript<'t> {
    dialect: Option<Dialect>,
    statements: ScriptSource<'t>,
}

#[derive(Debug)]
enum ScriptSource<'t> {
    Kept(vec::IntoIter<Statement<'t>>),
    Again(Box<Statements<'t>>),
}

impl<'t> WholeScript<'t> {
    /// Reads all of a text, as [`Statements`] does. Linear in the text.
    ///
    /// # Errors
    /// The first error of the text.
    pub fn read(text: &'t str, dialect: Option<Dialect>) -> Result<Self, SqlError> {
        Self::keeping(text, dialect, KEPT)
    }

    fn keeping(text: &'t str, dialect: Option<Dialect>, kept: usize) -> Result<Self, SqlError> {
        let mut statements = Statements::new(text, dialect)?;
        let dialect = statements.dialect();
        let statements = if text.len() <= kept {
            ScriptSource::Kept(statements.collect::<Result<Vec<_>, _>>()?.into_iter())
        } else {
            let again = Box::new(statements.clone());
            statements.try_for_each(|statement| statement.map(drop))?;
            ScriptSource::Again(again)
        };
        Ok(Self {
            dialect,
            statements,
        })
    }

    /// The dialect behind the statement that came last, or at first of the next one.
    /// `None`: no statement told yet.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        self.dialect
    }
}

impl<'t> Iterator for WholeScript<'t> {
    type Item = Result<Statement<'t>, SqlError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = match &mut self.statements {
            ScriptSource::Kept(statements) => statements.next().map(Ok),
            ScriptSource::Again(statements) => statements.next(),
        };
        if let Some(Ok(statement)) = &next {
            self.dialect = Some(match statement.verb {
                Verb::SetDialect(dialect) => dialect,
                _ => statement.dialect,
            });
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "DROP NETWORK POLICY a; SET dialect = lakehouse; SHOW NETWORK POLICY";

    #[test]
    fn long_and_short_texts_give_the_same_statements() {
        let of = |kept| {
            let read = WholeScript::keeping(TEXT, Some(Dialect::Snowflake), kept).unwrap();
            read.map(|statement| statement.unwrap().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(of(0), of(KEPT));
        assert_eq!(of(0).len(), 3);
    }

    #[test]
    fn dialect_is_that_of_the_statement_that_came_last() {
        for kept in [0, KEPT] {
            let mut script = WholeScript::keeping(TEXT, Some(Dialect::Snowflake), kept).unwrap();
            assert_eq!(script.dialect(), Some(Dialect::Snowflake));
            script.next();
            assert_eq!(script.dialect(), Some(Dialect::Snowflake));
            script.next();
            assert_eq!(script.dialect(), Some(Dialect::Lakehouse));
        }
    }

    #[test]
    fn error_at_the_end_is_found_before_the_first_statement() {
        let text = "DROP NETWORK POLICY a; DROP NETWORK POLICY b;\nDROP x";
        for kept in [0, KEPT] {
            let error = WholeScript::keeping(text, Some(Dialect::Snowflake), kept).unwrap_err();
            assert_eq!(error.line, 2);
        }
    }
}
