//! Sends a script, and prints its results.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::context::Context;
use super::super::failure::{self, Exit, Failure};
use super::super::submit::{question, report_open, show_progress, warn};
use super::variables;
use crate::api::{ChangeQuery, ErrorPlace, Existing, SqlFailure, SqlRequest, SqlResponse, Status};
use crate::output::{Format, Layout, SqlOutcome, one_line};
use crate::sql::meaning::makes_revisions;
use crate::sql::{Dialect, Ending, Statements, Tail, Verb};

/// Sources that a question names.
const SOURCES_ASKED: usize = 5;

/// Sends a script and prints what it came to.
pub(super) async fn carry_out(
    request: &SqlRequest,
    query: &ChangeQuery,
    cx: &mut Context<'_>,
) -> anyhow::Result<Exit> {
    let response = send(request, query, cx).await?;
    show(&response, request, query, layout(cx, false), cx).await
}

/// How rows are laid out now: terminals change their width.
pub(super) fn layout(cx: &Context<'_>, expanded: bool) -> Layout {
    let size = cx
        .terminals
        .stdout
        .then(|| terminal_size::terminal_size_of(std::io::stdout()))
        .flatten();
    Layout {
        expanded,
        width: size.map(|(width, _)| width.0),
    }
}

/// Sends a script. Where a statement is refused for want of consent to what it opens, asks,
/// and goes on from that statement with consent to exactly that.
pub(super) async fn send(
    request: &SqlRequest,
    query: &ChangeQuery,
    cx: &mut Context<'_>,
) -> anyhow::Result<SqlResponse> {
    if let Some(question) = closes(request, query, cx).await? {
        cx.confirm(&question)?;
    }
    let mut query = ChangeQuery {
        opens: cx.consent(),
        ..query.clone()
    };
    let mut rest = request.clone();
    let mut done = Vec::new();
    // Statements that were carried out already, and only set variables for what follows.
    let mut repeated = 0;
    loop {
        let mut response = show_progress(cx.client.sql(&rest, &query), cx).await?;
        let again = repeated.min(response.results.len());
        response.results.drain(..again);
        let asks = |failure: &&mut SqlFailure| failure.opens.is_some() && cx.can_ask();
        let Some(failure) = response.error.as_mut().filter(asks) else {
            response.results.splice(0..0, done);
            return Ok(response);
        };
        let errors = failure.errors.join("; ");
        if cx.confirm(&question(&failure.errors)).is_err() {
            failure.errors = vec![format!("not confirmed: {errors}")];
            failure.hint = None;
            response.results.splice(0..0, done);
            return Ok(response);
        }
        query.opens = failure.opens.take().map(|opens| opens.key);
        if !rest.atomic {
            let place = (failure.line, failure.column);
            let mut kept = variables::places(&rest.text, rest.dialect);
            let end = offset(&rest.text, place);
            kept.retain(|range| range.start < end);
            repeated = kept.len();
            rest.text = from_place(&rest.text, place, &kept);
            rest.dialect = response.dialect.or(rest.dialect);
            done.append(&mut response.results);
        }
    }
}

