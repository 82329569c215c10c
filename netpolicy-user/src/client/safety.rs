//! Rollback, confirmation, verification, privileges and the audit log.

use hyper::Method;

use super::{ANSWER_TIMEOUT, Client, ClientResult};
use crate::api::{
    AuditView, ChangeQuery, Changed, GrantRequest, GrantView, PageQuery, Paged, PendingView,
    VerifyView,
};

impl Client {
    /// `POST /v1/rollback/{revision}`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn rollback(&self, revision: u64, query: &ChangeQuery) -> ClientResult<Changed> {
        let what = "POST /v1/rollback";
        let request = self.changing(&["rollback", &revision.to_string()], query);
        self.decode(what, self.send(what, request).await?).await
    }

    /// `POST /v1/confirm`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn confirm(&self) -> ClientResult<PendingView> {
        self.order("confirm").await
    }

    /// `POST /v1/verify`: lasts as long as reading all lists back does.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn verify(&self) -> ClientResult<VerifyView> {
        let what = "POST /v1/verify";
        let request = self.request(Method::POST, &["verify"], &[]);
        self.decode(what, self.send(what, request).await?).await
    }

    /// `GET /v1/grants`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn grants(&self) -> ClientResult<Vec<GrantView>> {
        self.get(&["grants"], &[]).await
    }

    /// `POST /v1/grants`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn grant(&self, grant: &GrantRequest) -> ClientResult<GrantView> {
        let what = "POST /v1/grants";
        let request = self.request(Method::POST, &["grants"], &[]).json(grant);
        let response = self.send(what, request.timeout(ANSWER_TIMEOUT)).await?;
        self.decode(what, response).await
    }

    /// `DELETE /v1/grants`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn revoke(&self, grant: &GrantRequest) -> ClientResult<GrantView> {
        let what = "DELETE /v1/grants";
        let request = self.request(Method::DELETE, &["grants"], &[]).query(grant);
        let response = self.send(what, request.timeout(ANSWER_TIMEOUT)).await?;
        self.decode(what, response).await
    }

    /// `GET /v1/audit`, the newest first.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn audit(&self, query: &PageQuery) -> ClientResult<Paged<AuditView>> {
        self.list(&["audit"], query).await
    }
}
