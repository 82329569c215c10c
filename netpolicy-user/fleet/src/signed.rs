//! A record as text with its signature: what is signed are the very bytes that are read, so that
//! two readers cannot understand two things.
//!
//! The text in etcd is a JSON object with two strings: the record, and the signature of its bytes.
//! The record is a line that names its type and format, and JSON.

use netpolicy_store::store::ObjectId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::record::{Group, Head, HostSpec, Revision, Rollout};
use crate::{FleetName, Keyring};

/// The format of all records.
const FORMAT: u32 = 1;

/// The largest text of a record, bytes.
const LARGEST: usize = 256 << 10;

/// Why a text is no signed record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// It is cut short, or something else.
    #[error("the {what} is not a signed record: {why}")]
    Malformed {
        /// "head", "group".
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Its signature is not one of a trusted key.
    #[error("the {what}'s signature is refused: {why}")]
    Forged {
        /// "head", "group".
        what: &'static str,
        /// Why.
        why: String,
    },
    /// A newer netpolicy made it.
    #[error(
        "the {what} has format {found}, made by a newer netpolicy; this one reads up to {FORMAT}"
    )]
    Newer {
        /// "head", "group".
        what: &'static str,
        /// The format.
        found: u32,
    },
    /// It is signed, but is another record.
    #[error("the {what} is of another {of}: {found}, expected {expected}")]
    Other {
        /// "head", "group".
        what: &'static str,
        /// "fleet", "group", "host" or "revision".
        of: &'static str,
        /// Which one.
        found: String,
        /// Which one was expected.
        expected: String,
    },
}

/// What is signed.
pub trait Record: Serialize + DeserializeOwned {
    /// Its type's name in records and messages.
    const WHAT: &'static str;

    /// Its fleet.
    fn fleet(&self) -> &FleetName;

    /// The counter that never goes back; `None`: the record is never replaced.
    fn counter(&self) -> Option<u64>;

    /// The names of states that it holds.
    fn roots(&self) -> Vec<&str>;
}

macro_rules! records {
    ($($record:ident $what:literal $counter:expr, $roots:expr;)*) => {$(
        impl Record for $record {
            const WHAT: &'static str = $what;

            fn fleet(&self) -> &FleetName {
                &self.fleet
            }

            fn counter(&self) -> Option<u64> {
                let of: fn(&Self) -> Option<u64> = $counter;
                of(self)
            }

            fn roots(&self) -> Vec<&str> {
                let of: fn(&Self) -> Vec<&str> = $roots;
                of(self)
            }
        }
    )*};
}

records! {
    Revision "revision" |_| None, |record| vec![record.root.as_str()];
    Head "head" |record| Some(record.counter), |record| {
        let pins = record.base.iter().chain([&record.newest]);
        pins.map(|pin| pin.root.as_str()).collect()
    };
    Group "group" |record| Some(record.counter),
        |record| record.pinned.iter().map(|pin| pin.root.as_str()).collect();
    Rollout "rollout" |record| Some(record.counter), |record| {
        let pins = record.from.iter().chain([&record.to]);
        pins.map(|pin| pin.root.as_str()).collect()
    };
    HostSpec "host" |record| Some(record.counter), |_| Vec::new();
}

/// A record whose signature a trusted key made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<R> {
    /// The record.
    pub record: R,
    /// The name of the key.
    pub key: String,
    /// The hash of the signed text.
    pub digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    record: String,
    signature: String,
}

/// What an operator signs.
///
/// # Errors
/// None that the data can cause.
pub fn unsigned<R: Record>(record: &R) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(record)?;
    Ok(format!("{}{FORMAT}\n{json}", header::<R>()))
}

/// The text of what [`unsigned`] made and its signature, a minisign signature file.
///
/// # Errors
/// None that the data can cause.
pub fn seal(record: String, signature: String) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Envelope { record, signature })
}

