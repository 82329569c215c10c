//! The API's data: what travels between the agent and its clients as JSON.
//!
//! Only types and their conversions; the server is the crate `netpolicy-agent`, the
//! client is in `netpolicy-user`. Requests that change the desired state are
//! [`Change`](crate::model::change::Change)s.

mod bans;
mod clients;
mod databases;
mod devices;
mod diff;
mod doctor;
mod events;
mod explain;
mod feeds;
mod find;
mod fleet;
mod lists;
mod notices;
mod paged;
mod policies;
mod policy_tests;
mod problem;
mod rehearsal;
mod safety;
mod scopes;
mod services;
mod sources;
mod sql;
mod texts;
mod verdict;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

pub use self::bans::{
    BanOrder, BanOutcome, BanQuery, BanRequest, BanResult, BanView, BansPage, BansQuery,
    BansStatus, NDJSON, OtherBanView, ReplaceBansQuery, UnbanRequest,
};
pub use self::clients::{ClientsQuery, ConnectedClient, ConnectedView};
pub use self::databases::{
    DatabaseChange, DatabaseCondition, DatabaseExplainQuery, DatabaseOrder, DatabaseOrderQuery,
    DatabaseReport, DatabaseSession, DatabaseTrial, DatabaseTrialReport, DatabaseUserView,
    DatabaseVerdict, DatabaseView, LaterLines,
};
pub use self::devices::{Attachment, Interface, OtherInterface};
pub use self::diff::DiffAnswer;
pub use self::doctor::{DoctorLine, DoctorReport, Health};
pub use self::events::{DeniedEvent, EventLine, EventsQuery};
pub use self::explain::{
    Arrival, Detached, ExceptionView, ExplainNetworkView, ExplainView, KernelVerdict, MatchView,
    NetworkPart, PoliciesSay, ProbeView,
};
pub use self::feeds::{FEEDS_SEEN, FeedContentQuery, FeedReport, FeedView, FeedsQuery};
pub use self::find::{FindQuery, FindView, FoundItem, FoundKind};
pub use self::fleet::{
    Evidence, FleetView, MissingObjects, ObjectNames, ObjectsTaken, ProbeRequest, Probed,
    ProbedVerdict, PutRevision,
};
pub use self::lists::{EntriesQuery, EntryItem, ListView};
pub use self::notices::{FaultKind, HookView, NoticeTopic, NoticeView, NoticesQuery, NoticesView};
pub use self::paged::{PageQuery, Paged, RevisionsQuery, RuleItem, RulesQuery};
pub use self::policies::{PolicyView, RuleView};
pub use self::policy_tests::PolicyTestView;
pub use self::problem::{ErrorCode, ErrorPlace, PROBLEM_JSON, ProblemDetails};
pub use self::rehearsal::{
    EvaluatePolicyQuery, EvaluateQuery, EvaluatedSource, Evaluation, RecommendQuery,
    Recommendation, RecommendedEntry, UncoveredSource,
};
pub use self::safety::{
    AcknowledgeQuery, AcknowledgedView, AuditView, CallerView, ChangeQuery, ClientsView,
    ConsentQuery, DeniedClient, Existing, GrantRequest, GrantView, NotClosed, Opens, OperatorView,
    PendingView, RescuedView, Shrink,
};
pub use self::scopes::{OpenPort, ScopeRule, ScopeStatus};
pub use self::services::{HostView, ServiceView};
pub use self::sources::{
    HitOrder, HitView, HitsPage, HitsQuery, RateBucket, RateStep, RatesQuery, RatesView,
    SourceOrder, SourceVerdict, SourceView, SourcesPage, SourcesQuery,
};
pub use self::sql::{SqlFailure, SqlRequest, SqlResponse, SqlResult};
pub use self::texts::{CHANGE_WITH_TEXTS, ChangeHead};
pub use self::verdict::{Cause, EngineName, PacketAction, Phase, Verdict};
pub use crate::model::Outcome;
pub use crate::model::effect::{Becomes, Effect, Opening};
pub use crate::model::plan::{PlanAction, PlanItem};

/// The header of a backup with its BLAKE3, hex.
pub const BACKUP_DIGEST: &str = "x-netpolicy-blake3";

/// The header of a backup with the newest revision in it.
pub const BACKUP_REVISION: &str = "x-netpolicy-revision";

/// `GET /v1/status`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Status {
    /// The agent, if one answered; `None` when read from the pins alone.
    pub agent: Option<AgentStatus>,
    /// What the kernel enforces.
    pub enforcement: Enforcement,
    /// What is wrong, in words; empty when all is well.
    pub faults: Vec<String>,
}

