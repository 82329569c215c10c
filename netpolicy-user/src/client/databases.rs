//! Databases whose users have policies.

use std::net::IpAddr;

use super::{Client, ClientResult, is_segment};
use crate::api::{DatabaseVerdict, DatabaseView};

impl Client {
    /// `GET /v1/databases`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn databases(&self) -> ClientResult<Vec<DatabaseView>> {
        self.get(&["databases"], &[]).await
    }

    /// `GET /v1/databases/{name}/explain`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn explain_user(
        &self,
        database: &str,
        user: &str,
        source: IpAddr,
    ) -> ClientResult<DatabaseVerdict> {
        is_segment("database", database)?;
        let query = [("user", user.to_owned()), ("source", source.to_string())];
        self.get(&["databases", database, "explain"], &query).await
    }
}
