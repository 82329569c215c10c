//! The dialects and their names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::{Excerpt, closest};

/// Whose SQL a text is. The same text means different things in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Snowflake's.
    Snowflake,
    /// Materialize's.
    Materialize,
    /// Singdata Lakehouse's.
    Lakehouse,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Snowflake, Self::Materialize, Self::Lakehouse];

    /// As options and `SET dialect` take it: "snowflake".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snowflake => "snowflake",
            Self::Materialize => "materialize",
            Self::Lakehouse => "lakehouse",
        }
    }

    /// As messages write it: "Snowflake".
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Snowflake => "Snowflake",
            Self::Materialize => "Materialize",
            Self::Lakehouse => "Lakehouse",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no dialect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown dialect {found}; expected snowflake, materialize or lakehouse{}", .closest.map(|c| format!("; did you mean '{c}'?")).unwrap_or_default())]
pub struct UnknownDialect {
    /// What was written.
    found: Excerpt,
    /// A dialect that is much like it.
    closest: Option<&'static str>,
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, UnknownDialect> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownDialect {
                found: Excerpt::new(text),
                closest: closest(text, Self::ALL.map(Self::as_str)),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialect_has_one_name_everywhere() {
        for dialect in Dialect::ALL {
            let name = dialect.to_string();
            assert_eq!(name.to_uppercase().parse(), Ok(dialect));
            assert_eq!(name.parse(), Ok(dialect));
            let json = serde_json::to_string(&dialect).unwrap();
            assert_eq!(json, format!("\"{name}\""));
        }
    }

    #[test]
    fn error_of_unknown_dialect_lists_the_known_ones() {
        let error = "snowflak".parse::<Dialect>().unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown dialect 'snowflak'; expected snowflake, materialize or lakehouse; \
             did you mean 'snowflake'?"
        );
    }
}
