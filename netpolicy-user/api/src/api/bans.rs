//! Bans: what is requested, and what became of each line of it.
//!
//! `POST`, `PUT` and `DELETE /v1/bans` take a JSON object a line (newline-delimited JSON), or one
//! alone, and answer with a line for each, in their order.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::{IntoParams, ToSchema};

/// The media type of requests and answers.
pub const NDJSON: &str = "application/x-ndjson";

/// A line of `POST` and `PUT /v1/bans`. Without `for` and `until` the ban has no end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BanRequest {
    /// The address or CIDR.
    #[cfg_attr(feature = "openapi", schema(example = "203.0.113.9"))]
    pub source: String,
    /// For how long from now, in seconds.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = 14_400))]
    pub seconds: Option<u64>,
    /// Until when, in place of `for`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The service; left out: the whole host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Why: at most 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who or what bans it: at most 64 bytes. Left out: the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "fail2ban"))]
    pub by: Option<String>,
    /// End existing bans of all origins at the requested time even if that is earlier. `PUT` sets
    /// the ends of its origin's bans in any case, and of no others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
}

/// A line of `DELETE /v1/bans`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UnbanRequest {
    /// The address or CIDR, as it was banned.
    #[cfg_attr(feature = "openapi", schema(example = "203.0.113.9"))]
    pub source: String,
    /// The service that it was banned for; left out: the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Only the ban of this origin, and of those that go on with a slash, such as fail2ban/sshd
    /// for fail2ban.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum BanResult {
    /// It was not banned and is now.
    Banned,
    /// It was banned, and has another end now.
    Extended,
    /// It was banned at least as long. If another origin banned it, this one's ban counts as well
    /// and stays when that one ends.
    Unchanged,
    /// It may not be banned; `detail` says why.
    Refused,
    /// It was banned and no longer is, or only by others than the origin that was named: `detail`
    /// says so.
    Unbanned,
    /// It was not banned, or not by the origin that was named: `detail` says so.
    Absent,
}

impl BanResult {
    /// Its name in JSON and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Banned => "banned",
            Self::Extended => "extended",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::Unbanned => "unbanned",
            Self::Absent => "absent",
        }
    }
}

/// A line of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct BanOutcome {
    /// The network that is banned; of a refused source the text as it was sent.
    #[cfg_attr(feature = "openapi", schema(example = "203.0.113.9/32"))]
    pub source: String,
    /// What became of it.
    pub result: BanResult,
    /// When the ban ends; left out: never, or there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why it was refused, or what else is to be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The query of `POST /v1/bans`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct BanQuery {
    /// One more address of the operator, as for changes: it is not banned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// The query of `PUT /v1/bans`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct ReplaceBansQuery {
    /// The origin, all of whose bans the body replaces.
    pub by: String,
    /// Only bans for this service end; "host": those for the whole host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Also bans of origins that go on with a slash end, such as fail2ban/sshd for fail2ban.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_parts: bool,
}

/// In which order bans are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum BanOrder {
    /// By address, IPv4 first.
    #[default]
    Source,
    /// The next to end first, those without end last.
    Until,
    /// The newest first.
    Since,
}

/// The query of `GET /v1/bans`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct BansQuery {
    /// At most so many: 1 to 10,000; 100 if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Go on after this one: the `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only bans that cover this address or network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covers: Option<String>,
    /// Only those of this origin; also those that go on with a slash, such as fail2ban/sshd
    /// for fail2ban.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Only those for this service; "host": those for the whole host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// In which order.
    #[cfg_attr(feature = "openapi", param(inline))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<BanOrder>,
    /// Only say how many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<String>,
}

impl BansQuery {
    /// Entries of a page where the query says nothing.
    pub const USUAL: usize = 100;
    /// The most that a page may have.
    pub const MOST: usize = 10_000;
}

/// A ban.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct BanView {
    /// Who is banned.
    #[cfg_attr(feature = "openapi", schema(example = "203.0.113.9/32"))]
    pub source: String,
    /// "host" or the service's name.
    pub scope: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when; null: without end.
    pub until: Option<Timestamp>,
    /// Who or what banned it.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Bans of the same source by other origins, which end no later; left out: there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<OtherBanView>,
}

/// A ban of a source that another origin bans for longer: it counts where that one is unbanned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct OtherBanView {
    /// Since when.
    pub since: Timestamp,
    /// Until when; null: without end.
    pub until: Option<Timestamp>,
    /// Who or what banned it.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// `GET /v1/bans`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct BansPage {
    /// The bans; left out with `count`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<BanView>,
    /// How many there are, on all pages.
    pub count: u64,
    /// What to send as `after` for the next page; left out: this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Of bans in `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct BansStatus {
    /// How many there are.
    pub count: u64,
    /// When the next one ends; left out: none ends, or so many ends were moved since that a short
    /// search does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_end: Option<Timestamp>,
}
