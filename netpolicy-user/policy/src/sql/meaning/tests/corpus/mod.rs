//! Statements that the products' own tests, tools, manuals and users have, and what becomes
//! of each here. Compiled from public sources, which are named.
//!
//! A statement is as in its product if both take it or both refuse it. What is refused for
//! what there is or is not, such as an unknown policy, counts as taken: the form is.

use super::*;

mod lakehouse;
mod materialize;
mod page;
mod snowflake;

/// What the product does with a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Real {
    Takes,
    Refuses,
}

/// What becomes of it here.
#[derive(Clone, Copy)]
enum CorpusOutcome {
    /// It means the same.
    Taken,
    /// It means the same but for what a note says.
    Noted,
    /// With this in the message.
    Refused(&'static str),
}

use CorpusOutcome::{Noted, Refused, Taken};
use Real::{Refuses, Takes};

/// Where it is from, what it says, what the product does, what is done here.
type CorpusRow = (&'static str, &'static str, Real, CorpusOutcome);

/// Rows of texts that the product takes, all with one outcome here.
fn taken(source: &'static str, here: CorpusOutcome, texts: &[&'static str]) -> Vec<CorpusRow> {
    let row = |text: &&'static str| (source, *text, Takes, here);
    texts.iter().map(row).collect()
}

/// Rows of texts that the product refuses, each with what the message here says.
fn refused(source: &'static str, texts: &[(&'static str, &'static str)]) -> Vec<CorpusRow> {
    let row = |(text, why): &(&'static str, &'static str)| (source, *text, Refuses, Refused(why));
    texts.iter().map(row).collect()
}

/// What becomes of the statements of a text, whether something of them was noted; the message of
/// the first that is refused.
fn outcome(dialect: Dialect, text: &str) -> Result<bool, String> {
    let mut world = World::new();
    world.ok(
        Dialect::Snowflake,
        "CREATE NETWORK POLICY office ALLOWED_IP_LIST=('10.0.0.1');
         CREATE NETWORK POLICY mypolicy ALLOWED_IP_LIST=('10.0.0.1');
         CREATE NETWORK RULE office_rule TYPE=IPV4 VALUE_LIST=('10.0.0.1');
         CREATE NETWORK RULE db.s.home_rule TYPE=IPV6 VALUE_LIST=('2001:db8::/32')",
    );
    let statements = Statements::new(text, Some(dialect)).map_err(|e| e.to_string())?;
    let statements: Result<Vec<_>, _> = statements.collect();
    let statements = statements.map_err(|error| error.to_string())?;
    assert!(!statements.is_empty(), "no statement: {text}");
    let mut noted = false;
    for statement in &statements {
        let scene = Scene {
            state: &world.state,
            limits: Limits::default(),
            source: "corpus.sql",
            roles: &Few,
            grants: &[],
            address: None,
            user: "root",
            fleet: None,
        };
        noted |= !statement.notes.is_empty();
        match plan(statement, &scene) {
            Err(refusal) if refusal.iter().any(|at| is_of_the_text(&at.wrong)) => {
                return Err(refusal.messages().join("; "));
            }
            // That a rule is kept without effect is a warning, for it depends on what it says.
            Ok(Action::Changes(changes)) => {
                noted |= changes
                    .warnings
                    .iter()
                    .any(|w| w.contains("governs nothing"));
                // What the model refuses of it is for what there is.
                let _ = world.try_apply(&changes.changes);
            }
            _ => {}
        }
    }
    Ok(noted)
}

/// Whether something is wrong whatever there is.
fn is_of_the_text(wrong: &Wrong) -> bool {
    wrong.kind() == crate::model::ErrorKind::Invalid || matches!(wrong, Wrong::Model(_))
}

/// Checks all rows; how many there are, and how many are as in the product.
fn check(dialect: Dialect, rows: &[CorpusRow]) -> (usize, usize) {
    let mut wrong = Vec::new();
    let mut same = 0;
    for (source, text, real, here) in rows {
        assert!(!source.is_empty());
        let found = outcome(dialect, text);
        let is_as_said = match (here, &found) {
            (Taken, Ok(noted)) => !noted,
            (Noted, Ok(noted)) => *noted,
            (Refused(why), Err(message)) => message.contains(why),
            _ => false,
        };
        if !is_as_said {
            wrong.push(format!("{source}: {text}\n    {found:?}"));
        }
        same += usize::from((*real == Takes) == found.is_ok());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    (rows.len(), same)
}

/// Of all rows: how many there are, and how many are as in the product; by dialect.
fn counts() -> [(usize, usize); 3] {
    [
        check(Dialect::Snowflake, &snowflake::rows()),
        check(Dialect::Materialize, &materialize::rows()),
        check(Dialect::Lakehouse, &lakehouse::rows()),
    ]
}

#[test]
fn statements_of_the_products_have_the_outcome_that_is_told() {
    let counts = counts();
    let all: usize = counts.iter().map(|(all, _)| all).sum();
    let same: usize = counts.iter().map(|(_, same)| same).sum();
    println!("{same} of {all} as in the product: {counts:?}");
    assert!(same * 100 >= all * 95, "{same} of {all}");
}
