//! Databases whose users have policies.

use super::{Client, ClientResult};
use crate::api::DatabaseView;

impl Client {
    /// `GET /v1/databases`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn databases(&self) -> ClientResult<Vec<DatabaseView>> {
        self.get(&["databases"], &[]).await
    }
}