/// What is asked before a script that closes open connections without being told to: in
/// Snowflake, sessions of denied sources end. `None`: it closes none, or there is no terminal to ask on.
async fn closes(
    request: &SqlRequest,
    query: &ChangeQuery,
    cx: &Context<'_>,
) -> anyhow::Result<Option<String>> {
    let is_asked = cx.can_ask() && cx.consent().is_none();
    if !is_asked || query.dry_run || query.existing.is_some() || !may_close(request) {
        return Ok(None);
    }
    let tried = ChangeQuery {
        dry_run: true,
        if_revision: None,
        ..query.clone()
    };
    // What is refused is said when it is made.
    let response = show_progress(cx.client.sql(request, &tried), cx).await?;
    let clients = response
        .results
        .iter()
        .filter_map(|result| result.changed.as_ref()?.clients.as_ref())
        .filter(|clients| clients.existing == Existing::Cut)
        .flat_map(|clients| &clients.denied);
    let mut sources: BTreeSet<_> = clients.map(|client| client.source.to_string()).collect();
    let changed = response
        .results
        .iter()
        .filter_map(|result| result.changed.as_ref());
    let sessions = changed
        .flat_map(|changed| &changed.databases)
        .filter(|change| change.existing == Existing::Cut)
        .flat_map(|change| change.sessions.iter().flatten());
    sources.extend(sessions.map(|one| format!("{} ({})", one.source, one_line(&one.user))));
    if sources.is_empty() {
        return Ok(None);
    }
    let shown: Vec<_> = sources.iter().take(SOURCES_ASKED).cloned().collect();
    let more = match sources.len().saturating_sub(shown.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Ok(Some(format!(
        "This closes the open connections of {}{more}, which it denies; --existing keep keeps \
         them. Continue?",
        shown.join(", ")
    )))
}

/// Whether a script can close connections by itself, which Snowflake's statements do.
fn may_close(request: &SqlRequest) -> bool {
    let Ok(statements) = Statements::new(&request.text, request.dialect) else {
        return false;
    };
    statements.map_while(Result::ok).any(|statement| {
        statement.dialect == Dialect::Snowflake && makes_revisions(&statement.verb)
    })
}

/// Where a place is in a text, in bytes.
fn offset(text: &str, place: (u32, u32)) -> usize {
    let mut at = (1, 1);
    let found = text.char_indices().find(|(_, c)| {
        let is_there = at >= place;
        at = match c {
            '\n' => (at.0 + 1, 1),
            _ => (at.0, at.1 + 1),
        };
        is_there
    });
    found.map_or(text.len(), |(index, _)| index)
}

/// The text from a place on, where all that stands before it is blank, so that places stay
/// what they are. Statements at these places in bytes, which set variables, are kept.
fn from_place(text: &str, place: (u32, u32), kept: &[Range<usize>]) -> String {
    let mut at = (1, 1);
    let mut kept = kept.iter().peekable();
    let mut separate = false;
    let blank = text.char_indices().map(|(index, c)| {
        let is_before = at < place;
        at = if c == '\n' {
            (at.0 + 1, 1)
        } else {
            (at.0, at.1 + 1)
        };
        // Behind a statement that is kept its semicolon is to come, if only now.
        separate |= kept.next_if(|range| range.end <= index).is_some();
        let is_kept = kept.peek().is_some_and(|range| range.contains(&index));
        match c {
            c if !is_before || is_kept || c == '\n' => c,
            _ if std::mem::take(&mut separate) => ';',
            _ => ' ',
        }
    });
    blank.collect()
}

/// Prints what a script came to: results, then why it stopped if it did.
pub(super) async fn show(
    response: &SqlResponse,
    request: &SqlRequest,
    query: &ChangeQuery,
    layout: Layout,
    cx: &mut Context<'_>,
) -> anyhow::Result<Exit> {
    if cx.options.format == Format::Table {
        warn(&warnings(response), cx)?;
    }
    let status = interfaces(response, cx).await;
    cx.print(&SqlOutcome {
        response,
        status: status.as_ref(),
        layout,
    })?;
    let changes = response.results.iter().filter_map(|r| r.changed.as_ref());
    let exit = report_open(changes, cx)?;
    let Some(failure) = &response.error else {
        return Ok(exit);
    };
    // What was done stands before what was not, also where both go to one place.
    cx.out.flush()?;
    let described = described(failure, &request.name);
    failure::report_in(cx.options.format, &described.into(), cx.err)?;
    // JSON says it by its results.
    let is_table = cx.options.format == Format::Table;
    if is_table && let Some(note) = what_stays(response, request.atomic, query.dry_run) {
        writeln!(cx.err, "note: {note}")?;
    }
    Ok(Exit::Failed)
}

/// Only for the interfaces' names: changes are made, whatever becomes of this.
async fn interfaces(response: &SqlResponse, cx: &Context<'_>) -> Option<Status> {
    let is_change = response.results.iter().any(|r| r.changed.is_some());
    if cx.options.format == Format::Json || !is_change {
        return None;
    }
    cx.client.status().await.ok()
}

/// Of all statements, each once.
fn warnings(response: &SqlResponse) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let all = response.results.iter().flat_map(|result| {
        let changed = result.changed.iter().flat_map(|c| &c.warnings);
        result.warnings.iter().chain(changed)
    });
    all.filter(|w| seen.insert(w.as_str())).cloned().collect()
}

