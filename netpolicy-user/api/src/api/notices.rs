//! Notices: what hooks are run for, and the hooks themselves.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::{IntoParams, ToSchema};

/// What a fault is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// An interface that is not filtered, or whose packets another program takes first.
    Interfaces,
    /// The kernel cannot be read, or not repaired.
    Kernel,
    /// The kernel's state was changed by another process, and repaired; for an hour.
    Drift,
    /// The state database.
    Store,
    /// An unconfirmed change could not be rolled back.
    Unconfirmed,
    /// The kernel's bypasses, or bypasses that exempt a whole address family.
    Bypasses,
    /// The kernel's bans.
    Bans,
    /// A feed that is stale or was never read.
    Feeds,
    /// The configuration file.
    Configuration,
    /// The memory of sources.
    Memory,
    /// Rules whose end came and that could not be removed.
    Rules,
    /// A local change over the fleet's revision, or a revision of it that was rolled back.
    Fleet,
    /// A database that does not enforce its users' policies.
    Databases,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Interfaces,
        Self::Kernel,
        Self::Drift,
        Self::Store,
        Self::Unconfirmed,
        Self::Bypasses,
        Self::Bans,
        Self::Feeds,
        Self::Configuration,
        Self::Memory,
        Self::Rules,
        Self::Fleet,
        Self::Databases,
    ];

    /// As JSON and metrics have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interfaces => "interfaces",
            Self::Kernel => "kernel",
            Self::Drift => "drift",
            Self::Store => "store",
            Self::Unconfirmed => "unconfirmed",
            Self::Bypasses => "bypasses",
            Self::Bans => "bans",
            Self::Feeds => "feeds",
            Self::Configuration => "configuration",
            Self::Memory => "memory",
            Self::Rules => "rules",
            Self::Fleet => "fleet",
            Self::Databases => "databases",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum NoticeTopic {
    /// A fault began, or all faults of its kind ended; while hooks are configured.
    Fault,
    /// A change was refused since it would have denied the operator.
    Lockout,
    /// All filtering was stopped, or begins again.
    Detach,
    /// Many bans were made within a minute.
    BanBurst,
}

impl NoticeTopic {
    /// As the configuration, JSON and `NETPOLICY_NOTICE` have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Lockout => "lockout",
            Self::Detach => "detach",
            Self::BanBurst => "ban-burst",
        }
    }
}

impl fmt::Display for NoticeTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct NoticeView {
    /// Its number, ascending from 1 since the agent started; 0: a fault that is present, whenever
    /// it began.
    pub id: u64,
    /// When.
    pub time: Timestamp,
    /// What it is about.
    pub topic: NoticeTopic,
    /// Whether it says that something is over: a kind of fault, or being detached.
    pub over: bool,
    /// What happened, in a sentence.
    pub text: String,
    /// The kind of fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultKind>,
    /// Who caused it: an OS user's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// How many bans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bans: Option<u64>,
}

/// A hook, as the configuration has it in `[[notify]]`: `run` or `url`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct HookView {
    /// The notices that it is run for.
    pub on: Vec<NoticeTopic>,
    /// The program, by its whole path, and its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Vec<String>>,
    /// Where notices are posted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Notices an hour at the most, of each topic and of each kind of fault; further ones are
    /// counted.
    pub per_hour: u32,
    /// Seconds that one may take.
    pub timeout: u64,
}

/// `GET /v1/notices`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct NoticesView {
    /// Names this run of the agent: ids of another are of no use in it.
    pub agent: String,
    /// The id of the newest notice.
    pub newest: u64,
    /// The hooks that are configured.
    pub hooks: Vec<HookView>,
    /// What came since the request's `after`; where that is of another run or left out, a notice
    /// for each kind of fault that is present, and one if all filtering is stopped.
    pub notices: Vec<NoticeView>,
    /// Notices that came since and are no longer kept.
    pub lost: u64,
}

/// The query of `GET /v1/notices`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(IntoParams))]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct NoticesQuery {
    /// The `agent` of an earlier answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The `newest` of that answer: what came since is wanted, and waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Answer after so many seconds even if nothing came: 1 to 60; 30 unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 60))]
    pub wait: Option<u64>,
}