/// The agent's own part of [`Status`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct AgentStatus {
    /// netpolicy's version.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// When it started.
    pub started: Timestamp,
    /// Revision of the desired state.
    pub revision: u64,
    /// Policies in the store.
    pub policies: usize,
    /// Of these, the active and bound ones.
    pub active_policies: usize,
    /// Services.
    pub services: usize,
    /// Scopes whose mode is "observe", in which denials by their own lists drop
    /// nothing: "host", services' names.
    pub observing: Vec<String>,
    /// Scopes that enforce and answer denied attempts by a TCP reset: "host", services' names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answering: Vec<String>,
    /// Rules in all lists.
    pub rules: u64,
    /// Unexpired bypasses.
    pub bypasses: usize,
    /// Bans in force.
    #[serde(default)]
    pub bans: BansStatus,
    /// The change that waits for its confirmation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingView>,
    /// Feeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feeds: Vec<FeedView>,
    /// The fleet that the host is in; left out: it is in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetView>,
    /// Keys of the configuration whose new value requires a restart of the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restart: Vec<String>,
    /// Resident memory of the agent, bytes.
    pub memory_bytes: u64,
    /// Each scope: the host first, then services by name.
    #[serde(default)]
    pub scopes: Vec<ScopeStatus>,
    /// Ports that processes of the agent's network namespace listen on, and that no policy
    /// governs, but for those on loopback addresses alone; `None`: the kernel does not list them.
    #[serde(default)]
    pub open_ports: Option<Vec<OpenPort>>,
    /// How many of the newest revisions are not in force because they change nothing for packets:
    /// names, comments, inactive policies.
    #[serde(default)]
    pub without_effect: u64,
}

/// What the kernel enforces, read from the pins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Enforcement {
    /// Whether the program is attached to every configured interface.
    pub state: EnforcementState,
    /// Who stopped all filtering, and when; `None`: it is not stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detached: Option<Detached>,
    /// How the kernel holds lists; `None`: it cannot be read.
    #[serde(default)]
    pub engine: Option<EngineName>,
    /// Generation in force; 0: none yet.
    pub generation: u64,
    /// The store revision that it was compiled from.
    pub revision: u64,
    /// BLAKE3 of the ruleset in force, hex.
    pub digest: String,
    /// Prefixes in the kernel's lists.
    pub entries: u64,
    /// ABI version of the pins.
    pub abi: u32,
    /// The interfaces that are to be filtered, then others that are.
    pub interfaces: Vec<Interface>,
    /// Interfaces that are up or carry an address, and are not filtered themselves.
    #[serde(default)]
    pub others: Vec<OtherInterface>,
}

impl Enforcement {
    /// What is not filtered, in words; `None`: every interface that should be is.
    #[must_use]
    pub fn gap(&self) -> Option<String> {
        let open = self.interfaces.iter();
        let open = open.filter(|i| i.attachment == Attachment::None);
        let open: Vec<_> = open.map(|i| i.name.as_str()).collect();
        match (self.state, &self.detached) {
            (EnforcementState::Attached, _) => None,
            (_, Some(detached)) => Some(detached.in_words()),
            (EnforcementState::Detached, None) => Some(Detached::default().in_words()),
            (EnforcementState::Partial, _) => Some(format!("not filtered: {}", open.join(", "))),
            (EnforcementState::NotAttached, _) => Some(self.not_attached().to_owned()),
            (EnforcementState::Unknown, _) => {
                Some("what is filtered is not known: the kernel cannot be read".to_owned())
            }
        }
    }

    /// What being attached to no interface amounts to.
    #[must_use]
    pub fn not_attached(&self) -> &'static str {
        match self.interfaces.iter().any(|i| i.elsewhere) {
            true => "attached only in another network namespace: nothing is filtered in this one",
            false => "not attached: nothing is filtered",
        }
    }
}

/// Where enforcement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EnforcementState {
    /// Attached to every configured interface.
    Attached,
    /// Attached to some of them only.
    Partial,
    /// Attached to none: nothing is filtered.
    NotAttached,
    /// `netpolicy detach` was used: nothing is filtered until `netpolicy attach`.
    Detached,
    /// Not known; a fault says why.
    Unknown,
}

