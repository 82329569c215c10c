//! An operator's key: the only thing that moves a fleet.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use minisign::{KeyPair, PublicKey, SecretKey, SecretKeyBox};
use netpolicy_fleet::{Keyring, Record, open, seal, unsigned};

use super::settings::{Settings, secret};

/// The comment in the files of keys.
const COMMENT: &str = "netpolicy fleet, operator's key";

/// Signs records.
pub(crate) struct Signer {
    key: SecretKey,
}

impl Signer {
    /// Reads the operator's key, and asks for its password if it has one that no file holds.
    ///
    /// # Errors
    /// There is none, it is not encrypted with this password, or others may read it.
    pub(crate) fn read(settings: &Settings) -> anyhow::Result<Self> {
        let path = settings.secret_key.as_deref().context(
            "secret_key: not set in the settings, expected the file of an operator's key\n\
             hint: `netpolicy fleet init` makes one, as `minisign -G` does",
        )?;
        let text = secret(path)?;
        let of = || format!("{}", path.display());
        let found = SecretKeyBox::from_string(&text).with_context(of)?;
        let file = settings.secret_key_password_file.as_deref();
        let password = file.map(secret).transpose()?;
        let password = password.map(|password| password.trim_end_matches('\n').to_owned());
        // Whether it is encrypted is known when it is read as if it were not.
        let key = match SecretKeyBox::from_string(&text)
            .and_then(SecretKeyBox::into_unencrypted_secret_key)
        {
            Ok(key) => key,
            Err(_) => found.into_secret_key(password).with_context(of)?,
        };
        Ok(Self { key })
    }

    /// Makes a key: the secret one in `path`, with a password unless `plain`, and the public one
    /// as text.
    ///
    /// # Errors
    /// The file is there already or cannot be written; no password is given.
    pub(crate) fn create(
        path: &Path,
        password: Option<String>,
        plain: bool,
    ) -> anyhow::Result<String> {
        let pair = match plain {
            true => KeyPair::generate_unencrypted_keypair(),
            false => KeyPair::generate_encrypted_keypair(password),
        };
        let pair = pair.context("make a key")?;
        let of = || format!("write {}", path.display());
        let mut file = OpenOptions::new();
        let file = file.write(true).create_new(true).mode(0o600).open(path);
        let secret = pair.sk.to_box(Some(COMMENT)).context("make a key")?;
        file.and_then(|mut file| {
            file.write_all(&secret.to_bytes())?;
            file.sync_all()
        })
        .with_context(of)?;
        Ok(pair.pk.to_box().context("make a key")?.into_string())
    }

    /// The public key of it, as text.
    ///
    /// # Errors
    /// None that a whole key can cause.
    pub(crate) fn public(&self) -> anyhow::Result<String> {
        let public = PublicKey::from_secret_key(&self.key).context("read the key")?;
        Ok(public.to_box().context("read the key")?.into_string())
    }

    /// Signs a record; the text for etcd.
    ///
    /// # Errors
    /// Hosts with these keys would refuse it.
    pub(crate) fn sign<R: Record>(&self, record: &R, keys: &Keyring) -> anyhow::Result<String> {
        let text = unsigned(record)?;
        let comment = format!("netpolicy fleet {}", record.fleet());
        let signature = minisign::sign(
            None,
            &self.key,
            text.as_bytes(),
            Some(&comment),
            Some(COMMENT),
        );
        let sealed = seal(text, signature.context("sign")?.into_string())?;
        // What no host would take is not written.
        open::<R>(&sealed, record.fleet(), keys).context(
            "the key signs what hosts would refuse\n\
             hint: its public key has to be in the directory `keys` of the settings, and on each host",
        )?;
        Ok(sealed)
    }
}

/// Writes a public key next to those that are trusted.
///
/// # Errors
/// It cannot be written.
pub(crate) fn trust(settings: &Settings, name: &str, key: &str) -> anyhow::Result<()> {
    let of = || format!("write {}", settings.keys.display());
    fs::create_dir_all(&settings.keys).with_context(of)?;
    let path = settings.keys.join(format!("{name}.pub"));
    fs::write(&path, key).with_context(|| format!("write {}", path.display()))
}
