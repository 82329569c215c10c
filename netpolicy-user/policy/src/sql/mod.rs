//! SQL: text to statements in three dialects, and what they mean.
//!
//! Pure. Everything but `meaning/` is about text alone and knows no state.
//! Nothing here recurses, and nothing is copied from the text: statements borrow it,
//! and an address in a list costs 12 bytes.
//!
//! ```text
//! text -> lexer (tokens with places) -> grammar -> Statement -> print (text again)
//!           |
//!        detect (which dialect, where none is named)
//! ```
//!
//! | File | Owns |
//! |---|---|
//! | `script.rs` | [`Statements`]: a script, statement by statement, and its dialect |
//! | `whole.rs` | [`WholeScript`]: a script that was read to its end |
//! | `detect.rs` | which dialect a text can be of |
//! | `lexer.rs` | tokens on top of squawk-lexer's, with every lexical error |
//! | `literal.rs` | strings and lists of them |
//! | `ident.rs` | names: how each dialect writes and folds them |
//! | `ast.rs`, `network_rule.rs` | what a statement says |
//! | `variable.rs` | what a script's variables say |
//! | `group.rs` | what a statement about a replication or failover group says |
//! | `catalog.rs` | what a query of Materialize's catalog asks for |
//! | `grammar/` | tokens to statements: one file for each family of statements |
//! | `meaning/` | what statements do: a statement and a state, to changes, tables and refusals |
//! | `print.rs` | statements, and whole policies, as canonical text |
//! | `complete.rs` | how a text ends, for who reads it piece by piece |
//! | `place.rs` | where something stands |
//! | `error.rs` | what can be wrong, in words |

mod ast;
mod catalog;
mod complete;
mod detect;
mod error;
mod grammar;
pub mod group;
mod ident;
mod lexer;
mod literal;
pub mod meaning;
pub mod network_rule;
mod place;
mod print;
mod script;
mod variable;
mod whole;

#[cfg(test)]
mod tests;

pub use crate::model::Dialect;
pub use ast::{
    AlterPolicy, AlterUser, Clauses, CreatePolicy, CurrentGrants, GrantClause, GrantedRight,
    GrantsOf, Level, Limit, PolicyBody, RequesterFunction, RuleText, Statement, SystemParameter,
    UnsetClauses, Verb,
};
pub use catalog::{CatalogQuery, Condition, RULE_NAME, Relation, Test};
pub use complete::{Ending, Tail};
pub use error::{Fault, SqlError};
pub use ident::{Ident, Quoting};
pub use literal::{Literal, Literals};
pub use place::Spot;
use print::or_what;
pub use print::{
    Lists, WriteError, comment_on, create_lists, create_rule, create_rules, write_name,
};
pub use script::{MAX_STATEMENT, MAX_TEXT, Statements, decode};
pub use variable::{Variable, VariableValue};
pub use whole::WholeScript;
