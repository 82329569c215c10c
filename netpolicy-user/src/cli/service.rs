//! `netpolicy service …`.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::context::Context;
use super::failure::Exit;
use super::safety::Safety;
use super::submit::submit;
use crate::model::change::Change;
use crate::model::{Combine, Mode};

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
}

#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    /// Its name
    name: String,
    /// Its TCP ports and ranges, as in 5432,7000-7010
    #[arg(long, required = true, value_name = "PORTS", value_delimiter = ',')]
    port: Vec<String>,
    /// Whether its policies replace the host's, or both must pass
    #[arg(long, value_parser = combine_parser(), default_value = "override")]
    combine: Combine,
    /// Whether denied attempts are dropped, or only counted and reported
    #[arg(long, value_parser = mode_parser(), default_value = "enforce")]
    mode: Mode,
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
        ServiceCommand::Add(a) => {
            let change = Change::AddService {
                name: a.name,
                ports: a.port,
                combine: a.combine,
                mode: a.mode,
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
                comment: a.set.comment,
            };
            (change, a.safety)
        }
        ServiceCommand::Remove { name, safety } => (Change::RemoveService { name }, safety),
    };
    submit(&change, &safety, cx).await
}

/// `enforce` or `observe`.
pub(super) fn mode_parser() -> impl TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(["enforce", "observe"]).map(|text| match text.as_str() {
        "observe" => Mode::Observe,
        _ => Mode::Enforce,
    })
}

fn combine_parser() -> impl TypedValueParser<Value = Combine> {
    PossibleValuesParser::new(["override", "and"]).map(|text| match text.as_str() {
        "and" => Combine::And,
        _ => Combine::Override,
    })
}
