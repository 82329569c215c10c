//! What every command of an operator needs: etcd, the fleet's keys, a signature, a lock.

use std::path::Path;

use anyhow::Context as _;
use etcd_client::{PutOptions, TxnOp};
use jiff::Timestamp;
use netpolicy_fleet::{FleetKey, FleetName, Keyring, Layout, Record};
use serde::{Deserialize, Serialize};

use super::etcd::{Etcd, Swapped};
use super::mirror::is_no_mirror;
use super::settings::Settings;
use super::sign::Signer;
use super::snapshot::Snapshot;

/// How long the lock stays without its holder, seconds.
const LOCK: i64 = 60;

/// An operator at work.
pub(crate) struct Operator {
    pub(crate) settings: Settings,
    pub(crate) etcd: Etcd,
    pub(crate) keys: Keyring,
    pub(crate) layout: Layout,
    pub(crate) author: String,
    signer: Option<Signer>,
}

/// Who holds the lock.
#[derive(Serialize, Deserialize)]
struct Holder {
    author: String,
    since: Timestamp,
    what: String,
}

/// The lock, held.
pub(crate) struct Lock {
    lease: i64,
    /// etcd's revision of the lock's key.
    pub(crate) written: (String, i64),
}

impl Operator {
    /// Reads the settings and connects to etcd.
    ///
    /// # Errors
    /// The settings are wrong; no member answers.
    pub(crate) async fn connect(path: &Path) -> anyhow::Result<Self> {
        let settings = Settings::read(path)?;
        let keys = settings.keyring()?;
        Self::with(settings, keys).await
    }

    pub(crate) async fn with(settings: Settings, keys: Keyring) -> anyhow::Result<Self> {
        let layout = Layout::new(&settings.fleet);
        let etcd = Etcd::any(&settings, &layout.key(&FleetKey::Head)).await?;
        Ok(Self {
            layout,
            etcd,
            keys,
            author: author(),
            signer: None,
            settings,
        })
    }

    pub(crate) fn fleet(&self) -> &FleetName {
        &self.settings.fleet
    }

    /// The fleet now.
    ///
    /// # Errors
    /// etcd does not give it.
    pub(crate) async fn snapshot(&self) -> anyhow::Result<Snapshot> {
        Snapshot::read(&self.etcd, self.fleet(), &self.keys).await
    }

    /// Signs a record; the key's password is asked for once.
    ///
    /// # Errors
    /// There is no key, or hosts do not trust it.
    pub(crate) fn sign<R: Record>(&mut self, record: &R) -> anyhow::Result<String> {
        let signer = match self.signer.take() {
            Some(signer) => signer,
            None => Signer::read(&self.settings)?,
        };
        let signed = signer.sign(record, &self.keys);
        self.signer = Some(signer);
        signed
    }

    /// Asks for the key's password now rather than later.
    ///
    /// # Errors
    /// There is no key.
    pub(crate) fn unlock(&mut self) -> anyhow::Result<()> {
        if self.signer.is_none() {
            self.signer = Some(Signer::read(&self.settings)?);
        }
        Ok(())
    }

    /// Writes a record unless it was written since `written`.
    ///
    /// # Errors
    /// Another operator was faster.
    pub(crate) async fn write<R: Record>(
        &mut self,
        key: &FleetKey,
        record: &R,
        written: i64,
    ) -> anyhow::Result<()> {
        is_no_mirror(self).await?;
        let text = self.sign(record)?;
        let key = self.layout.key(key);
        let put = vec![TxnOp::put(key.as_str(), text, None)];
        match self.etcd.swap(&[(key.clone(), written)], put).await? {
            Swapped::Done => Ok(()),
            Swapped::Changed => anyhow::bail!(
                "{key} was changed by another operator meanwhile; nothing was written\n\
                 hint: look at `netpolicy fleet status`, then repeat the command"
            ),
        }
    }

    /// Takes the lock under which objects are written and swept.
    ///
    /// # Errors
    /// Another operator holds it.
    pub(crate) async fn lock(&self, what: &str) -> anyhow::Result<Lock> {
        let key = self.layout.key(&FleetKey::Lock);
        let mut client = self.etcd.client.clone();
        let lease = self.etcd.within(client.lease_grant(LOCK, None)).await?.id();
        let holder = Holder {
            author: self.author.clone(),
            since: Timestamp::now(),
            what: what.to_owned(),
        };
        let put = PutOptions::new().with_lease(lease);
        let put = TxnOp::put(key.as_str(), serde_json::to_vec(&holder)?, Some(put));
        let taken = self.etcd.swap(&[(key.clone(), 0)], vec![put]).await?;
        let found = self.etcd.get(&key).await?;
        match (taken, found) {
            (Swapped::Done, Some(found)) => Ok(Lock {
                lease,
                written: (key, found.written),
            }),
            (_, found) => {
                let holder: Option<Holder> =
                    found.and_then(|found| serde_json::from_slice(&found.value).ok());
                let holder = holder.map_or_else(
                    || "another operator".to_owned(),
                    |holder| {
                        format!(
                            "{} ({}, since {:.0})",
                            holder.author, holder.what, holder.since
                        )
                    },
                );
                anyhow::bail!(
                    "{holder} is at work on fleet {}; nothing was changed\n\
                     hint: repeat the command; the lock of a command that was killed ends after {LOCK} s",
                    self.fleet()
                )
            }
        }
    }

    /// Keeps the lock for as long again.
    ///
    /// # Errors
    /// etcd does not answer.
    pub(crate) async fn keep(&self, lock: &Lock) -> anyhow::Result<()> {
        let mut client = self.etcd.client.clone();
        let (mut keeper, _answers) = self
            .etcd
            .within(client.lease_keep_alive(lock.lease))
            .await?;
        self.etcd.within(keeper.keep_alive()).await?;
        Ok(())
    }

    /// Gives the lock back; it ends by itself otherwise.
    pub(crate) async fn unlock_fleet(&self, lock: Lock) {
        let mut client = self.etcd.client.clone();
        let revoked = self.etcd.within(client.lease_revoke(lock.lease)).await;
        if let Err(error) = revoked {
            tracing::warn!("the lock is left to end by itself: {error}");
        }
    }
}

/// Who this is, for readers.
fn author() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::current());
    let user = user
        .ok()
        .flatten()
        .map_or_else(|| "?".to_owned(), |user| user.name);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{}", host.trim())
}

/// The state's name as records have it, read.
///
/// # Errors
/// It is none.
pub(crate) fn root_of(root: &str) -> anyhow::Result<netpolicy_fleet::ObjectId> {
    netpolicy_fleet::ObjectId::from_hex(root).with_context(|| format!("'{root}' is no state"))
}
