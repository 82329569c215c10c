//! What keys ask of the agent, and its answer in a few words.

use std::net::IpAddr;

use super::screen::Order;
use crate::api::{BanRequest, BypassRequest};
use crate::client::{Client, ClientError};

/// How long a ban by a key lasts, in seconds.
const BANNED: u64 = 60 * 60;
/// How long a bypass by a key lasts, in minutes.
const EXEMPT: u32 = 30;

/// Does it, and says what came of it; what went wrong is said in words as well.
pub(super) async fn carry_out(client: &Client, order: &Order) -> Result<String, String> {
    let done = match order {
        Order::Explain { source, scope } => explain(client, source, scope).await,
        Order::Ban { source } => ban(client, source).await,
        Order::Bypass { source } => bypass(client, source).await,
    };
    done.map_err(|error| error.to_string())
}

async fn explain(client: &Client, source: &str, scope: &str) -> Result<String, ClientError> {
    let address = source.split('/').next().unwrap_or(source);
    let Ok(address) = address.parse::<IpAddr>() else {
        return Ok(format!("{source} is no address"));
    };
    let services = client.services().await?;
    let service = services.iter().find(|service| service.name == scope);
    let port = service.and_then(|service| {
        let first = service.ports.split([',', '-']).next()?;
        first.parse::<u16>().ok()
    });
    let view = client.explain(address, port, None, None).await?;
    let at = match port {
        Some(port) => format!("{address} to port {port} ({scope})"),
        None => format!("{address} on {scope}"),
    };
    Ok(format!(
        "{at}: {}\n{}\n\nany key goes on",
        view.verdict, view.sentence
    ))
}

async fn ban(client: &Client, source: &str) -> Result<String, ClientError> {
    let request = BanRequest {
        source: source.to_owned(),
        seconds: Some(BANNED),
        reason: Some("netpolicy top".to_owned()),
        ..BanRequest::default()
    };
    let outcomes = client.ban(&[request]).await?;
    let said = outcomes.iter().map(|outcome| {
        let detail = outcome.detail.as_deref();
        let detail = detail.map(|detail| format!(": {detail}"));
        format!(
            "{} {}{}",
            outcome.source,
            outcome.result.name(),
            detail.unwrap_or_default()
        )
    });
    Ok(said.collect::<Vec<_>>().join("; "))
}

async fn bypass(client: &Client, source: &str) -> Result<String, ClientError> {
    let request = BypassRequest {
        source: source.to_owned(),
        minutes: EXEMPT,
        service: None,
    };
    let granted = client.grant_bypass(&request, None).await?;
    let until = granted.expires.strftime("%H:%M:%S UTC");
    Ok(format!("{} is exempt until {until}", granted.source))
}
