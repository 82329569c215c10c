//! Names of policies and services.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::{Excerpt, ModelError, NameProblem, Problem};

/// A policy's or service's name: 3 to 28 ASCII letters, digits and underscores,
/// not beginning with a digit, folded to lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Box<str>", into = "Box<str>")]
pub struct Name(Box<str>);

/// Characters that a name has at least.
const SHORTEST: usize = 3;
/// Characters that a name has at most.
const LONGEST: usize = 28;

impl Name {
    /// Checks and folds a name.
    ///
    /// # Errors
    /// [`Problem::Name`], which says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, ModelError> {
        match fault(text) {
            None => Ok(Self(text.to_ascii_lowercase().into())),
            Some(why) => Err(Problem::Name {
                text: Excerpt::new(text),
                why,
            }
            .into()),
        }
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` is this name, whatever its case.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.eq_ignore_ascii_case(text)
    }
}

/// What is wrong with a name.
fn fault(text: &str) -> Option<NameProblem> {
    let Some(first) = text.chars().next() else {
        return Some(NameProblem::Empty);
    };
    if let Some(found) = text
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || *c == '_'))
    {
        return Some(NameProblem::Character(found));
    }
    // From here on characters are bytes.
    if text.len() < SHORTEST {
        return Some(NameProblem::Short(text.len()));
    }
    if text.len() > LONGEST {
        return Some(NameProblem::Long(text.len()));
    }
    first.is_ascii_digit().then_some(NameProblem::Start(first))
}

/// Checks and folds a service's name: any but the host's.
pub(super) fn service_name(text: &str) -> Result<Name, ModelError> {
    let name = Name::new(text)?;
    if name.as_str() == "host" {
        return Err(Problem::NameReserved.into());
    }
    Ok(name)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<Box<str>> for Name {
    type Error = ModelError;

    fn try_from(text: Box<str>) -> Result<Self, ModelError> {
        Self::new(&text)
    }
}

impl From<Name> for Box<str> {
    fn from(name: Name) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_and_matched_whatever_their_case() {
        let name = Name::new("Office_2").unwrap();
        assert_eq!(name.as_str(), "office_2");
        assert!(name.matches("OFFICE_2"));
        assert!(!name.matches("office"));
        assert!(Name::new("_ab").is_ok());
        assert!(Name::new(&"a".repeat(28)).is_ok());
    }

    #[test]
    fn bad_names_say_why() {
        for (text, expected) in [
            ("", "is empty"),
            ("ab", "has 2 characters"),
            (&"a".repeat(29), "has 29 characters"),
            ("1abc", "begins with '1'"),
            ("a-bc", "holds '-'"),
            ("büro", "holds 'ü'"),
            ("a bc", "holds ' '"),
        ] {
            let message = Name::new(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn names_are_checked_when_read_back() {
        let name: Name = serde_json::from_str("\"Office\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"office\"");
        assert!(serde_json::from_str::<Name>("\"a\"").is_err());
    }
}
