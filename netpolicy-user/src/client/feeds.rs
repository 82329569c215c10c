//! Feeds: listed, and refreshed.

use hyper::Method;

use super::{ANSWER_TIMEOUT, Client, ClientResult, is_segment};
use crate::api::FeedView;

impl Client {
    /// `GET /v1/feeds`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn feeds(&self) -> ClientResult<Vec<FeedView>> {
        self.get(&["feeds"], &[]).await
    }

    /// `POST /v1/feeds/{name}/refresh`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn refresh_feed(&self, name: &str) -> ClientResult<FeedView> {
        is_segment("feed", name)?;
        let what = "POST /v1/feeds/…/refresh";
        let request = self.request(Method::POST, &["feeds", name, "refresh"], &[]);
        let answer = self.send(what, request.timeout(ANSWER_TIMEOUT)).await?;
        self.decode(what, answer).await
    }
}