/// The answer to every change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Changed {
    /// Revision of the desired state after it (the one before, if nothing changed).
    pub revision: u64,
    /// Generation in force after it.
    pub generation: u64,
    /// Prefixes in the kernel's lists.
    pub entries: u64,
    /// Whether anything changed, or would in a dry run; `false`: the state was that already.
    #[serde(default)]
    pub changed: bool,
    /// What changed; empty: the state was that already.
    pub plan: Vec<PlanItem>,
    /// Whose attempts get another verdict by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
    /// Which connected clients it denies; `None`: it newly denies no source, so clients
    /// were not looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<ClientsView>,
    /// What it does to databases whose users have policies; empty: nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<DatabaseChange>,
    /// Of a dry run: which sources that were seen in the last 30 days it would treat otherwise;
    /// left out where it changes no verdict, or nothing is remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Evaluation>,
    /// The operator whose own address was judged, to prevent a lockout; `None`: the
    /// change newly denies no source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<OperatorView>,
    /// What it opens to every source, which required consent; of a dry run: requires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens: Option<Opens>,
    /// It waits for its confirmation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingView>,
    /// What the user should know: masked host bits and the like.
    pub warnings: Vec<String>,
    /// Whether it was only tried (`dry_run`).
    pub dry_run: bool,
    /// Milliseconds: parse and check, compile, fill the kernel's maps, store.
    pub timing: Timing,
}

/// Where an apply's time went, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Timing {
    /// Text to model.
    pub check_ms: u64,
    /// Model to ruleset.
    pub compile_ms: u64,
    /// Ruleset to kernel.
    pub fill_ms: u64,
    /// Model to store.
    pub store_ms: u64,
}

/// `POST /v1/verify`: all that the kernel holds, compared with a fresh compile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct VerifyView {
    /// Revision of the desired state.
    pub revision: u64,
    /// Generation in force, after a repair the new one.
    pub generation: u64,
    /// Prefixes in the kernel's lists.
    pub entries: u64,
    /// What differed, in words; empty when all is well.
    pub differences: Vec<String>,
    /// Whether what differed was put right.
    pub repaired: bool,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Interfaces whose packets may not be judged, though the program is attached: another
    /// program runs before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overtaken: Vec<String>,
}

/// `GET /v1/counters`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Counters {
    /// Nonzero counters, by scope, then reason.
    pub rows: Vec<CounterRow>,
    /// Events written to the ring buffer.
    pub events_sent: u64,
    /// Events not written: over the rate limit.
    pub events_limited: u64,
    /// Events not written: the ring buffer was full.
    pub events_overflowed: u64,
    /// Denied attempts that were answered by a reset.
    #[serde(default)]
    pub resets_sent: u64,
    /// Those that were to be, and were not: over the rate limit.
    #[serde(default)]
    pub resets_limited: u64,
    /// Those that were to be, and were not: the interface cannot, or it was not a plain attempt
    /// to an address of this host.
    #[serde(default)]
    pub resets_withheld: u64,
    /// Attempts of the last seconds; `None`: the agent has counted for a few seconds only, or was
    /// not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent: Option<RecentAttempts>,
}

/// Attempts of the last seconds, for rates without a second look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct RecentAttempts {
    /// How long they were counted: 5 to 15 seconds.
    pub milliseconds: u64,
    /// Scopes with attempts.
    pub scopes: Vec<RecentScope>,
}

/// Attempts in a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct RecentScope {
    /// "host" or the service's name.
    pub scope: String,
    /// Attempts that policies or bypasses let pass.
    pub passed: u64,
    /// Attempts that were denied, dropped or not.
    pub denied: u64,
}

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct CounterRow {
    /// "host", a service's name, "postgres (removed)" for a removed service, or
    /// "scope N" where its name is not known: read without the agent.
    pub scope: String,
    /// Why.
    pub reason: Cause,
    /// What happened to them.
    pub action: PacketAction,
    /// Packets, all CPUs together.
    pub packets: u64,
    /// Since when the scope's packets are counted; `None`: it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// A bypass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct BypassView {
    /// CIDR that is exempt.
    pub source: String,
    /// "host" (everything on it) or a service's name.
    pub scope: String,
    /// When it was granted.
    pub granted: Timestamp,
    /// When it expires.
    pub expires: Timestamp,
    /// Who granted it: an OS user's name.
    pub granted_by: String,
}

/// `POST /v1/bypasses`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BypassRequest {
    /// Address or CIDR.
    pub source: String,
    /// Minutes until it expires: 1 to 10,080 (a week).
    pub minutes: u32,
    /// A service's name; `None`: the host, with everything on it.
    #[serde(default)]
    pub service: Option<String>,
}

/// `GET /v1/revisions`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct RevisionView {
    /// Its number.
    pub revision: u64,
    /// When it was made.
    pub created: Timestamp,
    /// Who made it: an OS user's name.
    pub actor: String,
    /// What was done: "policy create office".
    pub action: String,
    /// What changed by it, from what to what, as the audit log has it; left out: it was not
    /// requested, or the log has no such entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// `GET /v1/progress`: what the agent is doing; for progress bars.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ProgressView {
    /// What the writer is doing.
    pub phase: Phase,
    /// Units done in this phase.
    pub done: u64,
    /// Units in this phase; 0: not known.
    pub total: u64,
}
