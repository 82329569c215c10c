//! The page of the guide on compatibility says what the code does.

use super::*;

const PAGE: &str = include_str!("../../../../../../../docs/guide/sql/compatibility.md");

/// Statement and outcome of a table's row.
fn row(line: &str) -> Option<(&str, &str)> {
    let cells = line.strip_prefix("| `")?;
    let (statement, rest) = cells.split_once("` | ")?;
    let (here, _) = rest.split_once(" |")?;
    Some((statement, here))
}

#[test]
fn each_statement_of_the_page_has_the_outcome_that_it_says() {
    let mut dialect = None;
    let mut rows = 0;
    let mut wrong = Vec::new();
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            dialect = Some(heading.to_lowercase().parse::<Dialect>().unwrap());
        }
        let Some((text, here)) = row(line) else {
            continue;
        };
        rows += 1;
        let found = match outcome(dialect.unwrap(), text) {
            Ok(false) => "taken",
            Ok(true) => "note",
            Err(_) => "refused",
        };
        if found != here {
            wrong.push(format!("{text}: {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows > 100, "{rows}");
}

#[test]
fn counts_of_the_page_are_those_of_the_corpus() {
    let counts = counts();
    let all: usize = counts.iter().map(|(all, _)| all).sum();
    let same: usize = counts.iter().map(|(_, same)| same).sum();
    let says = format!("Of the {all} statements");
    assert!(PAGE.contains(&says), "{says}");
    let says = format!("{same} have the outcome that they have there");
    assert!(PAGE.contains(&says), "{says}");
}
