//! What travels to and from `POST /v1/sql`.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use super::{Changed, ErrorCode, Opens};
use crate::model::Dialect;

/// `POST /v1/sql`. How changes are made is said by the query, as for `/v1/changes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SqlRequest {
    /// One statement or several.
    pub text: String,
    /// What to call the text in messages and as the place of rules: a file's name, "-e".
    #[serde(default)]
    pub name: String,
    /// Its dialect; `None`: as the text says, or as detected from it.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "snowflake"))]
    pub dialect: Option<Dialect>,
    /// Make all of it one revision, or nothing of it.
    #[serde(default)]
    pub atomic: bool,
}

/// The answer: also when a statement failed. Then the HTTP status is the failure's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct SqlResponse {
    /// What each statement came to, up to the one that failed. What they changed stays,
    /// unless the whole was atomic: then nothing was changed.
    pub results: Vec<SqlResult>,
    /// Why it stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<SqlFailure>,
    /// The dialect at its end; `None`: it holds no statement.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "snowflake"))]
    pub dialect: Option<Dialect>,
}

/// What a statement came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct SqlResult {
    /// The line on which it begins, from 1.
    pub line: u32,
    /// Its first words: "CREATE NETWORK POLICY office".
    pub statement: String,
    /// What was done, in a sentence in its product's manner; of a query `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// A query's columns; empty: it was none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// A query's rows, as wide as `columns`; `None`: NULL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Vec<Option<String>>>,
    /// What it changed; of statements that are made as one, as in an atomic or a large
    /// script, the last one has it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Changed>,
    /// What the user should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Why a script stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct SqlFailure {
    /// Where, from 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// All that is wrong: what was found, what was expected. The first stands at `line`
    /// and `column`; the others say where they stand.
    pub errors: Vec<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// HTTP status.
    pub status: u16,
    /// What kind of problem it is.
    #[serde(default)]
    pub code: ErrorCode,
    /// Consent to this is all that is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens: Option<Opens>,
}
