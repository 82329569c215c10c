//! Policies, judged over the sources that came.

use hyper::Method;
use hyper::header::CONTENT_TYPE;

use super::{ANSWER_TIMEOUT, Client, ClientResult};
use crate::api::{
    CHANGE_WITH_TEXTS, EvaluatePolicyQuery, EvaluateQuery, Evaluation, PolicyTestView,
    RecommendQuery, Recommendation,
};
use crate::model::change::Change;

impl Client {
    /// `GET /v1/tests`: the policy tests, and whether they hold.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn policy_tests(&self) -> ClientResult<Vec<PolicyTestView>> {
        self.get(&["tests"], &[]).await
    }

    /// `GET /v1/evaluate`: what a policy would have denied and let in.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn evaluate(&self, query: &EvaluatePolicyQuery) -> ClientResult<Evaluation> {
        let what = "GET /v1/evaluate";
        // Without a time limit: it compiles the policy.
        let request = self.request(Method::GET, &["evaluate"], &[]).query(query);
        self.decode(what, self.send(what, request).await?).await
    }

    /// `POST /v1/evaluate`: what would have been denied and let in after a change.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn evaluate_change(
        &self,
        change: Change,
        query: &EvaluateQuery,
    ) -> ClientResult<Evaluation> {
        let what = "POST /v1/evaluate";
        let parts = self.with_texts(what, change)?;
        let request = self.request(Method::POST, &["evaluate"], &[]).query(query);
        let request = request.header(CONTENT_TYPE, CHANGE_WITH_TEXTS).parts(parts);
        self.decode(what, self.send(what, request).await?).await
    }

    /// `GET /v1/recommend`: the smallest allow list that covers the sources that came and stayed.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn recommend(&self, query: &RecommendQuery) -> ClientResult<Recommendation> {
        let what = "GET /v1/recommend";
        let request = self.request(Method::GET, &["recommend"], &[]).query(query);
        let request = request.timeout(ANSWER_TIMEOUT);
        self.decode(what, self.send(what, request).await?).await
    }
}
