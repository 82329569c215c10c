//! The keys of operators that a host trusts.

use std::collections::{HashSet, VecDeque};
use std::sync::{LazyLock, Mutex};

use minisign_verify::{PublicKey, Signature};

/// Signatures that are remembered: those of the records of some hundred hosts.
const REMEMBERED: usize = 2_048;

/// Signatures that were good: most records are checked again as they were, and files of keys are
/// read again for it. For the whole process, since it is a fact of a key, bytes and a signature,
/// whoever trusts the key.
static GOOD: LazyLock<Mutex<Remembered>> = LazyLock::new(Mutex::default);

/// Hashes of keys, what was signed with them, and the signatures.
#[derive(Default)]
struct Remembered {
    known: HashSet<blake3::Hash>,
    /// The oldest first.
    order: VecDeque<blake3::Hash>,
}

impl Remembered {
    fn add(&mut self, hash: blake3::Hash) {
        if self.known.insert(hash) {
            self.order.push_back(hash);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// Keys in minisign's format, by the names of their files.
#[derive(Default)]
pub struct Keyring {
    keys: Vec<(String, PublicKey)>,
    /// Hashes of the keys, in their order.
    hashes: Vec<blake3::Hash>,
}

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: no public key in minisign's format: {why}")]
pub struct KeyError {
    name: String,
    why: String,
}

impl Keyring {
    /// Adds a key: a file that `minisign -G` writes, or its second line alone.
    ///
    /// # Errors
    /// It is no key.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), KeyError> {
        // The comment above it is no part of the key.
        let line = text.trim().lines().last().unwrap_or_default();
        let key = PublicKey::from_base64(line.trim());
        let key = key.map_err(|error| KeyError {
            name: name.to_owned(),
            why: error.to_string(),
        })?;
        self.keys.push((name.to_owned(), key));
        self.hashes.push(blake3::hash(line.trim().as_bytes()));
        Ok(())
    }

    /// Whether there is none, and so nothing to trust.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether it trusts all that another one does.
    #[must_use]
    pub fn trusts_all_of(&self, other: &Self) -> bool {
        let has = |key: &PublicKey| self.keys.iter().any(|(_, own)| own == key);
        other.keys.iter().all(|(_, key)| has(key))
    }

    /// The names of its keys.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(name, _)| name.as_str())
    }

    /// The name of the key that made this signature of these bytes.
    ///
    /// # Errors
    /// In words: none of them did.
    pub(crate) fn verify(&self, bytes: &[u8], signature: &str) -> Result<&str, String> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
        hasher.update(signature.as_bytes());
        let content = hasher.finalize();
        let with = |key: &blake3::Hash| {
            let both = [*key.as_bytes(), *content.as_bytes()];
            blake3::hash(both.as_flattened())
        };
        let known = GOOD.lock().ok().and_then(|good| {
            let mut hashes = self.hashes.iter();
            hashes.position(|key| good.known.contains(&with(key)))
        });
        let index = match known {
            Some(index) => index,
            None => {
                let index = self.find(bytes, signature)?;
                if let (Ok(mut good), Some(key)) = (GOOD.lock(), self.hashes.get(index)) {
                    good.add(with(key));
                }
                index
            }
        };
        let (name, _) = self.keys.get(index).ok_or("its key is gone")?;
        Ok(name)
    }

    fn find(&self, bytes: &[u8], signature: &str) -> Result<usize, String> {
        let signature = Signature::decode(signature).map_err(|error| error.to_string())?;
        let made = |key: &PublicKey| key.verify(bytes, &signature, false).is_ok();
        let found = self.keys.iter().position(|(_, key)| made(key));
        found.ok_or_else(|| match self.keys.is_empty() {
            true => "no key is trusted here".to_owned(),
            false => {
                let names: Vec<_> = self.names().collect();
                format!("none of the trusted keys made it ({})", names.join(", "))
            }
        })
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Operator, head};
    use crate::{Head, open};

    #[test]
    fn good_signature_is_remembered_for_its_key_alone() {
        let (operator, other) = (Operator::new(), Operator::new());
        let fleet = "prod".parse().unwrap();
        let text = operator.sign(&head(7, 3));
        let is_good = |keys: &Keyring| open::<Head>(&text, &fleet, keys).is_ok();
        for _ in 0..2 {
            assert!(is_good(&operator.keyring()));
            assert!(!is_good(&other.keyring()));
            assert!(!is_good(&Keyring::default()));
        }
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let mut memory = Remembered::default();
        let hash = |i: usize| blake3::hash(&i.to_be_bytes());
        for i in 0..REMEMBERED + 10 {
            memory.add(hash(i));
            memory.add(hash(i));
        }
        assert_eq!(
            (memory.known.len(), memory.order.len()),
            (REMEMBERED, REMEMBERED)
        );
        assert!(!memory.known.contains(&hash(9)) && memory.known.contains(&hash(10)));
    }
}