/// The first error stands where the failure says; the others say it themselves.
fn described(failure: &SqlFailure, name: &str) -> Failure {
    let mut first = Some(format!("{}:{}", failure.line, failure.column));
    let file = format!("{name}:");
    let errors = failure.errors.iter().map(|error| {
        let at = first.take();
        if error.starts_with(&file) {
            return error.clone();
        }
        match (at, own_place(error)) {
            (Some(place), _) => format!("{name}:{place}: {error}"),
            (None, Some((line, column, what))) => format!("{name}:{line}:{column}: {what}"),
            (None, None) => error.clone(),
        }
    });
    Failure {
        errors: errors.collect(),
        hint: failure.hint.clone(),
        code: Some(failure.code),
        places: vec![Some(ErrorPlace {
            source: name.to_owned(),
            line: Some(failure.line),
            column: Some(failure.column),
        })],
        ..Failure::default()
    }
}

/// Line, column and what is wrong, of `line 3, column 5: what is wrong`.
pub(super) fn own_place(error: &str) -> Option<(u32, u32, &str)> {
    let (line, rest) = error.strip_prefix("line ")?.split_once(", column ")?;
    let (column, what) = rest.split_once(": ")?;
    Some((line.parse().ok()?, column.parse().ok()?, what))
}

/// What of a script that failed remains; `None`: it goes without saying.
fn what_stays(response: &SqlResponse, atomic: bool, dry_run: bool) -> Option<String> {
    if dry_run {
        return Some("dry run: nothing was changed".to_owned());
    }
    if atomic {
        return Some("atomic: nothing was changed".to_owned());
    }
    Some(match response.results.len() {
        0 => return None,
        1 => "the statement before it was carried out and stays".to_owned(),
        n => format!("the {n} statements before it were carried out and stay"),
    })
}

/// The dialect that a script leaves to those after it, where it says one: its last
/// `SET dialect` among the statements that were carried out; `done`: how many if not all.
pub(super) fn dialect_after(request: &SqlRequest, done: Option<usize>) -> Option<Dialect> {
    let statements = Statements::new(&request.text, request.dialect).ok()?;
    statements
        .map_while(Result::ok)
        .take(done.unwrap_or(usize::MAX))
        .filter_map(|statement| match statement.verb {
            Verb::SetDialect(dialect) => Some(dialect),
            _ => None,
        })
        .last()
}

