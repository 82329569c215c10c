//! What changes say of lists: where rules come from, and how lists are edited.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::model::RuleList;

/// Where a list's rules come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ListInput {
    /// Addresses, CIDRs or ranges, one an item; in a policy also `@name` for a named list.
    #[serde(default)]
    pub items: Vec<String>,
    /// Whole list files.
    #[serde(default)]
    pub files: Vec<SourceText>,
    /// A name for each of these rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A comment for each of these rules that has none in its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// When each of these rules ends; without it, none has an end, also where it is on the
    /// list already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Leave out bad lines of files, with a warning, instead of refusing.
    #[serde(default)]
    pub skip_invalid: bool,
    /// Take files in which no line is an address as empty, instead of refusing them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_empty: bool,
    /// A list that is read and checked already, instead of items and files: from SQL,
    /// whose dialects have checks of their own. Says nothing of named lists. Does not travel.
    #[serde(skip)]
    pub ready: Option<RuleList>,
}

impl ListInput {
    /// A list that is read already.
    #[must_use]
    pub fn of(list: RuleList) -> Self {
        Self {
            ready: Some(list),
            ..Self::default()
        }
    }

    /// Whether it names no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
            && self.files.is_empty()
            && self.ready.as_ref().is_none_or(RuleList::is_empty)
    }
}

/// An edit of one list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(tag = "edit", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ListEdit {
    /// Leave it.
    #[default]
    #[cfg_attr(feature = "openapi", schema(title = "KeepList"))]
    Keep,
    /// No list: the policy allows any (for a block list: nothing is blocked; for exceptions:
    /// there are none).
    #[cfg_attr(feature = "openapi", schema(title = "AnyList"))]
    Any,
    /// Replace it.
    #[cfg_attr(feature = "openapi", schema(title = "SetList"))]
    Set {
        /// The new list.
        list: ListInput,
    },
    /// Add rules and remove rules. A rule to add that is there, and one to remove that is
    /// not, are warned of and change nothing. Adding to an allow part of `any` makes it `only`.
    #[cfg_attr(feature = "openapi", schema(title = "EditList"))]
    Edit {
        /// Rules to add.
        #[serde(default)]
        add: ListInput,
        /// Rules to remove, by what they mean (`10.0.0.1/24` removes `10.0.0.0/24`).
        #[serde(default)]
        remove: ListInput,
    },
}

impl ListEdit {
    /// Whether it leaves the list as it is.
    #[must_use]
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

/// An edit of a policy's references to named lists, by their names without `@`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(tag = "edit", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ReferenceEdit {
    /// Refer to these alone.
    #[cfg_attr(feature = "openapi", schema(title = "SetReferences"))]
    Set {
        /// The lists.
        lists: Vec<String>,
    },
    /// Refer to these as well.
    #[cfg_attr(feature = "openapi", schema(title = "AddReferences"))]
    Add {
        /// The lists.
        lists: Vec<String>,
    },
    /// Refer to these no longer.
    #[cfg_attr(feature = "openapi", schema(title = "RemoveReferences"))]
    Remove {
        /// The lists.
        lists: Vec<String>,
    },
}

/// A text and what to call it in messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SourceText {
    /// A file name, or `-` for standard input.
    pub name: String,
    /// Its content.
    pub text: String,
}
