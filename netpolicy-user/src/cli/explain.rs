//! `netpolicy explain`.

mod sought;
mod user;

use std::net::IpAddr;

use self::sought::{PortName, Sought};
use super::context::{Context, neither};
use super::failure::{Exit, Failure, exit_without};
use crate::api::{ExplainView, ServiceView};
use crate::model::known;
use crate::output::{Format, write_json};
use crate::{arrival, local};

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// Source addresses or CIDRs; ADDRESS:PORT and [ADDRESS]:PORT name the destination port too
    #[arg(value_name = "SRC", value_parser = Sought::read, required = true)]
    sources: Vec<Sought>,
    /// The destination port, or a service's name; without it, a port of no service
    #[arg(long, visible_alias = "service", value_name = "PORT", value_parser = PortName::read)]
    port: Option<PortName>,
    /// What the database behind the service makes of this user, as in alice, or alice@orders
    #[arg(long, value_name = "NAME", conflicts_with = "revision")]
    user: Option<String>,
    /// Ask the policies of a past revision
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
    /// The interface on which it arrives [default: that of the route to the source]
    #[arg(long, value_name = "NIC")]
    interface: Option<String>,
}

/// Exit code 1 when the loaded program disagrees with the policies; without the agent, whose
/// policies are not known then, as for any command.
pub(super) async fn run(args: &ExplainArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    let mut all = Vec::new();
    let is_one = args.sources.len() == 1;
    for (at, sought) in args.sources.iter().enumerate() {
        let port = port_of(args, sought, cx).await?;
        if at > 0 && cx.options.format == Format::Table {
            writeln!(cx.out)?;
        }
        match sought.address() {
            Some(source) => match one(args, source, port, cx).await? {
                Explained::Agent(view) => {
                    if !view.agrees {
                        exit = Exit::Failed;
                    }
                    if let Some(user) = &args.user {
                        let by_database = user::explain(user, source, port, cx).await?;
                        if !by_database.agrees {
                            exit = Exit::Failed;
                        }
                        match cx.options.format {
                            Format::Table => {
                                cx.print(&*view)?;
                                cx.print(&by_database)?;
                            }
                            Format::Json => {
                                let mut whole = serde_json::to_value(&*view)?;
                                whole["by_database"] = serde_json::to_value(&by_database)?;
                                match is_one {
                                    true => write_json(&whole, cx.out)?,
                                    false => all.push(whole),
                                }
                            }
                        }
                        continue;
                    }
                    match is_one || cx.options.format == Format::Table {
                        true => cx.print(&*view)?,
                        false => all.push(serde_json::to_value(&*view)?),
                    }
                }
                // It has printed what the kernel says.
                Explained::Kernel(without) => exit = without,
            },
            None => {
                if args.interface.is_some() {
                    return Err(Failure::new(
                        "a network's sources are judged wherever they are filtered",
                    )
                    .hint("leave --interface out, or name single addresses")
                    .into());
                }
                let network = sought.network.to_string();
                let view = cx.client.explain_network(&network, port, args.revision);
                let view = view.await?;
                match is_one || cx.options.format == Format::Table {
                    true => cx.print(&view)?,
                    false => all.push(serde_json::to_value(&view)?),
                }
            }
        }
    }
    if !all.is_empty() {
        write_json(&all, cx.out)?;
    }
    Ok(exit)
}

/// What is said of a source, and by what.
enum Explained {
    Agent(Box<ExplainView>),
    Kernel(Exit),
}

async fn one(
    args: &ExplainArgs,
    source: IpAddr,
    port: Option<u16>,
    cx: &mut Context<'_>,
) -> anyhow::Result<Explained> {
    let interface = args.interface.as_deref();
    let asked = cx.client.explain(source, port, interface, args.revision);
    match asked.await {
        Err(e) if e.is_agent_missing() && args.revision.is_none() => {
            let origin = arrival::origin(source, interface)?;
            let (bpffs_dir, state_dir) = (&cx.config.bpffs_dir, &cx.config.state_dir);
            let verdict = local::explain(bpffs_dir, state_dir, source, port, &origin)
                .map_err(|why| neither(&e, &why))?;
            cx.note_local(&e)?;
            cx.print(&verdict)?;
            Ok(Explained::Kernel(exit_without(&e)))
        }
        answer => Ok(Explained::Agent(Box::new(answer?))),
    }
}

/// The port that an argument names, or else the option.
async fn port_of(
    args: &ExplainArgs,
    sought: &Sought,
    cx: &mut Context<'_>,
) -> anyhow::Result<Option<u16>> {
    let name = match (&sought.port, &args.port) {
        (Some(own), Some(other)) if own != other => {
            let both = format!(
                "two ports are named: {own} with {}, and --port {other}",
                sought.network.addr()
            );
            return Err(Failure {
                exit: Exit::Usage,
                ..Failure::new(both).hint("leave one of them out")
            }
            .into());
        }
        (Some(own), _) => own,
        (None, Some(other)) => other,
        (None, None) => return Ok(None),
    };
    let name = match name {
        PortName::Number(port) => return Ok(Some(*port)),
        PortName::Service(name) => name,
    };
    let services = match cx.client.services().await {
        // Well-known names are good without it.
        Err(e) if e.is_agent_missing() => Vec::new(),
        services => services?,
    };
    Ok(Some(port_of_service(name, &services)?))
}

/// The first port of a service, by which all its ports are judged; else of a well-known one.
fn port_of_service(name: &str, services: &[ServiceView]) -> Result<u16, Failure> {
    let own = services
        .iter()
        .find(|service| service.name.eq_ignore_ascii_case(name));
    let ports = match (own, known::find(name)) {
        (Some(service), _) => service.ports.as_str(),
        (None, Some(known)) => known.ports.first().copied().unwrap_or_default(),
        (None, None) => {
            let similar = services
                .iter()
                .map(|service| service.name.as_str())
                .find(|service| service.to_lowercase().contains(&name.to_lowercase()));
            let similar = similar.or_else(|| known::similar(name));
            let hint = match similar {
                Some(similar) => format!("did you mean {similar}?"),
                None => "netpolicy service list shows the services".to_owned(),
            };
            return Err(Failure::new(format!(
                "unknown service '{}': expected a port from 1 to 65535, a service of this host, \
                 or a well-known name such as postgres",
                name.escape_debug()
            ))
            .hint(hint));
        }
    };
    let first = ports.split([',', '-']).next().unwrap_or_default();
    first
        .trim()
        .parse()
        .map_err(|_| Failure::new(format!("service '{}' has no ports", name.escape_debug())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_of_the_host_comes_before_a_well_known_one() {
        let service = |name: &str, ports: &str| ServiceView {
            name: name.into(),
            ports: ports.into(),
            combine: Default::default(),
            mode: Default::default(),
            on_deny: Default::default(),
            policies: Vec::new(),
            comment: None,
        };
        let own = [service("postgres", "6000-6010,7000"), service("web", "80")];
        assert_eq!(port_of_service("Postgres", &own).unwrap(), 6000);
        assert_eq!(port_of_service("postgres", &[]).unwrap(), 5432);
        assert_eq!(port_of_service("web", &own).unwrap(), 80);
        let unknown = port_of_service("postgers", &[]).unwrap_err();
        assert!(unknown.errors[0].contains("unknown service 'postgers'"));
        assert_eq!(unknown.hint.as_deref(), Some("did you mean postgres?"));
    }
}
