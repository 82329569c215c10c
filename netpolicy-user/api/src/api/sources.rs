//! The memory of sources: who came, what became of it, which rules were hit, and how often.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::{IntoParams, ToSchema};

use super::Cause;
use crate::model::ListKind;

/// What became of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum SourceVerdict {
    /// They passed.
    Allowed,
    /// They were denied; in observe mode they passed nevertheless.
    Denied,
}

/// In which order sources are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum SourceOrder {
    /// Those that came last first.
    #[default]
    Last,
    /// Those with the most attempts first.
    Attempts,
    /// By address, IPv4 first.
    Source,
}

/// The query of `GET /v1/sources`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct SourcesQuery {
    /// Only sources whose attempts were denied, or passed.
    #[cfg_attr(feature = "openapi", param(inline))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<SourceVerdict>,
    /// Only sources that came since: a time, or how long ago, as in 1h or 7d.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Only attempts in this scope: "host" or a service's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Put sources together by networks of this length, 8 to 32; IPv6 by /64.
    #[cfg_attr(feature = "openapi", param(minimum = 8, maximum = 32))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net: Option<u8>,
    /// Only sources within this address or CIDR, or that hold it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covers: Option<String>,
    /// In which order.
    #[cfg_attr(feature = "openapi", param(inline))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<SourceOrder>,
    /// At most so many: 1 to 10,000; 100 if it is left out.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 10000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Go on after so many: the `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

impl SourcesQuery {
    /// Entries of a page where the query says nothing.
    pub const USUAL: usize = 100;
    /// The most that a page may have.
    pub const MOST: usize = 10_000;
}

/// What is remembered of a source in one scope with one verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct SourceView {
    /// An address; a CIDR for addresses that are remembered together.
    #[cfg_attr(feature = "openapi", schema(example = "203.0.113.9"))]
    pub source: String,
    /// How many sources that are remembered apart these are.
    pub sources: u64,
    /// "host" or the service's name.
    pub scope: String,
    /// What became of its attempts.
    pub verdict: SourceVerdict,
    /// Why, of the last one.
    pub reason: Cause,
    /// The policy that decided the last one; left out: none did alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The list of that policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<ListKind>,
    /// The named list that brought the rule to the policy, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named_list: Option<String>,
    /// The rule, as it is enforced; left out: none matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The generation of rules that decided the last one.
    pub generation: u64,
    /// When the first one came.
    pub first_seen: Timestamp,
    /// When the last one came.
    pub last_seen: Timestamp,
    /// How many came.
    pub attempts: u64,
    /// Whether some of them are estimated, since more came than were looked at one by one.
    pub sampled: bool,
}

/// `GET /v1/sources`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct SourcesPage {
    /// Sources.
    pub sources: Vec<SourceView>,
    /// How many there are, on all pages.
    pub total: u64,
    /// What to send as `after` for the next page; left out: this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// Since when sources are remembered.
    pub since: Timestamp,
    /// Attempts between `lost_from` and this time are missing, since the agent did not run, or
    /// was killed before it wrote them down; left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_before: Option<Timestamp>,
    /// See `lost_before`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_from: Option<Timestamp>,
    /// Sources that were removed to make room for others.
    pub displaced: u64,
}

/// In which order hits are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum HitOrder {
    /// By policy, list and rule.
    #[default]
    Name,
    /// Those with the most hits first.
    Hits,
}

/// The query of `GET /v1/hits`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct HitsQuery {
    /// Only those of this policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Only those with a hit since: a time, or how long ago, as in 1h or 7d.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// In which order.
    #[cfg_attr(feature = "openapi", param(inline))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<HitOrder>,
    /// At most so many: 1 to 10,000; 1,000 if it is left out.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 10000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Go on after so many: the `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

impl HitsQuery {
    /// Entries of a page where the query says nothing.
    pub const USUAL: usize = 1_000;
    /// The most that a page may have.
    pub const MOST: usize = 10_000;
}

/// How often a policy, one of its lists, or a rule decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct HitView {
    /// The policy's name.
    pub policy: String,
    /// The list; left out: all of the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<ListKind>,
    /// The named list that brought the rule to the policy, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named_list: Option<String>,
    /// The rule, as it is enforced; left out: all rules of the list together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// These were denied since no rule of the allow list matched; they are no hits of the list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unmatched: bool,
    /// Attempts that it decided.
    pub hits: u64,
    /// Whether some of them are estimated.
    pub sampled: bool,
    /// When the first one came.
    pub first_hit: Timestamp,
    /// When the last one came.
    pub last_hit: Timestamp,
    /// Since when they are counted.
    pub counted_since: Timestamp,
}

/// `GET /v1/hits`: of each policy the whole, then its lists, then its rules. What was never hit is
/// not among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct HitsPage {
    /// Hits.
    pub hits: Vec<HitView>,
    /// How many there are, on all pages.
    pub total: u64,
    /// What to send as `after` for the next page; left out: this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// Since when hits are counted.
    pub counted_since: Timestamp,
    /// Whether there were more rules with hits than are counted apart: then the hits of some
    /// rules are only in those of their lists.
    pub incomplete: bool,
}

/// How long the times are by which attempts are counted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum RateStep {
    /// Kept for 24 hours.
    #[default]
    Minute,
    /// Kept for 30 days.
    Hour,
    /// Kept for 400 days.
    Day,
}

impl RateStep {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];
}

/// The query of `GET /v1/rates`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct RatesQuery {
    /// Only attempts in this scope: "host" or a service's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Only those that this policy decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Only those that this rule decided, as it is enforced: 203.0.113.0/24.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Only those of this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>))]
    pub reason: Option<Cause>,
    /// By minute, hour or day; by minute if it is left out.
    #[cfg_attr(feature = "openapi", param(inline))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<RateStep>,
    /// Since when: a time, or how long ago, as in 1h or 7d. Left out: the last hour, day or 30
    /// days, by the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// Attempts of one scope, policy and reason within a minute, hour or day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct RateBucket {
    /// When it begins.
    pub time: Timestamp,
    /// "host" or the service's name.
    pub scope: String,
    /// The policy that decided; left out: none did alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Why they passed or were denied.
    pub reason: Cause,
    /// What became of them.
    pub verdict: SourceVerdict,
    /// How many.
    pub attempts: u64,
    /// Whether what decided is estimated of some of them: how many came in the scope for the
    /// reason is always exact.
    pub sampled: bool,
}

/// `GET /v1/rates`: times without attempts are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct RatesView {
    /// How long each time is.
    pub step: RateStep,
    /// Since when: what was asked for.
    pub since: Timestamp,
    /// Since when attempts are remembered.
    pub remembered_since: Timestamp,
    /// Attempts, in the order of time.
    pub buckets: Vec<RateBucket>,
}
