//! The sign that a host is there, which its lease keeps.

use super::*;

impl Host {
    /// Takes `alive` under a lease, unless another process has it, which is told then. Without
    /// space or rights for it the host goes on.
    pub(super) async fn sign(&self, etcd: &Etcd, records: &Records) -> Option<Sign> {
        match self.try_sign(etcd, records).await {
            Ok(sign) => sign,
            Err(error) => {
                let error = error.to_string();
                if let Ok(mut last) = self.unsigned.lock()
                    && *last != error
                {
                    tracing::warn!("host {}: no sign of life: {error}", self.host);
                    *last = error;
                }
                None
            }
        }
    }

    pub(super) async fn try_sign(
        &self,
        etcd: &Etcd,
        records: &Records,
    ) -> Result<Option<Sign>, EtcdError> {
        let key = self.layout.key(&FleetKey::Alive(self.host.clone()));
        let found = etcd.get(&key).await?;
        let written = found.as_ref().map_or(0, |found| found.written);
        let found: Option<Alive> =
            found.and_then(|found| serde_json::from_slice(&found.value).ok());
        let encode = |alive: &Alive| {
            serde_json::to_vec(alive).map_err(|error| etcd.other(error.to_string()))
        };
        if let Some(mut other) = found.filter(|alive| alive.instance != self.instance) {
            // Again and again: it is forgiven once nothing says so any more.
            other.contender = Some(self.instance.clone());
            let keep = PutOptions::new().with_ignore_lease();
            let put = TxnOp::put(key.as_str(), encode(&other)?, Some(keep));
            etcd.swap(&[(key, written)], vec![put]).await?;
            return Ok(None);
        }
        let mut client = etcd.client.clone();
        let lease = etcd.within(client.lease_grant(LEASE, None)).await?.id();
        let alive = Alive {
            instance: self.instance.clone(),
            since: Timestamp::now(),
            contender: records
                .alive
                .as_ref()
                .and_then(|alive| alive.contender.clone()),
        };
        let put = PutOptions::new().with_lease(lease);
        let put = TxnOp::put(key.as_str(), encode(&alive)?, Some(put));
        if etcd.swap(&[(key, written)], vec![put]).await? == Swapped::Changed {
            return Ok(None);
        }
        let (keeper, answers) = etcd.within(client.lease_keep_alive(lease)).await?;
        Ok(Some(Sign {
            keeper,
            answers,
            answered: Instant::now(),
        }))
    }

    /// Removes the contender from `alive`: one that is still there names itself again.
    pub(super) async fn doubt(&self, etcd: &Etcd) -> Option<String> {
        let key = self.layout.key(&FleetKey::Alive(self.host.clone()));
        let found = etcd.get(&key).await.ok()??;
        let mut alive: Alive = serde_json::from_slice(&found.value).ok()?;
        let contender = alive.contender.take();
        let contender = contender.filter(|_| alive.instance == self.instance)?;
        let keep = PutOptions::new().with_ignore_lease();
        let put = TxnOp::put(key.as_str(), serde_json::to_vec(&alive).ok()?, Some(keep));
        let swapped = etcd.swap(&[(key, found.written)], vec![put]).await.ok()?;
        (swapped == Swapped::Done).then_some(contender)
    }
}
