//! The commands that ask the agent, and what each of them runs.

use clap::Subcommand;

#[cfg(feature = "console")]
use super::console;
use super::context::Context;
use super::failure::Exit;
#[cfg(feature = "top")]
use super::top;
use super::{
    apply, attach, ban, bind, bypass, clients, counters, crowdsec, db, diff, doctor, explain,
    export, feed, find, fleet, grant, history, host, import, list, monitor, notify, policy,
    service, sources, sql, status, store, verify,
};

/// Commands that talk to the agent.
#[derive(Debug, Subcommand)]
pub(super) enum ClientCommand {
    /// Show what is enforced, on which interfaces, and what is wrong
    Status,
    /// Check the host, say what is wrong and what to do; write a report for a bug report
    Doctor(doctor::DoctorArgs),
    /// Create, change and show policies
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Create, change and show lists of addresses, which policies refer to as @NAME
    #[command(subcommand)]
    List(list::ListCommand),
    /// List, show, refresh and test feeds: lists whose content comes from a URL or file
    #[command(subcommand)]
    Feed(feed::FeedCommand),
    /// Databases on this host, whose users can have policies
    #[command(subcommand)]
    Db(db::DbCommand),
    /// Define services: named TCP ports with policies of their own
    #[command(subcommand)]
    Service(service::ServiceCommand),
    /// Show and change the host's settings
    #[command(subcommand)]
    Host(host::HostCommand),
    /// Bind a policy to the host, a service or a database's user
    Bind(bind::BindArgs),
    /// Unbind a policy from the host, a service or a database's user
    Unbind(bind::BindArgs),
    /// Apply a policy file as the whole desired state
    Apply(apply::ApplyArgs),
    /// Read another program's address list, and print or apply it
    Import(Box<import::ImportArgs>),
    /// Print the whole state as a policy file
    Export(export::ExportArgs),
    /// Run SQL: a file, statements, or an interactive prompt
    Sql(sql::SqlArgs),
    /// Confirm a change that would otherwise be rolled back
    Confirm,
    /// List revisions: who changed what, when
    History(history::HistoryArgs),
    /// Restore the state of a past revision
    Rollback(history::RollbackArgs),
    /// Show how two revisions, or a policy file and what is in force, differ
    Diff(diff::DiffArgs),
    /// Explain whether sources may connect, and which rule decides
    Explain(explain::ExplainArgs),
    /// Find the policies, lists, feeds, bans and bypasses that hold or overlap a network
    Find(find::FindArgs),
    /// List who is connected to ports that a policy governs, since when, and by which rule
    Clients(clients::ClientsArgs),
    /// Read all lists back from the kernel, compare them with a fresh compile, and repair
    Verify,
    /// Show how many packets passed and were dropped, and why
    Counters,
    /// Show what comes and what is denied, by scope, source, network and rule, as it happens
    #[cfg(feature = "top")]
    Top(top::TopArgs),
    /// Print denied attempts as they happen, until Ctrl-C
    Monitor(monitor::MonitorArgs),
    /// List which sources came, what became of their attempts, and which rule decided
    Sources(sources::SourcesArgs),
    /// Show how many attempts came by minute, hour or day
    Rates(sources::RatesArgs),
    /// Serve the console, a page for the browser, on loopback until Ctrl-C
    #[cfg(feature = "console")]
    Console(console::ConsoleArgs),
    /// Ban sources, for a time or until they are unbanned, whatever policies say
    Ban(ban::BanArgs),
    /// End bans
    Unban(ban::UnbanArgs),
    /// List bans
    Bans(ban::BansArgs),
    /// Ban what CrowdSec decides: a bouncer of its local API
    #[command(subcommand)]
    Crowdsec(crowdsec::CrowdsecCommand),
    /// Run the hooks of the configuration: commands and URLs that are told of faults, lockouts,
    /// being detached and bursts of bans
    #[command(subcommand)]
    Notify(notify::NotifyCommand),
    /// Follow and operate a fleet: hosts whose policies come signed through etcd
    #[command(subcommand)]
    Fleet(fleet::FleetCommand),
    /// Exempt sources for a time
    #[command(subcommand)]
    Bypass(bypass::BypassCommand),
    /// Grant a privilege to an OS user or group
    Grant(grant::GrantArgs),
    /// Revoke a privilege
    Revoke(grant::GrantArgs),
    /// List granted privileges
    Grants,
    /// Show who did what, and what was refused
    Audit(grant::AuditArgs),
    /// Write a verified backup of the state to a file; do not copy state.db itself
    Backup(store::BackupArgs),
    /// Verify a backup and restore it; stop the agent first
    Restore(store::RestoreArgs),
    /// Rescue, acknowledge or reset the state database
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Stop all filtering at once, with or without the agent
    Detach,
    /// Filter again after `netpolicy detach`
    Attach,
}

impl ClientCommand {
    /// Runs it.
    pub(super) async fn run(self, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
        match self {
            Self::Status => status::run(cx).await,
            Self::Doctor(args) => doctor::run(args, cx).await,
            Self::Policy(command) => policy::run(command, cx).await,
            Self::List(command) => list::run(command, cx).await,
            Self::Feed(command) => feed::run(command, cx).await,
            Self::Db(command) => db::run(command, cx).await,
            Self::Service(command) => service::run(command, cx).await,
            Self::Host(command) => host::run(command, cx).await,
            Self::Bind(args) => bind::bind(args, cx).await,
            Self::Unbind(args) => bind::unbind(args, cx).await,
            Self::Apply(args) => apply::run(args, cx).await,
            Self::Import(args) => import::run(*args, cx).await,
            Self::Export(args) => export::run(&args, cx).await,
            Self::Sql(args) => sql::run(args, cx).await,
            Self::Confirm => history::confirm(cx).await,
            Self::History(args) => history::history(&args, cx).await,
            Self::Rollback(args) => history::rollback(args, cx).await,
            Self::Diff(args) => diff::run(args, cx).await,
            Self::Explain(args) => explain::run(&args, cx).await,
            Self::Find(args) => find::find(args, cx).await,
            Self::Clients(args) => clients::run(args, cx).await,
            Self::Verify => verify::run(cx).await,
            Self::Counters => counters::run(cx).await,
            #[cfg(feature = "top")]
            Self::Top(args) => top::run(args, cx).await,
            Self::Monitor(args) => monitor::run(&args, cx).await,
            Self::Sources(args) => sources::sources(args, cx).await,
            Self::Rates(args) => sources::rates(args, cx).await,
            #[cfg(feature = "console")]
            Self::Console(args) => console::run(args, cx).await,
            Self::Ban(args) => ban::ban(args, cx).await,
            Self::Unban(args) => ban::unban(args, cx).await,
            Self::Bans(args) => ban::list(args, cx).await,
            Self::Crowdsec(_) | Self::Notify(_) => Err(feed::not_here().into()),
            Self::Fleet(command) => fleet::run(command, cx).await,
            Self::Bypass(command) => bypass::run(command, cx).await,
            Self::Grant(args) => grant::grant(args, cx).await,
            Self::Revoke(args) => grant::revoke(args, cx).await,
            Self::Grants => grant::list(cx).await,
            Self::Audit(args) => grant::audit(&args, cx).await,
            Self::Backup(args) => store::backup(args, cx).await,
            Self::Restore(args) => store::restore(&args, cx),
            Self::Store(command) => store::run(command, cx).await,
            Self::Detach => attach::detach(cx).await,
            Self::Attach => attach::attach(cx).await,
        }
    }
}
