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
    /// The policy of this name.
    pub(super) fn policy(&self, name: &Ident<'_>) -> Result<&'s Policy, Wrong> {
        let policies = &self.state().policies;
        match found(name, self.dialect(), policies.iter(), |policy| &policy.name)? {
            Some(policy) => Ok(policy),
            None => Err(self.no_policy(name)),
        }
    }

    /// The same, with Materialize's `default` in that dialect.
    pub(super) fn policy_or_default(&self, name: &Ident<'_>) -> Result<PolicyOrDefault<'s>, Wrong> {
        match self.policy(name) {
            Ok(policy) => Ok(PolicyOrDefault::Real(policy)),
            Err(Wrong::UnknownPolicy(_))
                if self.has_default() && name.folded(self.dialect()) == DEFAULT =>
            {
                Ok(PolicyOrDefault::Default)
            }
            Err(wrong) => Err(wrong),
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
        let services = &self.state().services;
        let service = found(name, self.dialect(), services.iter(), |service| {
            &service.name
        })?;
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

/// What a name stands for, or nothing.
///
/// A bare name means what is called so, whatever its case. A quoted one means exactly
/// that; but in Snowflake, whose tools quote every name in capitals, one in capitals means
/// what was made here by its plain name as well: `"OFFICE"` is `office`, which in that
/// dialect is folded to OFFICE.
pub(super) fn found<'a, T>(
    name: &Ident<'_>,
    dialect: Dialect,
    all: impl Iterator<Item = &'a T>,
    name_of: impl Fn(&T) -> &Name,
) -> Result<Option<&'a T>, Wrong> {
    let text = name.text();
    let folded = name.folded(dialect);
    let mut like = all.filter(|item| name_of(item).matches(&text));
    let (Some(first), second) = (like.next(), like.next()) else {
        return Ok(None);
    };
    let candidates = [Some(first), second].into_iter().flatten().chain(like);
    if !name.is_quoted() {
        // The model lets no two names differ by case alone. If they do nevertheless,
        // neither is meant.
        return match second {
            Some(_) => Err(Wrong::SeveralNames(folded.into_owned())),
            None => Ok(Some(first)),
        };
    }
    let mut plain = None;
    for item in candidates {
        let own = name_of(item);
        if own.as_str() == text {
            return Ok(Some(item));
        }
        if dialect == Dialect::Snowflake && is_plain_in_capitals(own, &text) {
            plain = Some(item);
        }
    }
    Ok(plain)
}

/// Whether a text in capitals is a plain name, as the command line makes them.
fn is_plain_in_capitals(name: &Name, text: &str) -> bool {
    let is_plain = !name.to_written_service().starts_with('"');
    is_plain && name.as_str().to_ascii_uppercase() == text
}
