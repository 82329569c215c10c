//! `netpolicy service …`.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::context::Context;
use super::failure::{Exit, Failure};
use super::safety::Safety;
use super::submit::submit;
use crate::model::change::Change;
use crate::model::{Combine, Mode, OnDeny, known};

#[derive(Debug, clap::Subcommand)]
pub(super) enum ServiceCommand {
    /// Add a service: a name for TCP ports
    Add(AddArgs),
    /// Change a service; what is not named stays
    Alter(AlterServiceArgs),
    /// Remove a service to which no policy is bound
    Remove {
        /// The service
        name: String,
        #[command(flatten)]
        safety: Safety,
    },
    /// List all services
    List,
    /// List well-known services, whose ports `netpolicy service add` takes unless it is given
    /// others
    Known,
}

#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    /// Its name
    name: String,
    /// Its TCP ports and ranges, as in 5432,7000-7010; required unless the name is that of a
    /// well-known service (`netpolicy service known`)
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    port: Vec<String>,
    /// Whether its policies replace the host's, or both must pass
    #[arg(long, value_parser = combine_parser(), default_value = "override")]
    combine: Combine,
    /// Whether denied attempts are dropped, or only counted and reported
    #[arg(long, value_parser = mode_parser(), default_value = "enforce")]
    mode: Mode,
    /// What the sender of a denied attempt gets: nothing, or a TCP reset
    #[arg(long, value_parser = on_deny_parser(), default_value = "drop")]
    on_deny: OnDeny,
    /// Description
    #[arg(long)]
    comment: Option<String>,
    #[command(flatten)]
    safety: Safety,
}

#[derive(Debug, clap::Args)]
pub(super) struct AlterServiceArgs {
    /// The service
    name: String,
    #[command(flatten)]
    set: ServiceAlterations,
    #[command(flatten)]
    safety: Safety,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct ServiceAlterations {
    /// New TCP ports and ranges, all of them
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    port: Option<Vec<String>>,
    /// Whether its policies replace the host's, or both must pass
    #[arg(long, value_parser = combine_parser())]
    combine: Option<Combine>,
    /// Whether denied attempts are dropped, or only counted and reported
    #[arg(long, value_parser = mode_parser())]
    mode: Option<Mode>,
    /// What the sender of a denied attempt gets: nothing, or a TCP reset
    #[arg(long, value_parser = on_deny_parser())]
    on_deny: Option<OnDeny>,
    /// Description; an empty one removes it
    #[arg(long)]
    comment: Option<String>,
}

pub(super) async fn run(command: ServiceCommand, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let (change, safety) = match command {
        ServiceCommand::List => {
            let services = cx.client.services().await?;
            cx.print(services.as_slice())?;
            return Ok(Exit::Done);
        }
        ServiceCommand::Known => {
            cx.print(known::services())?;
            return Ok(Exit::Done);
        }
        ServiceCommand::Add(a) => {
            let ports = match a.port.is_empty() {
                true => known_ports(&a.name, cx)?,
                false => a.port,
            };
            let change = Change::AddService {
                name: a.name,
                ports,
                combine: a.combine,
                mode: a.mode,
                on_deny: a.on_deny,
                comment: a.comment,
            };
            (change, a.safety)
        }
        ServiceCommand::Alter(a) => {
            let change = Change::AlterService {
                name: a.name,
                ports: a.set.port,
                combine: a.set.combine,
                mode: a.set.mode,
                on_deny: a.set.on_deny,
                comment: a.set.comment,
            };
            (change, a.safety)
        }
        ServiceCommand::Remove { name, safety } => (Change::RemoveService { name }, safety),
    };
    submit(&change, &safety, cx).await
}

/// The ports of a well-known service, which a note names: they become part of the state.
fn known_ports(name: &str, cx: &mut Context<'_>) -> anyhow::Result<Vec<String>> {
    if let Some(service) = known::find(name) {
        cx.note(&format!(
            "the ports of {} are {}: {}; --port names others",
            service.name,
            service.ports.join(","),
            service.description
        ))?;
        return Ok(service.ports.iter().map(|&port| port.to_owned()).collect());
    }
    let hint = match known::similar(name) {
        Some(known) => format!("did you mean {known}? If not, name the ports"),
        None => "name the ports".to_owned(),
    };
    let failure = Failure::new(format!(
        "no ports are given, and '{name}' is not the name of a well-known service"
    ));
    Err(Failure {
        exit: Exit::Usage,
        ..failure.hint(format!(
            "{hint}, as in --port 5432; `netpolicy service known` lists well-known services"
        ))
    }
    .into())
}

/// `enforce` or `observe`.
pub(super) fn mode_parser() -> impl TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(["enforce", "observe"]).map(|text| match text.as_str() {
        "observe" => Mode::Observe,
        _ => Mode::Enforce,
    })
}

/// `drop` or `reset`.
pub(super) fn on_deny_parser() -> impl TypedValueParser<Value = OnDeny> {
    PossibleValuesParser::new(["drop", "reset"]).map(|text| match text.as_str() {
        "reset" => OnDeny::Reset,
        _ => OnDeny::Drop,
    })
}

fn combine_parser() -> impl TypedValueParser<Value = Combine> {
    PossibleValuesParser::new(["override", "and"]).map(|text| match text.as_str() {
        "and" => Combine::And,
        _ => Combine::Override,
    })
}
