//! Names of fleets, groups and hosts: parts of keys, so of a small alphabet.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most characters of a name, a DNS label's.
const LONGEST: usize = 63;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is no name of a {what}: expected 1 to {LONGEST} of a-z, 0-9, '-', '_' and '.', \
     a letter or digit first"
)]
pub struct NameError {
    /// "fleet", "group" or "host".
    what: &'static str,
    text: String,
}

fn checked(what: &'static str, text: &str) -> Result<String, NameError> {
    let is_inner =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let first = text.bytes().next();
    let is_name = text.len() <= LONGEST
        && first.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && text.bytes().all(is_inner);
    match is_name {
        true => Ok(text.to_owned()),
        false => Err(NameError {
            what,
            text: text.chars().take(LONGEST + 1).collect(),
        }),
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Its text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                checked($what, text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

names! {
    /// The name of a fleet.
    FleetName "fleet";
    /// The name of a group of hosts.
    GroupName "group";
    /// The name of a host in its fleet.
    HostId "host";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parts_of_keys() {
        for good in ["a", "db-01.example.org", "0_1", &"x".repeat(63)] {
            assert_eq!(good.parse::<HostId>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-a",
            ".",
            "A",
            "a/b",
            "a b",
            "ä",
            "a\n",
            &"x".repeat(64),
        ] {
            let error = bad.parse::<FleetName>().unwrap_err();
            assert!(error.to_string().contains("of a fleet"), "{error}");
            assert!(serde_json::from_value::<GroupName>(bad.into()).is_err());
        }
    }
}
