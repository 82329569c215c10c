//! Who is connected now.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::{IntoParams, ToSchema};

use super::{BanView, Cause, MatchView, Verdict};

/// The query of `GET /v1/clients`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct ClientsQuery {
    /// Only clients in this address or CIDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Only clients of this scope: "host", a service's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Only clients that a new attempt would be denied.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub denied: bool,
    /// At most so many clients: 1 to 10,000; 1,000 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 10000))]
    pub limit: Option<usize>,
}

impl ClientsQuery {
    /// The largest `limit`.
    pub const MOST: usize = 10_000;
    /// The `limit` of a query without one.
    pub const USUAL: usize = 1_000;
}

/// `GET /v1/clients`: who is connected to ports that a policy governs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ConnectedView {
    /// Clients, by scope, then by address.
    pub items: Vec<ConnectedClient>,
    /// How many there are, in `items` or not.
    pub total: u64,
    /// Since when the agent looks at connections: what was open then has no `since`.
    pub watched_since: Timestamp,
}

/// A client's connections in a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ConnectedClient {
    /// From where.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub source: IpAddr,
    /// "host" or the service's name.
    pub scope: String,
    /// The ports that it is connected to, ascending.
    pub ports: Vec<u16>,
    /// How many connections; an MPTCP connection counts once.
    pub connections: usize,
    /// Of these, the ones that are forwarded to another network namespace or host.
    pub forwarded: usize,
    /// When the oldest of them was seen first; the agent looks every 10 s. `None`: it was open
    /// before the agent looked.
    pub since: Option<Timestamp>,
    /// Milliseconds since data came from the client or went to it, on the connection where that
    /// was last; `None`: the kernel does not say, as of forwarded ones.
    pub idle_ms: Option<u64>,
    /// What a new attempt of it would get. Established connections are never judged.
    pub verdict: Verdict,
    /// Why.
    pub reason: Cause,
    /// The reason in a sentence.
    pub sentence: String,
    /// The rule that decides, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<MatchView>,
    /// The ban that decides, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ban: Option<BanView>,
}
