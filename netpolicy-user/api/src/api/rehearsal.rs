//! What a candidate would have made of the sources that came, and the allow list that covers them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Cause, ServiceView};
use crate::model::effect::Becomes;

/// The query of `POST /v1/evaluate`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct EvaluateQuery {
    /// Sources seen since then: a time (RFC 3339) or how long ago, as in "30d"; 30 days unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Sources that are listed: 1 to 1,000; 100 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 1000))]
    pub limit: Option<usize>,
}

/// The query of `GET /v1/evaluate`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct EvaluatePolicyQuery {
    /// The policy: judged as if it were active and enforced.
    pub policy: String,
    /// Judge it as if it were bound to this service, or to the host ("host"), as well; none: where
    /// it is bound, and to the host if it is bound to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Sources seen since then: a time (RFC 3339) or how long ago, as in "30d"; 30 days unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Sources that are listed: 1 to 1,000; 100 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 1000))]
    pub limit: Option<usize>,
}

/// `GET` and `POST /v1/evaluate`, and a part of every dry run: a candidate, judged over the sources
/// that are remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Evaluation {
    /// Sources seen since then were judged.
    pub since: Timestamp,
    /// When the memory of sources begins, if that is later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered_since: Option<Timestamp>,
    /// How many sources were judged, each once a scope and verdict.
    pub judged: u64,
    /// Sources that got in, and that the candidate would newly deny.
    pub denied: u64,
    /// Sources that got in, and that the policies in force deny already, as the candidate would.
    pub denied_already: u64,
    /// Sources that were denied, and that the candidate would newly let in.
    pub allowed: u64,
    /// Sources that were denied, and that the policies in force let in already, as the candidate
    /// would.
    pub allowed_already: u64,
    /// The sources of `denied` and `allowed`, first those that become denied, each by attempts.
    pub sources: Vec<EvaluatedSource>,
    /// What limits the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A source that would fare otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EvaluatedSource {
    /// Its address, or its network.
    pub source: String,
    /// "host" or the service's name.
    pub scope: String,
    /// What would become of it.
    pub becomes: Becomes,
    /// Why.
    pub reason: Cause,
    /// The rule that decides, in a sentence; left out where others came more often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
    /// Its attempts with the other outcome.
    pub attempts: u64,
    /// Whether they are an estimate, from a sample.
    pub sampled: bool,
    /// When the last of them came.
    pub last_seen: Timestamp,
}

/// The query of `GET /v1/recommend`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct RecommendQuery {
    /// A service's name; none: the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Sources seen since then: a time (RFC 3339) or how long ago, as in "90d"; 90 days unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// IPv4 sources that share a network of this length become one entry: 8 to 32, 32 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 8, maximum = 32))]
    pub aggregate: Option<u8>,
    /// The same for IPv6: 32 to 128, 64 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 32, maximum = 128))]
    pub aggregate6: Option<u8>,
    /// A source stayed if so much time lies between its first attempt and its last, as in "1h",
    /// which it is unless set; "0s": every source that got in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stayed: Option<String>,
}

/// `GET /v1/recommend`: the smallest allow list that covers the sources that came and stayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Recommendation {
    /// The service; none: the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceView>,
    /// Sources seen since then were looked at.
    pub since: Timestamp,
    /// When the memory of sources begins, if that is later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered_since: Option<Timestamp>,
    /// What "stayed" means, in words: "1h".
    pub stayed: String,
    /// The allow list.
    pub entries: Vec<RecommendedEntry>,
    /// Sources that got in and that it covers.
    pub covered: u64,
    /// Sources that got in and that it does not cover, those with most attempts first.
    pub not_covered: Vec<UncoveredSource>,
    /// How many more of them there are.
    pub more_not_covered: u64,
    /// Sources that were denied and that it would let in, since an entry holds them.
    pub lets_in: Vec<UncoveredSource>,
    /// How many more of them there are.
    pub more_lets_in: u64,
    /// What limits the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// An entry of a recommended allow list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecommendedEntry {
    /// The address or CIDR.
    pub cidr: String,
    /// Sources in it that got in.
    pub sources: u64,
    /// Their attempts.
    pub attempts: u64,
    /// When the last of them came.
    pub last_seen: Timestamp,
}

/// A source that a recommended allow list does not cover, or lets in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UncoveredSource {
    /// Its address, or its network.
    pub source: String,
    /// Its attempts.
    pub attempts: u64,
    /// Whether they are an estimate, from a sample.
    pub sampled: bool,
    /// When the first of them came.
    pub first_seen: Timestamp,
    /// When the last of them came.
    pub last_seen: Timestamp,
}
