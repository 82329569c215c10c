//! Denied attempts as they are reported.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::{IntoParams, ToSchema};

use super::{Cause, PacketAction};

/// One line of `GET /v1/events` (newline-delimited JSON).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventLine {
    /// A denied attempt.
    #[cfg_attr(feature = "openapi", schema(title = "DeniedEvent"))]
    Denied(DeniedEvent),
    /// Events that were not reported since the last such line.
    #[cfg_attr(feature = "openapi", schema(title = "LostEvent"))]
    Lost {
        /// How many.
        count: u64,
    },
    /// The past is known from here on only, and earlier attempts were requested: the agent
    /// started then, or keeps no earlier ones.
    #[cfg_attr(feature = "openapi", schema(title = "KnownEvent"))]
    Known {
        /// From when on.
        since: Timestamp,
    },
}

/// The query of `GET /v1/events`: which denied attempts are reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct EventsQuery {
    /// Only from this address or CIDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Only on this service; "host": on ports of no service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Only those that this policy denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Only with this reason, as in "blocked".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cause>,
    /// First those since then which the agent still has in memory: up to 16,384.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, format = DateTime))]
    pub since: Option<Timestamp>,
    /// End after those that are in memory.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub past_only: bool,
}

/// A denied attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct DeniedEvent {
    /// When.
    pub time: Timestamp,
    /// From where.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub source: IpAddr,
    /// Source port; 0: the packet held none.
    pub source_port: u16,
    /// To where.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub destination: IpAddr,
    /// Destination port; 0: the packet held none.
    pub destination_port: u16,
    /// On which interface.
    pub interface: String,
    /// "host" or the service's name.
    pub scope: String,
    /// Why.
    pub reason: Cause,
    /// Passed in observe mode.
    pub action: PacketAction,
    /// The generation that judged it.
    pub generation: u64,
    /// The rule that denied it, by today's model: "office block 10.0.0.0/8".
    pub rule: Option<String>,
    /// The policies that denied it, by today's model: that of the rule, or those whose allow
    /// lists do not hold the source; left out: a ban denied it, or time did not suffice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}