/// Statements as one script. Each begins a line; a semicolon is put where one lacks it.
pub(super) fn join(statements: &[String], dialect: Option<Dialect>) -> String {
    let mut script = String::new();
    for (at, statement) in statements.iter().enumerate() {
        let is_last = at + 1 == statements.len();
        match Tail::of(statement, dialect).ending {
            Ending::Open { end } if !is_last => {
                // Behind it may be a comment, which would swallow it.
                let (text, rest) = statement.split_at(end);
                script.extend([text, ";", rest]);
            }
            Ending::Within { .. } | Ending::Wrong => {
                // It fails there; the next one must not become a part of it.
                script.push_str(statement);
                break;
            }
            _ => script.push_str(statement),
        }
        if !is_last {
            script.push('\n');
        }
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::SqlResult;

    fn joined(statements: &[&str]) -> String {
        let statements: Vec<_> = statements.iter().map(|s| (*s).to_owned()).collect();
        join(&statements, None)
    }

    #[test]
    fn joined_statements_get_missing_separators() {
        assert_eq!(joined(&["a"]), "a");
        assert_eq!(joined(&["a", "b;", "c"]), "a;\nb;\nc");
        assert_eq!(joined(&["a -- why; not", "b"]), "a; -- why; not\nb");
        assert_eq!(
            joined(&["-- dialect: lakehouse", "b"]),
            "-- dialect: lakehouse\nb"
        );
    }

    #[test]
    fn unterminated_string_ends_the_joined_script() {
        assert_eq!(joined(&["a", "b 'x", "c 'y"]), "a;\nb 'x");
        assert_eq!(joined(&["b /* x", "*/ c"]), "b /* x");
    }

    fn request(text: &str) -> SqlRequest {
        SqlRequest {
            text: text.to_owned(),
            name: "sql".to_owned(),
            dialect: Some(Dialect::Lakehouse),
            atomic: false,
        }
    }

    #[test]
    fn dialect_set_by_a_statement_applies_to_later_ones() {
        let after = |text: &str| dialect_after(&request(text), None);
        assert_eq!(after("SHOW NETWORK POLICIES;"), None);
        assert_eq!(after("set dialect = snowflake;"), Some(Dialect::Snowflake));
        assert_eq!(
            after("SET dialect = snowflake; SET dialect = 'materialize';"),
            Some(Dialect::Materialize)
        );
        assert_eq!(after("SHOW x 'SET dialect = snowflake';"), None);
    }

    #[test]
    fn statement_after_a_failure_sets_no_dialect() {
        let text = "SET dialect = snowflake;\nDROP NETWORK POLICY a;\nSET dialect = lakehouse;";
        let after = |done| dialect_after(&request(text), Some(done));
        assert_eq!(after(1), Some(Dialect::Snowflake));
        assert_eq!(after(0), None);
    }

    #[test]
    fn continued_script_keeps_its_places() {
        let text = "é a;\n b; c\nd";
        assert_eq!(from_place(text, (1, 1), &[]), text);
        assert_eq!(from_place(text, (2, 5), &[]), "    \n    c\nd");
        assert_eq!(from_place(text, (3, 1), &[]), "    \n     \nd");
    }

    #[test]
    fn place_in_a_text_has_an_offset() {
        let text = "é a;\n b";
        let at = |place| &text[offset(text, place)..];
        assert_eq!(at((1, 1)), text);
        assert_eq!(at((1, 2)), " a;\n b");
        assert_eq!(at((2, 2)), "b");
        assert_eq!(at((9, 1)), "");
    }

    #[test]
    fn continued_script_keeps_its_variables() {
        let text = "SET é = 'a'\n-- b;\n;DROP NETWORK POLICY p; SET x = 1;\nDESC NETWORK POLICY p";
        let text = &text.replace('é', "e");
        let kept = variables::places(text, Some(Dialect::Snowflake));
        let rest = from_place(text, (4, 1), &kept);
        let expected = "SET e = 'a'\n;    \n                        SET x = 1;\n\
                        DESC NETWORK POLICY p";
        assert_eq!(rest, expected);
        let again = Statements::new(&rest, Some(Dialect::Snowflake)).unwrap();
        assert_eq!(again.map(Result::unwrap).count(), 3);
    }

    #[test]
    fn failure_reports_which_statements_stay_applied() {
        let of = |n: usize, atomic, dry_run| {
            let response = SqlResponse {
                results: vec![SqlResult::default(); n],
                ..SqlResponse::default()
            };
            what_stays(&response, atomic, dry_run).unwrap_or_default()
        };
        assert_eq!(of(0, false, false), "");
        assert_eq!(
            of(1, false, false),
            "the statement before it was carried out and stays"
        );
        assert_eq!(
            of(3, false, false),
            "the 3 statements before it were carried out and stay"
        );
        assert_eq!(of(0, true, false), "atomic: nothing was changed");
        assert_eq!(of(2, false, true), "dry run: nothing was changed");
    }
}
