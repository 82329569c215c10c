//! Metrics, as text.

use hyper::Method;
use hyper::header::ACCEPT;

use super::http::ClientRequest;
use super::{ANSWER_TIMEOUT, Client, ClientResult};
use crate::metrics::ExpositionFormat;

impl Client {
    /// `GET /metrics`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn metrics(&self, format: ExpositionFormat) -> ClientResult<String> {
        let what = "GET /metrics";
        let request = ClientRequest::new(Method::GET, "/metrics".to_owned());
        let request = request.header(ACCEPT, format.media_type());
        let answer = self.send(what, request.timeout(ANSWER_TIMEOUT)).await?;
        answer
            .text()
            .await
            .map_err(|error| self.failure(what, error))
    }
}
