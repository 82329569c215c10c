//! States, now and past: exported, listed and compared.

use bytes::Bytes;
use hyper::Method;
use hyper::header::CONTENT_TYPE;

use super::{Client, ClientResult};
use crate::api::{CHANGE_WITH_TEXTS, ChangeHead, DiffAnswer, Paged, RevisionView, RevisionsQuery};
use crate::model::change::Change;

impl Client {
    /// `GET /v1/export`: the desired state as a policy file, of a past `revision` or as it is.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn export(&self, revision: Option<u64>) -> ClientResult<String> {
        let query: Vec<_> = revision
            .map(|r| ("revision", r.to_string()))
            .into_iter()
            .collect();
        let what = "GET /v1/export";
        // Without a time limit: how long it lasts depends on the size of the state.
        let response = self
            .send(what, self.request(Method::GET, &["export"], &query))
            .await?;
        response.text().await.map_err(|e| self.failure(what, e))
    }

    /// `GET /v1/diff`: how a revision differs from another one, or from the state as it is.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn diff(&self, from: u64, to: Option<u64>) -> ClientResult<DiffAnswer> {
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
    pub async fn diff_change(&self, change: Change) -> ClientResult<DiffAnswer> {
        let what = "POST /v1/diff";
        let parts = self.with_texts(what, change)?;
        // Without a time limit: large states take as long as they take.
        let request = self.request(Method::POST, &["diff"], &[]);
        let request = request.header(CONTENT_TYPE, CHANGE_WITH_TEXTS).parts(parts);
        self.decode(what, self.send(what, request).await?).await
    }

    /// A change as a body whose texts follow it as they are.
    ///
    /// # Errors
    /// None that the change can cause.
    pub(super) fn with_texts(&self, what: &str, mut change: Change) -> ClientResult<Vec<Bytes>> {
        let texts = change.texts_mut().into_iter().map(std::mem::take);
        let texts: Vec<Bytes> = texts.map(Bytes::from).collect();
        let lengths = texts.iter().map(Bytes::len).collect();
        let head = ChangeHead {
            change,
            texts: lengths,
        };
        let mut head = serde_json::to_vec(&head).map_err(|e| self.garbled(what, e))?;
        head.push(b'\n');
        let mut parts = vec![Bytes::from(head)];
        parts.extend(texts);
        Ok(parts)
    }

    /// `GET /v1/revisions`, the newest first.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn revisions(&self, query: &RevisionsQuery) -> ClientResult<Paged<RevisionView>> {
        self.list(&["revisions"], query).await
    }
}
