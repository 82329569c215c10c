//! What becomes of a connection attempt, and who stopped filtering.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use super::{BanView, Cause, PacketAction, RuleView, Verdict};
use crate::model::ListKind;

/// `GET /v1/explain`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ExplainView {
    /// The source in question.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub source: IpAddr,
    /// The destination port in question; `None`: a port of no service.
    pub port: Option<u16>,
    /// The interface on which the attempt arrives; `None`: any filtered one, as no route
    /// leads to the source.
    pub interface: Option<String>,
    /// How the interface was chosen.
    pub arrival: Arrival,
    /// Whether such an attempt gets the verdict of the policies: `false` if nothing is
    /// filtered where it arrives, or its scope is only observed.
    pub enforced: bool,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Whether its sender gets a TCP reset, as far as the limit and the interface allow it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answered: bool,
    /// Why.
    pub reason: Cause,
    /// The reason in a sentence.
    pub sentence: String,
    /// What the store's policies say, enforced or not.
    pub policies: PoliciesSay,
    /// The scope in which they judge it: "host" or the service's name.
    pub scope: String,
    /// The ban that decides before the policies, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ban: Option<BanView>,
    /// The rule of the policies that decides, if one does.
    pub matched: Option<MatchView>,
    /// Active policies that were consulted, as "office (allow 2, block 1)".
    pub consulted: Vec<String>,
    /// Blocks from which the policy itself excepts the source, most often none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excepted: Vec<ExceptionView>,
    /// What the loaded program says, attached or not; `None` with the reason in
    /// `kernel_error`.
    pub kernel: Option<KernelVerdict>,
    /// Why the program could not be queried.
    pub kernel_error: Option<String>,
    /// Whether policies and program agree; `true` when it could not be queried, or enforces
    /// other rules.
    pub agrees: bool,
    /// Whether the program enforces other rules than those of the policies, since the store is
    /// held: older than what is in force, or of another history.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub other_rules_in_force: bool,
    /// The past revision whose policies are asked, without bans and bypasses, which are in no
    /// revision; left out: the state as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// `GET /v1/explain/network`: what policies, bans and bypasses say of each source in a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ExplainNetworkView {
    /// The network in question, with its length and without host bits.
    pub network: String,
    /// The destination port in question; `None`: a port of no service.
    pub port: Option<u16>,
    /// The scope in which it is judged: "host" or the service's name.
    pub scope: String,
    /// Whether all its sources get the same verdict by the same rule.
    pub uniform: bool,
    /// The parts that are judged alike, ascending.
    pub parts: Vec<NetworkPart>,
    /// Whether more parts follow.
    pub more: bool,
    /// The past revision whose policies are asked, without bans and bypasses, which are in no
    /// revision; left out: the state as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// A part of a network whose sources are judged alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct NetworkPart {
    /// The first address.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub first: IpAddr,
    /// The last address.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub last: IpAddr,
    /// What becomes of its attempts where they are filtered.
    pub verdict: PacketAction,
    /// Why.
    pub reason: Cause,
    /// The reason in a sentence, of one source of the part.
    pub sentence: String,
    /// The rule that decides, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<MatchView>,
    /// The ban that decides, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ban: Option<BanView>,
}

/// How the interface of an attempt was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// The caller named it.
    Asked,
    /// The kernel routes its answers to the source there.
    Route,
    /// No route leads to the source: any filtered interface.
    AnyFiltered,
}

/// What policies say of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PoliciesSay {
    /// "pass" or "drop", what would happen in enforce mode.
    pub verdict: PacketAction,
    /// Why.
    pub reason: Cause,
    /// The reason in a sentence.
    pub sentence: String,
}

/// The rule that decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct MatchView {
    /// The policy's name.
    pub policy: String,
    /// The list that it is on.
    pub list: ListKind,
    /// The named list that brought it to the policy, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named_list: Option<String>,
    /// The rule.
    pub rule: RuleView,
}

/// A block, and the exception because of which it does not deny.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ExceptionView {
    /// The rule that would block the source.
    pub block: MatchView,
    /// The exception of the same policy.
    pub exception: MatchView,
}

/// What the loaded program says of a crafted SYN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct KernelVerdict {
    /// "pass" or "drop".
    pub verdict: PacketAction,
    /// Why.
    pub reason: Cause,
}

/// What `netpolicy explain` can say without an agent: no policies, only the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProbeView {
    /// See [`ExplainView::interface`].
    pub interface: Option<String>,
    /// See [`ExplainView::arrival`].
    pub arrival: Arrival,
    /// See [`ExplainView::enforced`].
    pub enforced: bool,
    /// What becomes of the attempt: "pass" or "drop".
    pub verdict: PacketAction,
    /// Why.
    pub reason: Cause,
    /// Why it is not filtered, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
    /// What the loaded program says, attached or not.
    pub kernel: KernelVerdict,
}

/// Who stopped all filtering, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Detached {
    /// An OS user's name; `None`: it is not known.
    pub actor: Option<String>,
    /// When; `None`: it is not known.
    pub time: Option<Timestamp>,
}

impl Detached {
    /// "detached by root at 2026-11-30 02:00:00 UTC: nothing is filtered until
    /// `netpolicy attach`"
    #[must_use]
    pub fn in_words(&self) -> String {
        let by = self.actor.as_ref().map(|actor| format!(" by {actor}"));
        let at = self
            .time
            .map(|time| format!(" at {}", time.strftime("%Y-%m-%d %H:%M:%S UTC")));
        format!(
            "detached{}{}: nothing is filtered until `netpolicy attach`",
            by.unwrap_or_default(),
            at.unwrap_or_default()
        )
    }
}
