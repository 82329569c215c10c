//! The fleet that the host is in.

use hyper::Method;

use super::{ANSWER_TIMEOUT, Client, ClientResult};
use crate::api::FleetView;

impl Client {
    /// `GET /v1/fleet`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn fleet(&self) -> ClientResult<FleetView> {
        self.get(&["fleet"], &[]).await
    }

    /// `DELETE /v1/fleet`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn leave_fleet(&self) -> ClientResult<FleetView> {
        let what = "DELETE /v1/fleet";
        let request = self.request(Method::DELETE, &["fleet"], &[]);
        let answer = self.send(what, request.timeout(ANSWER_TIMEOUT)).await?;
        self.decode(what, answer).await
    }
}
