//! Names of policies, services and lists.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::{Excerpt, ModelError, NameProblem, Problem};

/// A policy's, service's or list's name.
///
/// As written: 3 to 28 ASCII letters, digits, underscores and hyphens, beginning with a letter or
/// an underscore, folded to lower case. In double quotes, as in SQL, it keeps its case and may
/// hold other characters: `"Head Office"`. Names that differ by case alone cannot exist
/// together, so a look-up without quotes finds a name whatever its case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Box<str>", into = "Box<str>")]
pub struct Name(Box<str>);

/// Characters that a name without quotes has at least.
const SHORTEST: usize = 3;
/// The same for a service: they are called `pg`, too.
const SHORTEST_SERVICE: usize = 2;
/// Characters that a name without quotes has at most.
const LONGEST: usize = 28;
/// Characters that a quoted name has at most: as in Snowflake and Materialize.
const LONGEST_QUOTED: usize = 255;

impl Name {
    /// A name as written, with or without quotes.
    ///
    /// # Errors
    /// [`Problem::Name`] or [`Problem::QuotedName`], which say what is wrong with it.
    pub fn new(text: &str) -> Result<Self, ModelError> {
        Self::written(text, SHORTEST)
    }

    fn written(text: &str, shortest: usize) -> Result<Self, ModelError> {
        if let Some(inner) = quoted(text) {
            return Self::exact(inner);
        }
        match fault(text, shortest) {
            None => Ok(Self(text.to_ascii_lowercase().into())),
            Some(why) => Err(Problem::Name {
                text: Excerpt::new(text),
                why,
                shortest,
            }
            .into()),
        }
    }

    /// The name that is exactly `text`: as SQL has folded it, or as it is stored.
    ///
    /// # Errors
    /// [`Problem::QuotedName`] unless it has 1 to 255 characters, none of them a control
    /// character or a double quote.
    pub fn exact(text: &str) -> Result<Self, ModelError> {
        let why = if text.is_empty() {
            Some(NameProblem::Empty)
        } else if let Some(found) = text.chars().find(|c| c.is_control() || *c == '"') {
            Some(NameProblem::Character(found))
        } else {
            let length = text.chars().count();
            (length > LONGEST_QUOTED).then_some(NameProblem::Long(length))
        };
        match why {
            None => Ok(Self(text.into())),
            Some(why) => Err(Problem::QuotedName {
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

    /// Whether `text` means this name: in quotes exactly, else whatever its case.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match quoted(text) {
            Some(inner) => *self.0 == *inner,
            None => same_fold(&self.0, text),
        }
    }

    /// Whether both differ by case alone, or not at all.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        same_fold(&self.0, &other.0)
    }

    /// The name as it has to be written, so that [`Self::new`] gives the same: in
    /// quotes unless it is a plain one.
    #[must_use]
    pub fn to_written(&self) -> Cow<'_, str> {
        self.written_from(SHORTEST)
    }

    /// The same for a list's name.
    #[must_use]
    pub fn to_written_list(&self) -> Cow<'_, str> {
        self.to_written()
    }

    /// The same for a service's name, which may be shorter without quotes.
    #[must_use]
    pub fn to_written_service(&self) -> Cow<'_, str> {
        self.written_from(SHORTEST_SERVICE)
    }

    fn written_from(&self, shortest: usize) -> Cow<'_, str> {
        let is_plain = fault(&self.0, shortest).is_none()
            && !self.0.bytes().any(|byte| byte.is_ascii_uppercase());
        if is_plain {
            Cow::Borrowed(&self.0)
        } else {
            Cow::Owned(format!("\"{}\"", self.0))
        }
    }
}

/// What is inside of the double quotes around `text`, if they are there.
fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

/// Whether both are one text but for case.
fn same_fold(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
        || (!a.is_ascii() || !b.is_ascii())
            && a.chars()
                .flat_map(char::to_lowercase)
                .eq(b.chars().flat_map(char::to_lowercase))
}

