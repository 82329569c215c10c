//! The keys of operators that a host trusts.

use minisign_verify::{PublicKey, Signature};

/// Keys in minisign's format, by the names of their files.
#[derive(Clone, Default)]
pub struct Keyring {
    keys: Vec<(String, PublicKey)>,
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
        let lines = text.trim();
        let key = match lines.contains('\n') {
            true => PublicKey::decode(lines),
            false => PublicKey::from_base64(lines),
        };
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

    /// The names of its keys.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(name, _)| name.as_str())
    }

    /// The name of the key that made this signature of these bytes.
    ///
    /// # Errors
    /// In words: none of them did.
    pub(crate) fn verify(&self, bytes: &[u8], signature: &str) -> Result<&str, String> {
        let signature = Signature::decode(signature).map_err(|error| error.to_string())?;
        let made = |key: &PublicKey| key.verify(bytes, &signature, false).is_ok();
        match self.keys.iter().find(|(_, key)| made(key)) {
            Some((name, _)) => Ok(name),
            None if self.keys.is_empty() => Err("no key is trusted here".to_owned()),
            None => {
                let names: Vec<_> = self.names().collect();
                Err(format!(
                    "none of the trusted keys made it ({})",
                    names.join(", ")
                ))
            }
        }
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
