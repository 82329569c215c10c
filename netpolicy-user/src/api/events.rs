//! Denied attempts as they are reported.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

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
}
