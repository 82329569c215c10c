//! What a user may be allowed to do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::model::error::{Excerpt, ModelError, Problem};

/// What a user may be allowed to do. Each of them but `Feed`, `Metrics`, `Fleet` and `Database`, and
/// owning a policy, includes reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Privilege {
    /// Everything.
    Admin,
    /// Make policies that govern nothing yet.
    Create,
    /// Activate and bind policies, and end that.
    Attach,
    /// Grant and revoke bypasses.
    Bypass,
    /// Ban and unban sources.
    Ban,
    /// Hand over the content of feeds, and see which there are; nothing else.
    Feed,
    /// Read metrics, and the notices that hooks are run for; nothing else.
    Metrics,
    /// Hand over what the host's fleet says, which is signed, and see what of it is in force;
    /// nothing else.
    Fleet,
    /// Carry policies of database users into a database, and see what they come to; nothing else.
    Database,
    /// See everything, the audit log included.
    Read,
}

impl Privilege {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Admin,
        Self::Create,
        Self::Attach,
        Self::Bypass,
        Self::Ban,
        Self::Feed,
        Self::Metrics,
        Self::Fleet,
        Self::Database,
        Self::Read,
    ];
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "admin",
            Self::Create => "create",
            Self::Attach => "attach",
            Self::Bypass => "bypass",
            Self::Ban => "ban",
            Self::Feed => "feed",
            Self::Metrics => "metrics",
            Self::Fleet => "fleet",
            Self::Database => "database",
            Self::Read => "read",
        })
    }
}

impl FromStr for Privilege {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let named = |privilege: &Self| text.eq_ignore_ascii_case(&privilege.to_string());
        Self::ALL.into_iter().find(named).ok_or_else(|| {
            Problem::Privilege {
                text: Excerpt::new(text),
            }
            .into()
        })
    }
}