/// What is wrong with a name.
fn fault(text: &str, shortest: usize) -> Option<NameProblem> {
    let Some(first) = text.chars().next() else {
        return Some(NameProblem::Empty);
    };
    let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if let Some(found) = text.chars().find(|c| !fits(c)) {
        return Some(NameProblem::Character(found));
    }
    // From here on characters are bytes.
    if text.len() < shortest {
        return Some(NameProblem::Short(text.len()));
    }
    if text.len() > LONGEST {
        return Some(NameProblem::Long(text.len()));
    }
    (first.is_ascii_digit() || first == '-').then_some(NameProblem::Start(first))
}

/// Checks and folds a list's name, as it is written without the `@` of references.
///
/// # Errors
/// As [`Name::new`].
pub fn list_name(text: &str) -> Result<Name, ModelError> {
    Name::new(text)
}

/// Checks and folds a service's name: any but the host's.
pub(super) fn service_name(text: &str) -> Result<Name, ModelError> {
    let name = Name::written(text, SHORTEST_SERVICE)?;
    if name.matches("host") {
        return Err(Problem::NameReserved.into());
    }
    Ok(name)
}

/// That a name was folded; `None`: it is as it was written.
pub(super) fn folded(text: &str, name: &Name) -> Option<String> {
    let text = text.strip_prefix('@').unwrap_or(text);
    (quoted(text).is_none() && text != name.as_str())
        .then(|| format!("the name {text} is folded to {name}; in double quotes it keeps its case"))
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<Box<str>> for Name {
    type Error = ModelError;

    fn try_from(text: Box<str>) -> Result<Self, ModelError> {
        Self::exact(&text)
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
    fn invalid_names_are_refused_with_the_reason() {
        for (text, expected) in [
            ("", "is empty"),
            ("a", "has 1 character;"),
            ("ab", "has 2 characters"),
            (&"a".repeat(29), "has 29 characters"),
            ("1abc", "begins with '1'"),
            ("-abc", "begins with '-'"),
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
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"Office\"");
        assert!(serde_json::from_str::<Name>("\"\"").is_err());
        assert!(serde_json::from_str::<Name>("\"a\\nb\"").is_err());
    }

    #[test]
    fn quoted_names_keep_their_case_and_are_found_unquoted_in_any_case() {
        let name = Name::new("\"Head Büro\"").unwrap();
        assert_eq!(name.as_str(), "Head Büro");
        assert!(name.matches("head BÜRO"));
        assert!(name.matches("\"Head Büro\""));
        assert!(!name.matches("\"head büro\""), "in quotes it is exact");
        assert!(name.is_like(&Name::new("\"HEAD BÜRO\"").unwrap()));
        assert!(Name::new("\"a\"b\"").is_err());
        assert!(Name::new("\"\"").is_err());
        assert!(Name::new(&format!("\"{}\"", "ä".repeat(255))).is_ok());
        assert!(Name::new(&format!("\"{}\"", "ä".repeat(256))).is_err());
    }

    #[test]
    fn written_name_reads_back_as_the_same() {
        for text in ["office", "OFFICE", "Head Office", "a", "p1", "büro", "1st"] {
            let name = Name::exact(text).unwrap();
            assert_eq!(Name::new(&name.to_written()).unwrap(), name);
        }
        assert_eq!(Name::exact("office").unwrap().to_written(), "office");
        assert_eq!(Name::exact("OFFICE").unwrap().to_written(), "\"OFFICE\"");
    }

    #[test]
    fn names_may_have_hyphens() {
        for read in [Name::new, list_name, service_name] {
            let name = read("Bad-Hosts").unwrap();
            assert_eq!(name.as_str(), "bad-hosts");
            assert_eq!(name.to_written(), "bad-hosts");
            assert_eq!(name.to_written_service(), "bad-hosts");
            assert!(name.matches("BAD-HOSTS"));
            assert!(read("-bad").is_err());
        }
        assert!(list_name("bad hosts").unwrap_err().to_string().contains(
            "3 to 28 letters, digits, underscores and hyphens and begins with a letter or an underscore"
        ));
    }

    #[test]
    fn services_may_have_two_letters() {
        assert_eq!(service_name("PG").unwrap().as_str(), "pg");
        let name = service_name("pg").unwrap();
        assert_eq!(name.to_written_service(), "pg");
        assert!(service_name("p").is_err());
        assert!(service_name("Host").is_err());
        assert!(service_name("\"HOST\"").is_err());
    }
}
