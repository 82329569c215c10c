//! Generated blocks that are a table or a listing: reasons, exit codes, configuration, SQL.

use netpolicy_common::{Action, Reason};
use netpolicy_user::cli;
use netpolicy_user::config::commented_default;
use netpolicy_user::metrics::{FAMILIES, MetricKind};
use netpolicy_user::sql::Dialect;

/// Every reason with its number, action and meaning.
pub(super) fn reasons() -> String {
    let mut out =
        String::from("| Reason | Number | Action | Denial | Meaning |\n|---|--:|---|---|---|\n");
    for reason in Reason::ALL {
        out += &format!(
            "| `{}` | {} | {} | {} | {} |\n",
            reason.name(),
            *reason as u8,
            action(*reason),
            if reason.is_denial() { "yes" } else { "no" },
            reason.description(),
        );
    }
    out
}

fn action(reason: Reason) -> &'static str {
    match reason.action() {
        Action::Pass => "pass",
        Action::Drop => "drop",
    }
}

/// Every family of metrics.
pub(super) fn metrics() -> String {
    let mut out = String::from("| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n");
    for family in FAMILIES {
        let kind = match family.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Info => "info",
        };
        let labels = family.labels.iter().map(|label| format!("`{label}`"));
        let labels: Vec<_> = labels.collect();
        out += &format!(
            "| `{}` | {kind} | {} | {} |\n",
            family.sample_name(),
            labels.join(", "),
            family.help
        );
    }
    out
}

/// Every exit code.
pub(super) fn exit_codes() -> String {
    let mut out = String::from("| Code | Meaning |\n|--:|---|\n");
    for (code, meaning) in cli::exit_codes() {
        out += &format!("| {code} | {meaning} |\n");
    }
    out
}

/// The default configuration file.
pub(super) fn configuration() -> String {
    format!("```toml config\n{}```\n", commented_default())
}

/// The statements of a dialect.
pub(super) fn sql(dialect: Dialect) -> String {
    format!("```\n{}\n```\n", cli::sql_statements(dialect).join("\n"))
}
