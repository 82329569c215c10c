//! How the demonstration looks: headings, and tables of attempts.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};

use super::attempt::Attempt;
use super::client::{CLIENTS, HOST};
use crate::workspace;

/// Prints a step's heading.
pub(super) fn heading(text: &str) {
    println!();
    println!("{text}");
    println!("{}", "=".repeat(text.len()));
}

/// Prints who is there.
pub(super) fn network() {
    heading("A database host and three clients, each in a network namespace");
    let [v4, v6] = HOST;
    println!(
        "  {:<10}{v4:<16}{v6:<18}PostgreSQL's port 5432, and 8080",
        "host"
    );
    for client in &CLIENTS {
        let [v4, v6] = client.addresses;
        println!("  {:<10}{v4:<16}{v6}", client.name);
    }
}

/// Prints what the policy means for each client.
pub(super) fn reasons() {
    for client in &CLIENTS {
        println!("  {:<10}{}", client.name, client.why);
    }
    println!();
}

/// Prints a file of the workspace.
///
/// # Errors
/// When it cannot be read.
pub(super) fn file(name: &str) -> Result<()> {
    let path = workspace::root().join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    println!("$ cat {name}");
    println!("{text}");
    Ok(())
}

/// Attempts as a table, a line each.
pub(super) fn table(attempts: &[Attempt]) -> String {
    let row = |cells: [&str; 7]| {
        let [client, from, to, expected, outcome, time, mark] = cells;
        format!("  {client:<10}{from:<16}{to:<22}{expected:<11}{outcome:<11}{time:>9}   {mark}")
    };
    let mut table = String::new();
    let titles = row(["client", "from", "to", "expected", "outcome", "time", ""]);
    let _ = writeln!(table, "{}", titles.trim_end());
    for attempt in attempts {
        let line = row([
            attempt.client,
            &attempt.from.to_string(),
            &attempt.to.to_string(),
            &attempt.expected.to_string(),
            &attempt.outcome.to_string(),
            &format!("{:.1} ms", attempt.took.as_secs_f64() * 1e3),
            if attempt.as_expected() {
                "ok"
            } else {
                "UNEXPECTED"
            },
        ]);
        let _ = writeln!(table, "{line}");
    }
    table
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::super::attempt::{Expected, Outcome};
    use super::*;

    #[test]
    fn a_table_marks_what_was_not_expected() {
        let to = SocketAddr::from(([192, 0, 2, 10], 5432));
        let attempt = |expected, outcome, took| Attempt {
            client: "stranger",
            from: [198, 51, 100, 7].into(),
            to,
            expected,
            outcome,
            took: Duration::from_micros(took),
        };
        let table = table(&[
            attempt(Expected::TimesOut, Outcome::TimedOut, 1_500_000),
            attempt(Expected::TimesOut, Outcome::Connected, 420),
        ]);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(
            lines,
            [
                "  client    from            to                    expected   outcome         time",
                "  stranger  198.51.100.7    192.0.2.10:5432       times out  times out  1500.0 ms   ok",
                "  stranger  198.51.100.7    192.0.2.10:5432       times out  connects      0.4 ms   UNEXPECTED",
            ]
        );
    }
}
