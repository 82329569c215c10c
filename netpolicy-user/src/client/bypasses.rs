//! Bypasses: listed, granted, revoked.

use hyper::Method;

use super::{ANSWER_TIMEOUT, Client, ClientResult, consent};
use crate::api::{BypassRequest, BypassView};

impl Client {
    /// `GET /v1/bypasses`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn bypasses(&self) -> ClientResult<Vec<BypassView>> {
        self.get(&["bypasses"], &[]).await
    }

    /// `POST /v1/bypasses`; `opens`: consent to what it opens, see
    /// [`crate::api::ChangeQuery::opens`].
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn grant_bypass(
        &self,
        bypass: &BypassRequest,
        opens: Option<&str>,
    ) -> ClientResult<BypassView> {
        let what = "POST /v1/bypasses";
        let request = self.request(Method::POST, &["bypasses"], &consent(opens));
        let request = request.json(bypass);
        self.decode(
            what,
            self.send(what, request.timeout(ANSWER_TIMEOUT)).await?,
        )
        .await
    }

    /// `DELETE /v1/bypasses`: `source` as it was granted, `service` `None`: the host's.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn revoke_bypass(
        &self,
        source: &str,
        service: Option<&str>,
        force: bool,
        from: Option<&str>,
    ) -> ClientResult<()> {
        let mut query = vec![("source", source.to_owned())];
        query.extend(service.map(|s| ("service", s.to_owned())));
        query.extend(force.then(|| ("force", "true".to_owned())));
        query.extend(from.map(|from| ("from", from.to_owned())));
        let request = self.request(Method::DELETE, &["bypasses"], &query);
        self.send("DELETE /v1/bypasses", request.timeout(ANSWER_TIMEOUT))
            .await
            .map(drop)
    }
}