/// Reads a record of this fleet that one of these keys signed.
///
/// # Errors
/// See [`SignedError`].
pub fn open<R: Record>(
    text: &str,
    fleet: &FleetName,
    keys: &Keyring,
) -> Result<Opened<R>, SignedError> {
    let malformed = |why: String| SignedError::Malformed { what: R::WHAT, why };
    if text.len() > LARGEST {
        return Err(malformed(format!(
            "it has {} bytes, expected {LARGEST} at most",
            text.len()
        )));
    }
    let Envelope { record, signature } =
        serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
    // Nothing of it is read before its signature is known.
    let key = keys
        .verify(record.as_bytes(), &signature)
        .map_err(|why| SignedError::Forged { what: R::WHAT, why })?;
    let (line, json) = record
        .split_once('\n')
        .ok_or_else(|| malformed("it has no line of its type".to_owned()))?;
    let format = line.strip_prefix(header::<R>().as_str());
    let format = format.and_then(|format| format.parse::<u32>().ok());
    match format {
        Some(FORMAT) => {}
        Some(found) if found > FORMAT => {
            return Err(SignedError::Newer {
                what: R::WHAT,
                found,
            });
        }
        _ => return Err(malformed(format!("it begins with '{line}'"))),
    }
    let digest = blake3::hash(record.as_bytes()).to_hex().to_string();
    let opened: R = serde_json::from_str(json).map_err(|error| malformed(error.to_string()))?;
    if opened.fleet() != fleet {
        return Err(SignedError::Other {
            what: R::WHAT,
            of: "fleet",
            found: opened.fleet().to_string(),
            expected: fleet.to_string(),
        });
    }
    let mut roots = opened.roots().into_iter();
    if let Some(root) = roots.find(|root| ObjectId::from_hex(root).is_none()) {
        return Err(malformed(format!("'{root}' is no name of a state")));
    }
    Ok(Opened {
        record: opened,
        key: key.to_owned(),
        digest,
    })
}

/// Before the format in a record's first line.
fn header<R: Record>() -> String {
    format!("netpolicy fleet {}, format ", R::WHAT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Operator, group, head};

    #[test]
    fn record_is_read_as_it_was_signed_and_by_no_other_key() {
        let (operator, other) = (Operator::new(), Operator::new());
        let fleet = "prod".parse().unwrap();
        let text = operator.sign(&head(7, 3));
        let opened: Opened<Head> = open(&text, &fleet, &operator.keyring()).unwrap();
        assert_eq!(opened.record, head(7, 3));
        assert_eq!(opened.key, "operator.pub");
        let refused =
            |text: &str, keys: &Keyring| open::<Head>(text, &fleet, keys).unwrap_err().to_string();
        let forged = refused(&text, &other.keyring());
        assert!(
            forged.contains("none of the trusted keys made it"),
            "{forged}"
        );
        let untrusted = refused(&text, &Keyring::default());
        assert!(untrusted.contains("no key is trusted"), "{untrusted}");
        // Each byte counts: none can be changed, and no end cut off.
        let altered = text.replace("\\\"counter\\\":7", "\\\"counter\\\":8");
        assert_ne!(altered, text);
        assert!(refused(&altered, &operator.keyring()).contains("none of the trusted"));
        for len in 0..text.len() {
            refused(&text[..len], &operator.keyring());
        }
    }

    #[test]
    fn record_of_another_kind_format_or_fleet_is_refused() {
        let operator = Operator::new();
        let keys = operator.keyring();
        let fleet = "prod".parse().unwrap();
        let text = operator.sign(&group("db", 1));
        let kind = open::<Head>(&text, &fleet, &keys).unwrap_err();
        assert!(kind.to_string().contains("it begins with"), "{kind}");
        let other = open::<Group>(&text, &"test".parse().unwrap(), &keys).unwrap_err();
        let expected = "the group is of another fleet: prod, expected test";
        assert_eq!(other.to_string(), expected);

        let newer = unsigned(&group("db", 1)).unwrap();
        let newer = newer.replacen("format 1", "format 2", 1);
        let newer = operator.sign_text(&newer);
        let newer = open::<Group>(&newer, &fleet, &keys).unwrap_err();
        assert!(
            matches!(newer, SignedError::Newer { found: 2, .. }),
            "{newer}"
        );

        let mut rootless = head(1, 1);
        "x".clone_into(&mut rootless.newest.root);
        let rootless = open::<Head>(&operator.sign(&rootless), &fleet, &keys).unwrap_err();
        assert!(
            rootless.to_string().contains("no name of a state"),
            "{rootless}"
        );
    }
}
