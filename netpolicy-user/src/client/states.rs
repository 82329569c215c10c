//! States, now and past: exported, listed and compared.

use reqwest::Method;

use super::{Answer, Client};
use crate::api::{DiffAnswer, PageQuery, Paged, RevisionView};
use crate::model::change::Change;

impl Client {
    /// `GET /v1/export`: the desired state as a policy file, of a past `revision` or as it is.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn export(&self, revision: Option<u64>) -> Answer<String> {
        let query: Vec<_> = revision
            .map(|r| ("revision", r.to_string()))
            .into_iter()
            .collect();
        let what = "GET /v1/export";
        // Without a time limit: a large state takes as long as it takes.
        let response = self
            .send(what, self.request(Method::GET, &["export"], &query))
            .await?;
        response.text().await.map_err(|e| self.failure(what, e))
    }

    /// `GET /v1/diff`: how a revision differs from another one, or from the state as it is.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn diff(&self, from: u64, to: Option<u64>) -> Answer<DiffAnswer> {
        let what = "GET /v1/diff";
        let mut query = vec![("from", from.to_string())];
        query.extend(to.map(|to| ("to", to.to_string())));
        // Without a time limit: large states take as long as they take.
        let request = self.request(Method::GET, &["diff"], &query);
        self.decode(what, self.send(what, request).await?).await
    }

    /// `POST /v1/diff`: how the state would differ after a change.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn diff_change(&self, change: Change) -> Answer<DiffAnswer> {
        let what = "POST /v1/diff";
        let request = self.request(Method::POST, &["diff"], &[]).json(&change);
        // It holds the whole file, which the request has by now.
        drop(change);
        self.decode(what, self.send(what, request).await?).await
    }

    /// `GET /v1/revisions`, the newest first.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn revisions(&self, query: &PageQuery) -> Answer<Paged<RevisionView>> {
        self.list(&["revisions"], query).await
    }
}
