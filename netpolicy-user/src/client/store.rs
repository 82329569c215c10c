//! Backups, and a store that was lost or is older than what is in force.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use hyper::Method;

use super::http::ClientResponse;
use super::{Client, ClientResult, consent};
use crate::api::{AcknowledgedView, BACKUP_DIGEST, BACKUP_REVISION, RescuedView};

/// A backup on its way.
#[derive(Debug)]
pub struct BackupAnswer {
    /// BLAKE3 of all of it, hex; empty if the agent does not say.
    pub digest: String,
    /// The newest revision in it.
    pub revision: u64,
    response: ClientResponse,
    client: Client,
}

impl BackupAnswer {
    /// The file, piece by piece.
    pub fn pieces(self) -> impl Stream<Item = ClientResult<Bytes>> {
        let client = self.client;
        let pieces = self.response.pieces();
        pieces.map(move |piece| piece.map_err(|error| client.failure("GET /v1/backup", error)))
    }
}

impl Client {
    /// `GET /v1/backup`: lasts as long as reading the store does.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn backup(&self) -> ClientResult<BackupAnswer> {
        let request = self.request(Method::GET, &["backup"], &[]);
        let response = self.send("GET /v1/backup", request).await?;
        let header = |name| response.headers().get(name)?.to_str().ok();
        Ok(BackupAnswer {
            digest: header(BACKUP_DIGEST).unwrap_or_default().to_owned(),
            revision: header(BACKUP_REVISION)
                .and_then(|text| text.parse().ok())
                .unwrap_or_default(),
            response,
            client: self.clone(),
        })
    }

    /// `POST /v1/store/rescue`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn rescue_store(&self) -> ClientResult<RescuedView> {
        self.store_order("rescue", &[]).await
    }

    /// `POST /v1/store/acknowledge`; `opens`: consent to what it opens, see
    /// [`crate::api::ChangeQuery::opens`].
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn acknowledge_store(
        &self,
        dry_run: bool,
        opens: Option<&str>,
    ) -> ClientResult<AcknowledgedView> {
        let mut query = consent(opens);
        query.extend(dry_run.then(|| ("dry_run", "true".to_owned())));
        self.store_order("acknowledge", &query).await
    }

    /// Without a time limit: how long it lasts depends on the size of the state.
    async fn store_order<T: serde::de::DeserializeOwned>(
        &self,
        order: &str,
        query: &[(&str, String)],
    ) -> ClientResult<T> {
        let what = format!("POST /v1/store/{order}");
        let request = self.request(Method::POST, &["store", order], query);
        let response = self.send(&what, request).await?;
        self.decode(&what, response).await
    }
}
