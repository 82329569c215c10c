//! The keys of operators that a host trusts.

use std::collections::VecDeque;
use std::sync::Mutex;

use minisign_verify::{PublicKey, Signature};

/// Signatures that are remembered: those of the records of a host, twice.
const REMEMBERED: usize = 16;

/// Keys in minisign's format, by the names of their files.
#[derive(Default)]
pub struct Keyring {
    keys: Vec<(String, PublicKey)>,
    /// Hashes of what was signed and its signature, and which key it was: most records are
    /// checked again as they were.
    good: Mutex<VecDeque<(blake3::Hash, usize)>>,
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
        let hash = hasher.finalize();
        let index = match self.remembered(&hash) {
            Some(index) => index,
            None => {
                let index = self.find(bytes, signature)?;
                self.remember(hash, index);
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

    fn remembered(&self, hash: &blake3::Hash) -> Option<usize> {
        let good = self.good.lock().ok()?;
        let found = good.iter().find(|(known, _)| known == hash);
        found.map(|(_, index)| *index)
    }

    fn remember(&self, hash: blake3::Hash, index: usize) {
        if let Ok(mut good) = self.good.lock() {
            good.push_back((hash, index));
            if good.len() > REMEMBERED {
                good.pop_front();
            }
        }
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
