//! Who is connected, what holds an address, and what becomes of a network's sources.

use hyper::Method;

use super::{Client, ClientResult};
use crate::api::{ClientsQuery, ConnectedView, ExplainNetworkView, FindQuery, FindView};

impl Client {
    /// `GET /v1/find`: what holds or overlaps a network.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn find(&self, query: &FindQuery) -> ClientResult<FindView> {
        self.ask("find", query).await
    }

    /// `GET /v1/clients`: who is connected to ports that a policy governs.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn connected(&self, query: &ClientsQuery) -> ClientResult<ConnectedView> {
        self.ask("clients", query).await
    }

    /// `GET /v1/explain/network`: the parts of a network that are judged alike; `port` and
    /// `revision` as for [`Client::explain`].
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn explain_network(
        &self,
        network: &str,
        port: Option<u16>,
        revision: Option<u64>,
    ) -> ClientResult<ExplainNetworkView> {
        let mut query = vec![("network", network.to_owned())];
        query.extend(port.map(|port| ("port", port.to_string())));
        query.extend(revision.map(|revision| ("revision", revision.to_string())));
        let what = "GET /v1/explain/network";
        // Without a time limit: a past state takes as long to read as it is large.
        let request = self.request(Method::GET, &["explain", "network"], &query);
        self.decode(what, self.send(what, request).await?).await
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        query: &impl serde::Serialize,
    ) -> ClientResult<T> {
        let what = format!("GET /v1/{path}");
        let request = self.request(Method::GET, &[path], &[]).query(query);
        let request = request.timeout(super::ANSWER_TIMEOUT);
        self.decode(&what, self.send(&what, request).await?).await
    }
}
