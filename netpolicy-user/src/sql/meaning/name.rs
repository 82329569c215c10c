//! Names in statements: of policies and services that there are, and of new policies.

use super::{Cx, Dialect, Wrong};
use crate::model::error::Excerpt;
use crate::model::{Name, Policy, Service};
use crate::sql::Ident;

/// Materialize's policy that is there from the start.
pub(super) const DEFAULT: &str = "default";

/// Prefixes of names that Materialize keeps to itself.
const RESERVED: [&str; 3] = ["mz_", "pg_", "external_"];

/// A policy that a name of Materialize's dialect stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum PolicyOrDefault<'a> {
    /// It is in the state.
    Real(&'a Policy),
    /// `default`, as it is from the start: it allows all and is in no state.
    Default,
}

impl<'s> Cx<'s, '_> {
    /// The policy of this name: a bare one whatever its case, a quoted one exactly.
    pub(super) fn policy(&self, name: &Ident<'_>) -> Result<&'s Policy, Wrong> {
        self.state()
            .policy(&look_up(name))
            .ok_or_else(|| self.no_policy(name))
    }

    /// The same, with Materialize's `default` in that dialect.
    pub(super) fn policy_or_default(&self, name: &Ident<'_>) -> Result<PolicyOrDefault<'s>, Wrong> {
        match self.state().policy(&look_up(name)) {
            Some(policy) => Ok(PolicyOrDefault::Real(policy)),
            None if self.has_default() && name.folded(self.dialect()) == DEFAULT => {
                Ok(PolicyOrDefault::Default)
            }
            None => Err(self.no_policy(name)),
        }
    }

    fn no_policy(&self, name: &Ident<'_>) -> Wrong {
        let dialect = self.dialect();
        let name = name.folded(dialect).into_owned();
        match dialect {
            Dialect::Snowflake => Wrong::NoPolicy(name),
            Dialect::Materialize => Wrong::UnknownPolicy(name),
            Dialect::Lakehouse => Wrong::MissingPolicy(name),
        }
    }

    /// Whether Materialize's `default` is there without being in the state.
    pub(super) fn has_default(&self) -> bool {
        self.dialect() == Dialect::Materialize
            && !self.state().host.compat.default_dropped()
            && self.state().policy(DEFAULT).is_none()
    }

    /// The service of this name.
    pub(super) fn service(&self, name: &Ident<'_>) -> Result<&'s Service, Wrong> {
        let service = self.state().service(&look_up(name));
        service.ok_or_else(|| Wrong::NoUser(name.folded(self.dialect()).into_owned()))
    }

    /// The policy whose name is too similar for a new one of this name.
    pub(super) fn like(&self, name: &Name) -> Option<&'s Policy> {
        let mut policies = self.state().policies.iter();
        policies.find(|policy| policy.name.is_like(name))
    }

    /// Refuses a name that a policy has.
    pub(super) fn taken(&self, name: &str) -> Wrong {
        match self.dialect() {
            Dialect::Snowflake => Wrong::ObjectExists(name.to_owned()),
            _ => Wrong::PolicyExists(name.to_owned()),
        }
    }

    /// A new policy's name.
    pub(super) fn new_name(&self, name: &Ident<'_>) -> Result<Name, Wrong> {
        new_name(
            &name.folded(self.dialect()),
            name.is_quoted(),
            self.dialect(),
        )
    }
}

/// Checks a new policy's name, which is folded already.
pub(super) fn new_name(text: &str, is_quoted: bool, dialect: Dialect) -> Result<Name, Wrong> {
    let refuse = |why, hint| {
        Err(Wrong::NewName {
            found: Excerpt::new(text),
            dialect,
            why,
            hint,
        })
    };
    match dialect {
        Dialect::Lakehouse => {
            const HINT: &str = "a name is 3 to 28 letters, digits and underscores";
            match text.chars().count() {
                0..=2 => return refuse("it is shorter than 3 characters", HINT),
                3..=28 => {}
                _ => return refuse("it is longer than 28 characters", HINT),
            }
        }
        // "must start with an alphabetic character" unless quoted, see
        // <https://docs.snowflake.com/en/sql-reference/sql/create-network-policy>
        Dialect::Snowflake => {
            let is_letter = text.starts_with(|c: char| c.is_ascii_alphabetic());
            if !is_quoted && !is_letter {
                return refuse(
                    "it does not begin with a letter",
                    "put double quotes around it, or choose another name",
                );
            }
        }
        Dialect::Materialize => {
            if RESERVED.iter().any(|prefix| text.starts_with(prefix)) {
                return Err(Wrong::ReservedName(Excerpt::new(text)));
            }
        }
    }
    Ok(Name::exact(text)?)
}

/// The name as the model looks it up.
fn look_up(name: &Ident<'_>) -> String {
    let text = name.text();
    if name.is_quoted() {
        format!("\"{text}\"")
    } else {
        text.into_owned()
    }
}
