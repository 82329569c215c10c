//! Scripts of SQL: the one request whose answer counts also when it is a refusal.

use super::{Client, ClientResult};
use crate::api::{ChangeQuery, SqlRequest, SqlResponse};

impl Client {
    /// `POST /v1/sql`: runs a script, as `query` says. Also `Ok` when a statement failed:
    /// then [`SqlResponse::error`] says why.
    ///
    /// # Errors
    /// The agent did not come to run it; see [`ClientError`](super::ClientError).
    pub async fn sql(
        &self,
        request: &SqlRequest,
        query: &ChangeQuery,
    ) -> ClientResult<SqlResponse> {
        let what = "POST /v1/sql";
        // Without a time limit: millions of rules take a while.
        let request = self.changing(&["sql"], query).json(request);
        let response = request
            .send(&self.socket)
            .await
            .map_err(|e| self.failure(what, e))?;
        let status = response.status();
        if status.is_success() {
            return self.decode(what, response).await;
        }
        let text = response.text().await.map_err(|e| self.failure(what, e))?;
        serde_json::from_str(&text).map_err(|_| self.refused(what, status, &text))
    }
}
