//! Variables of the prompt: the agent has no sessions, so that what was set stands before what is
//! typed next.

use std::collections::BTreeMap;
use std::ops::Range;

use super::script::own_place;
use crate::api::{SqlRequest, SqlResponse};
use crate::sql::{Dialect, Statement, Statements, Verb};

/// The variables that were set, each as the statement that sets it, by their names.
#[derive(Debug, Default)]
pub(super) struct PromptVariables(BTreeMap<String, String>);

/// What stands before what was typed: so many statements and characters, in the same line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefix {
    statements: usize,
    columns: u32,
}

impl PromptVariables {
    /// Puts them before a text that was typed.
    pub(super) fn put_before(&self, request: &mut SqlRequest) -> Prefix {
        let mut prefix = String::new();
        // Other dialects have none.
        let known = self.0.values();
        let set = known.filter(|_| request.dialect == Some(Dialect::Snowflake));
        let mut statements = 0;
        for statement in set {
            // A line break in a string, so that lines stay what they are.
            prefix.extend([statement.replace('\n', "\\n").as_str(), " "]);
            statements += 1;
        }
        request.text.insert_str(0, &prefix);
        let columns = u32::try_from(prefix.chars().count()).unwrap_or(u32::MAX);
        Prefix {
            statements,
            columns,
        }
    }

    /// Takes what a script sets; `done`: how many of its statements were carried out if not all.
    pub(super) fn take_from(&mut self, request: &SqlRequest, done: Option<usize>) {
        let Ok(statements) = Statements::new(&request.text, request.dialect) else {
            return;
        };
        let done = done.unwrap_or(usize::MAX);
        for statement in statements.map_while(Result::ok).take(done) {
            let Verb::Variables(variables) = &statement.verb else {
                continue;
            };
            for variable in variables {
                let name = variable.name.folded(Dialect::Snowflake).into_owned();
                if variable.value.is_none() {
                    self.0.remove(&name);
                    continue;
                }
                let single = Statement {
                    verb: Verb::Variables(vec![variable.clone()]),
                    ..statement.clone()
                };
                self.0.insert(name, format!("{single};"));
            }
        }
    }
}

impl Prefix {
    /// Takes itself off an answer.
    pub(super) fn take_off(self, response: &mut SqlResponse) {
        let statements = self.statements.min(response.results.len());
        response.results.drain(..statements);
        let Some(failure) = &mut response.error else {
            return;
        };
        if failure.line == 1 {
            failure.column = failure.column.saturating_sub(self.columns);
        }
        for error in &mut failure.errors {
            if let Some((1, column, what)) = own_place(error) {
                let column = column.saturating_sub(self.columns);
                *error = format!("line 1, column {column}: {what}");
            }
        }
    }
}

/// Where statements stand that set variables, in bytes.
pub(super) fn places(text: &str, dialect: Option<Dialect>) -> Vec<Range<usize>> {
    let Ok(statements) = Statements::new(text, dialect) else {
        return Vec::new();
    };
    let offset = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
    statements
        .map_while(Result::ok)
        .filter(|statement| matches!(statement.verb, Verb::Variables(_)))
        .map(|statement| offset(statement.spot.offset)..offset(statement.end))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{SqlFailure, SqlResult};

    fn request(text: &str) -> SqlRequest {
        SqlRequest {
            text: text.to_owned(),
            dialect: Some(Dialect::Snowflake),
            ..SqlRequest::default()
        }
    }

    #[test]
    fn variables_are_those_of_what_was_carried_out() {
        let mut variables = PromptVariables::default();
        let text = "SET a = 'x\ny'; SET (b, c) = (1, $a); UNSET a; SET d = 2";
        variables.take_from(&request(text), Some(3));
        let mut next = request("SHOW NETWORK RULES LIKE $c");
        let prefix = variables.put_before(&mut next);
        assert_eq!(
            next.text,
            "SET b = 1; SET c = 'x\\ny'; SHOW NETWORK RULES LIKE $c"
        );
        let all: Result<Vec<_>, _> = Statements::new(&next.text, next.dialect).unwrap().collect();
        let all = all.unwrap();
        let printed = all.last().unwrap().to_string();
        assert_eq!(printed, "SHOW NETWORK RULES LIKE 'x\ny'");
        let place = all.last().unwrap().place(all.last().unwrap().spot);
        assert_eq!((place.0, place.1 - prefix.columns), (1, 1));
        assert_eq!(prefix.statements, 2);
    }

    #[test]
    fn answer_is_that_of_what_was_typed() {
        let prefix = Prefix {
            statements: 2,
            columns: 10,
        };
        let named = |name: &str| SqlResult {
            statement: name.to_owned(),
            ..SqlResult::default()
        };
        let mut response = SqlResponse {
            results: vec![named("SET a"), named("SET b"), named("DROP")],
            error: Some(SqlFailure {
                line: 1,
                column: 15,
                errors: vec!["no".to_owned(), "line 1, column 12: no".to_owned()],
                hint: None,
                status: 400,
                code: Default::default(),
                opens: None,
            }),
            dialect: None,
        };
        prefix.take_off(&mut response);
        assert_eq!(response.results, [named("DROP")]);
        let error = response.error.unwrap();
        assert_eq!(error.column, 5);
        assert_eq!(error.errors, ["no", "line 1, column 2: no"]);
    }
}
