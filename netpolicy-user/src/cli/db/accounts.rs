//! `netpolicy db plan` and `netpolicy db lint`: databases into which nothing is carried.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure, model_failure};
use crate::database::{Account, AddressSet, OtherKind, lint_accounts, statements};
use crate::model::change::SourceText;
use crate::model::error::closest;
use crate::model::{ChangeContext, Limits, ListKind, file};
use crate::output::{Format, write_json};

/// The largest list of accounts.
const LARGEST: u64 = 64 << 20;

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OtherDatabase {
    Mariadb,
    Mysql,
    Clickhouse,
    Mongodb,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PlanArgs {
    /// The policy
    policy: String,
    /// The database
    #[arg(long, value_enum)]
    kind: OtherDatabase,
    /// The user that the policy is to hold for
    #[arg(long, value_name = "NAME")]
    user: String,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LintAccountsArgs {
    /// The policy
    policy: String,
    /// Accounts of MariaDB or MySQL, as `mysql -N -e 'SELECT user, host, account_locked FROM
    /// mysql.user'` prints them; the third column may be missing. Without it, standard input
    #[arg(value_name = "FILE")]
    accounts: Option<PathBuf>,
}

/// Prints statements; applies nothing.
pub(super) async fn plan(args: &PlanArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    if args.user.is_empty() || args.user.chars().any(char::is_control) {
        return Err(
            Failure::new("a user's name has no control characters and is not empty").into(),
        );
    }
    let allowed = allowed(&args.policy, cx).await?;
    let kind = match args.kind {
        OtherDatabase::Mariadb => OtherKind::MariaDb,
        OtherDatabase::Mysql => OtherKind::MySql,
        OtherDatabase::Clickhouse => OtherKind::ClickHouse,
        OtherDatabase::Mongodb => OtherKind::MongoDb,
    };
    let plan = statements(kind, &args.user, &allowed);
    match cx.options.format {
        Format::Json => {
            let view = serde_json::json!({"statements": plan.statements, "notes": plan.notes});
            write_json(&view, cx.out)?;
        }
        Format::Table => {
            for statement in &plan.statements {
                writeln!(cx.out, "{statement}")?;
            }
            for note in &plan.notes {
                cx.note(note)?;
            }
        }
    }
    Ok(match plan.statements.is_empty() && !plan.notes.is_empty() {
        true => Exit::Failed,
        false => Exit::Done,
    })
}

/// Names accounts. Exit code 1 when there are some.
pub(super) async fn lint(args: &LintAccountsArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let allowed = allowed(&args.policy, cx).await?;
    let mut text = String::new();
    match &args.accounts {
        Some(path) => {
            let failed = |error: io::Error| Failure::new(format!("{}: {error}", path.display()));
            let file = File::open(path).map_err(failed)?;
            file.take(LARGEST)
                .read_to_string(&mut text)
                .map_err(failed)?;
        }
        None => {
            io::stdin().take(LARGEST).read_to_string(&mut text)?;
        }
    }
    let accounts = Account::read(&text).map_err(|line| {
        Failure::new(format!(
            "line {line} is no account; expected USER, a tab, HOST, and perhaps a tab and Y or N"
        ))
        .hint("mysql -N -e 'SELECT user, host, account_locked FROM mysql.user' prints them so")
    })?;
    let findings = lint_accounts(&accounts, &allowed);
    match cx.options.format {
        Format::Json => write_json(&findings, cx.out)?,
        Format::Table => {
            for finding in &findings {
                writeln!(cx.out, "{finding}")?;
            }
        }
    }
    Ok(match findings.is_empty() {
        true => Exit::Done,
        false => Exit::Failed,
    })
}

/// What a policy lets through, by the agent's state.
async fn allowed(name: &str, cx: &mut Context<'_>) -> anyhow::Result<AddressSet> {
    let whole = SourceText {
        name: "the agent's state".to_owned(),
        text: cx.client.export(None).await?,
    };
    let context = ChangeContext {
        now: cx.options.now,
        actor: "",
        limits: Limits {
            policies: usize::MAX,
            rules_per_list: usize::MAX,
        },
        force: true,
    };
    let state = file::parse(&whole, &[], false, &context);
    let state = state.map_err(|errors| model_failure(&errors))?.state;
    let Some(policy) = state.policy(name) else {
        let names = state.policies.iter().map(|policy| policy.name.as_str());
        let meant = closest(name, names).map(|name| format!("; did you mean '{name}'?"));
        return Err(Failure::new(format!(
            "unknown policy '{}'{}",
            name.escape_debug(),
            meant.unwrap_or_default()
        ))
        .hint("`netpolicy policy list` shows what there is")
        .into());
    };
    let mut lists = ListKind::ALL
        .into_iter()
        .flat_map(|kind| policy.lists(kind));
    let is_feed = |name: &&crate::model::Name| {
        let list = state.list(name.as_str());
        list.is_some_and(|list| list.feed.is_some())
    };
    if let Some(feed) = lists.find(is_feed) {
        return Err(Failure::new(format!(
            "policy '{}' refers to feed '{feed}', whose content changes: no account of a database \
             follows it",
            policy.name
        ))
        .hint("bind the policy to the service")
        .into());
    }
    Ok(AddressSet::allowed_by(&state, std::iter::once(policy)))
}
