//! `netpolicy db …`: databases whose users have policies. `run` is done by `netpolicy-net`.

mod accounts;

use super::context::Context;
use super::failure::Exit;
use super::feed::not_here;
use super::safety::Safety;
use super::submit::submit;
use crate::model::DatabaseKind;
use crate::model::change::Change;

#[derive(Debug, clap::Subcommand)]
pub(super) enum DbCommand {
    /// Make a database on this host known, whose users can have policies
    Add(AddDatabaseArgs),
    /// Remove a database to whose users no policy is bound
    Remove {
        /// The database
        name: String,
        #[command(flatten)]
        safety: Safety,
    },
    /// List databases, their users' policies, and whether they are in force
    List,
    /// Let a user's policies not hold for a time, or hold again
    Bypass(BypassArgs),
    /// Print the statements that express a policy in another database, and what they do not express;
    /// applies nothing
    Plan(accounts::PlanArgs),
    /// Name accounts of MariaDB or MySQL that a policy restricts and the database does not
    Lint(accounts::LintAccountsArgs),
    /// Carry the policies of a database's users into it, until stopped;
    /// netpolicy-db@NAME.service runs this as the database's own user
    Run(CarryArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct AddDatabaseArgs {
    /// Its name
    name: String,
    /// What it is; for others `netpolicy db plan` prints statements
    #[arg(long, value_enum, default_value_t = KindArg::Postgresql)]
    kind: KindArg,
    /// The service on whose port it listens
    #[arg(long, value_name = "NAME")]
    service: String,
    /// The directory of its unix socket [default: /var/run/postgresql, or /tmp]
    #[arg(long, value_name = "DIR")]
    socket_dir: Option<String>,
    /// The directory that its pg_hba.conf includes [default: netpolicy.d next to pg_hba.conf, if
    /// that is included]
    #[arg(long, value_name = "DIR", conflicts_with = "hba_conf")]
    hba_dir: Option<String>,
    /// The file at whose head the lines are to stand [default: its pg_hba.conf, or a PgBouncer's
    /// auth_hba_file]
    #[arg(long, value_name = "FILE")]
    hba_conf: Option<String>,
    /// Description
    #[arg(long)]
    comment: Option<String>,
    /// In place of the database of this name, if there is one
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    safety: Safety,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum KindArg {
    /// PostgreSQL
    Postgresql,
    /// A PgBouncer before one, which has users of its own
    Pgbouncer,
}

#[derive(Debug, clap::Args)]
pub(super) struct BypassArgs {
    /// The user, as in user:alice@orders
    user: String,
    /// How long; 0: the policies hold again
    #[arg(long, default_value_t = 30)]
    minutes: u32,
    #[command(flatten)]
    safety: Safety,
}

/// Options. They are read again by the program that does it.
#[derive(Debug, clap::Args)]
pub(super) struct CarryArgs {
    /// The database
    database: String,
    /// How often it is looked whether the database still has its lines
    #[arg(long, value_name = "TIME", default_value = "10s")]
    check_every: String,
}

pub(super) async fn run(command: DbCommand, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let (change, safety) = match command {
        DbCommand::Run(_) => return Err(not_here().into()),
        DbCommand::Plan(args) => return accounts::plan(&args, cx).await,
        DbCommand::Lint(args) => return accounts::lint(&args, cx).await,
        DbCommand::List => {
            let databases = cx.client.databases().await?;
            cx.print(databases.as_slice())?;
            return Ok(Exit::Done);
        }
        DbCommand::Add(a) => {
            let change = Change::AddDatabase {
                name: a.name,
                kind: match a.kind {
                    KindArg::Postgresql => DatabaseKind::PostgreSql,
                    KindArg::Pgbouncer => DatabaseKind::PgBouncer,
                },
                service: a.service,
                socket: a.socket_dir,
                hba_dir: a.hba_dir,
                hba_conf: a.hba_conf,
                comment: a.comment,
                replace: a.replace,
            };
            (change, a.safety)
        }
        DbCommand::Remove { name, safety } => (Change::RemoveDatabase { name }, safety),
        DbCommand::Bypass(a) => {
            let change = Change::BypassUser {
                user: a.user,
                minutes: a.minutes,
            };
            (change, a.safety)
        }
    };
    submit(&change, &safety, cx).await
}
