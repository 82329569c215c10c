//! What the database behind a service makes of a user.

use std::net::IpAddr;

use crate::api::{DatabaseVerdict, DatabaseView};
use crate::cli::context::Context;
use crate::cli::failure::Failure;

/// Asks for `user`, perhaps with the database behind an `@`.
pub(super) async fn explain(
    user: &str,
    source: IpAddr,
    port: Option<u16>,
    cx: &mut Context<'_>,
) -> anyhow::Result<DatabaseVerdict> {
    let databases = cx.client.databases().await?;
    let named = user.rsplit_once('@').filter(|(_, name)| {
        let mut databases = databases.iter();
        databases.any(|one| one.name.eq_ignore_ascii_case(name))
    });
    let (user, database) = match named {
        Some((user, name)) => (user, name.to_owned()),
        None => (user, behind(port, &databases, cx).await?),
    };
    Ok(cx.client.explain_user(&database, user, source).await?)
}

/// The only database behind the service of a port; without a port, the only one.
async fn behind(
    port: Option<u16>,
    databases: &[DatabaseView],
    cx: &mut Context<'_>,
) -> anyhow::Result<String> {
    let mut found: Vec<&DatabaseView> = databases.iter().collect();
    if let Some(port) = port {
        let services = cx.client.services().await?;
        let of_port = |name: &str| {
            let mut services = services.iter();
            services.any(|one| one.name == name && one.ports == port.to_string())
        };
        found.retain(|one| of_port(&one.service));
    }
    match &*found {
        [one] => Ok(one.name.clone()),
        [] => Err(
            Failure::new("no database is known there, and a packet filter sees no user")
                .hint("`netpolicy db list` shows all; `netpolicy db add` makes one known")
                .into(),
        ),
        [first, ..] => Err(Failure::new("there are several databases")
            .hint(format!(
                "name one of them, as in --user NAME@{}",
                first.name
            ))
            .into()),
    }
}
