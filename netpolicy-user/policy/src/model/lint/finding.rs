//! What lint reports: data, and one sentence of it.

use std::fmt;

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::model::{Counted, EntriesOf, Policy, Rule, reference};

/// A likely mistake in policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Finding {
    /// Which kind of thing.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// The policies concerned, most often one; none: a service.
    pub policies: Vec<String>,
    /// "host" or the service's name, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The rule that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleAt>,
    /// Another rule, because of which it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<RuleAt>,
    /// What, why it matters, what to do: one sentence.
    pub message: String,
    /// How many more there are of this code and list that are not listed: said with the
    /// last that is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A rule and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct RuleAt {
    /// The policy.
    pub policy: String,
    /// "allow", "block" or "except".
    pub list: String,
    /// The named list that it is on, as `@name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<String>,
    /// The rule as written.
    pub text: String,
    /// Where it was read: "office.toml:4", or "--allow".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// No source passes.
    Error,
    /// A likely mistake.
    Warning,
    /// Good to know.
    Note,
}

/// The kinds of findings, in the order in which they are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", schema(as = FindingCode))]
pub enum Code {
    /// No source at all passes.
    DeniesAll,
    /// Only one family is on the allow lists: the other is denied.
    MissingFamily,
    /// `/0` on an allow list: restricts nothing in its family.
    AllowsEverything,
    /// `/0` on a block list, or blocks that are as much together: nothing of its family
    /// passes.
    BlocksEverything,
    /// Blocks that cover half of a family or more.
    BlocksHalf,
    /// `/0` among a policy's exceptions: it blocks nothing of its family.
    ExceptsEverything,
    /// An allow rule that lies wholly inside blocks: never matters.
    AllowInsideBlock,
    /// A rule that lies inside another of its list: never matters.
    CoveredRule,
    /// A rule that lies inside one of another policy of the same scopes: does not
    /// matter as long as both govern.
    CoveredByPolicy,
    /// A block that the policy's exceptions hold whole: never matters.
    ExceptedBlock,
    /// An exception that no block of its policy holds any of.
    UnneededException,
    /// An exception of one policy that another policy of the same scope blocks.
    BlockedElsewhere,
    /// A range of local addresses on a block list, or one of special purpose on a block
    /// list of public addresses.
    SpecialRange,
    /// A network written with an address inside it.
    HostBits,
    /// A policy without any rule that restricts.
    RestrictsNothing,
    /// An allow list all of whose rules end: then it allows no source.
    AllowListEnds,
    /// A policy bound to nothing.
    NotBound,
    /// An inactive policy that is bound.
    Inactive,
    /// An active policy that is bound, and only observed.
    OnlyObserved,
    /// A service that no policy governs, on a host that no policy governs.
    Ungoverned,
    /// Lists of one policy that overlap.
    OverlappingLists,
    /// A named list to which no policy refers.
    UnusedList,
    /// A reference to a network rule whose values no filter of packets can judge.
    UnjudgedList,
    /// Names that are easily mistaken for each other.
    SimilarNames,
    /// A policy test that does not hold.
    TestFailed,
}

impl Code {
    /// As in JSON and in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DeniesAll => "denies-all",
            Self::MissingFamily => "missing-family",
            Self::AllowsEverything => "allows-everything",
            Self::BlocksEverything => "blocks-everything",
            Self::BlocksHalf => "blocks-half",
            Self::ExceptsEverything => "excepts-everything",
            Self::ExceptedBlock => "excepted-block",
            Self::UnneededException => "unneeded-exception",
            Self::BlockedElsewhere => "blocked-elsewhere",
            Self::AllowInsideBlock => "allow-inside-block",
            Self::CoveredRule => "covered-rule",
            Self::CoveredByPolicy => "covered-by-policy",
            Self::SpecialRange => "special-range",
            Self::HostBits => "host-bits",
            Self::RestrictsNothing => "restricts-nothing",
            Self::AllowListEnds => "allow-list-ends",
            Self::NotBound => "not-bound",
            Self::Inactive => "inactive",
            Self::OnlyObserved => "only-observed",
            Self::Ungoverned => "ungoverned",
            Self::OverlappingLists => "overlapping-lists",
            Self::UnusedList => "unused-list",
            Self::UnjudgedList => "unjudged-list",
            Self::SimilarNames => "similar-names",
            Self::TestFailed => "test-failed",
        }
    }
}

impl Code {
    /// Of a finding about rules: what, why it matters, what to do; the same for all rules.
    #[must_use]
    pub fn meaning(self) -> Option<&'static str> {
        Some(match self {
            Self::AllowsEverything => {
                "allows a whole family, so the list restricts nothing there: name the networks that are meant"
            }
            Self::BlocksEverything => {
                "blocks a whole family, and no allow rule wins over it: write an allow list instead"
            }
            Self::AllowInsideBlock => {
                "allowed inside a block, which always wins: remove the rule, or the block"
            }
            Self::ExceptsEverything => {
                "excepts a whole family, so the policy blocks nothing there: name the networks that are meant"
            }
            Self::ExceptedBlock => {
                "blocked, and held whole by the policy's exceptions: remove the rule, or the exceptions"
            }
            Self::UnneededException => {
                "takes nothing out of what the policy blocks: remove it unless a block is to come"
            }
            Self::BlockedElsewhere => {
                "another policy of the same scope blocks it: except it there too unless that is meant"
            }
            Self::CoveredRule => "covered by another rule of the same list: remove the narrower",
            Self::CoveredByPolicy => {
                "covered by another policy while both govern: remove it unless they are to work apart"
            }
            Self::SpecialRange => {
                "not public: your own machines may be there; remove it from the list unless they are meant"
            }
            Self::HostBits => {
                "means the whole network, not the address: write it as it is enforced"
            }
            Self::DeniesAll
            | Self::BlocksHalf
            | Self::MissingFamily
            | Self::RestrictsNothing
            | Self::AllowListEnds
            | Self::NotBound
            | Self::Inactive
            | Self::OnlyObserved
            | Self::Ungoverned
            | Self::OverlappingLists
            | Self::UnusedList
            | Self::UnjudgedList
            | Self::SimilarNames
            | Self::TestFailed => return None,
        })
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

impl RuleAt {
    pub(super) fn new(policy: &Policy, counted: &Counted<'_>, rule: &Rule) -> Self {
        let named = match counted.of {
            EntriesOf::Policy(_) => None,
            EntriesOf::List(name) | EntriesOf::Every(name) => Some(reference(name)),
        };
        let place = counted.entries.place(rule);
        Self {
            policy: policy.name.to_string(),
            list: counted.kind.to_string(),
            named,
            text: rule.text().into_owned(),
            place: place.map(|place| place.to_string()),
        }
    }

    /// "10.0.0.0/8 (office.toml:4)", with the named list that it is on.
    pub(super) fn in_words(&self) -> String {
        let mut words = self.text.clone();
        if let Some(named) = &self.named {
            words.push_str(&format!(" of list {named}"));
        }
        if let Some(place) = &self.place {
            words.push_str(&format!(" ({place})"));
        }
        words
    }
}
