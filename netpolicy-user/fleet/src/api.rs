//! What fleet process and agent tell each other over the agent's socket.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::record::Pin;
use crate::{Counters, Evidence};

/// `GET /v1/fleet`: what the agent knows of its fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FleetView {
    /// The fleet's name; left out: the host is in none.
    pub fleet: Option<String>,
    /// The host's own name in it.
    pub host: Option<String>,
    /// The host's group.
    pub group: Option<String>,
    /// The revision in force, if the fleet's.
    pub at: Option<Pin>,
    /// Whether it is confirmed.
    pub confirmed: bool,
    /// When an unconfirmed one is rolled back.
    pub confirm_before: Option<Timestamp>,
    /// Since when it is in force.
    pub since: Option<Timestamp>,
    /// The newest records that were seen.
    pub counters: Counters,
    /// Since when local changes are in force.
    pub local_override: Option<Timestamp>,
    /// Whether the host changed since the revision in force left something out: it is to be handed
    /// over again.
    #[serde(default)]
    pub is_outdated: bool,
    /// What is wrong, in lines.
    pub faults: Vec<String>,
}

/// `POST /v1/fleet/objects/missing`: objects by their names, 64 hexadecimal digits each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ObjectNames {
    /// Their names.
    pub digests: Vec<String>,
}

/// Its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MissingObjects {
    /// Those that the agent lacks, in the order of the request.
    pub missing: Vec<String>,
}

/// The answer to `POST /v1/fleet/objects`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ObjectsTaken {
    /// How many objects were taken.
    pub taken: u64,
}

/// `PUT /v1/fleet/revision`: the revision that the records say. Without a revision in the
/// evidence, or with the one in force, only the counters are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PutRevision {
    /// What proves it.
    pub evidence: Evidence,
    /// Seconds until it is rolled back unless confirmed; left out: those of the group.
    pub confirm_within: Option<u32>,
}

/// `POST /v1/fleet/probe`: attempts that the program in force is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ProbeRequest {
    /// Source and local port of each: "10.0.0.2:2379".
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub must_admit: Vec<SocketAddr>,
}

/// Its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Probed {
    /// One for each, in the order of the request.
    pub verdicts: Vec<ProbedVerdict>,
}

/// What the program in force does with an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProbedVerdict {
    /// Source and local port.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub attempt: SocketAddr,
    /// Whether it passes.
    pub admitted: bool,
    /// The reason.
    pub reason: String,
}
