//! The memory of sources.

use hyper::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ANSWER_TIMEOUT, Client, ClientResult};
use crate::api::{HitsPage, HitsQuery, RatesQuery, RatesView, SourcesPage, SourcesQuery};

impl Client {
    /// `GET /v1/sources`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn sources(&self, query: &SourcesQuery) -> ClientResult<SourcesPage> {
        self.query("sources", query).await
    }

    /// `GET /v1/hits`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn hits(&self, query: &HitsQuery) -> ClientResult<HitsPage> {
        self.query("hits", query).await
    }

    /// `GET /v1/rates`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn rates(&self, query: &RatesQuery) -> ClientResult<RatesView> {
        self.query("rates", query).await
    }

    async fn query<T: DeserializeOwned>(
        &self,
        resource: &str,
        query: &impl Serialize,
    ) -> ClientResult<T> {
        let what = format!("GET /v1/{resource}");
        let request = self.request(Method::GET, &[resource], &[]).query(query);
        let request = request.timeout(ANSWER_TIMEOUT);
        self.decode(&what, self.send(&what, request).await?).await
    }
}
