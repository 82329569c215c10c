//! Bans: listed, made, ended; a line for each.

use bytes::Bytes;
use hyper::Method;
use hyper::header::CONTENT_TYPE;
use serde::Serialize;

use super::{ANSWER_TIMEOUT, Client, ClientResult};
use crate::api::{
    BanOutcome, BanRequest, BansPage, BansQuery, NDJSON, ReplaceBansQuery, UnbanRequest,
};

impl Client {
    /// `GET /v1/bans`
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn bans(&self, query: &BansQuery) -> ClientResult<BansPage> {
        let what = "GET /v1/bans";
        let request = self.request(Method::GET, &["bans"], &[]).query(query);
        let request = request.timeout(ANSWER_TIMEOUT);
        self.decode(what, self.send(what, request).await?).await
    }

    /// `POST /v1/bans`: a line for each request, in order.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn ban(&self, requests: &[BanRequest]) -> ClientResult<Vec<BanOutcome>> {
        self.send_lines(Method::POST, &[], requests).await
    }

    /// `DELETE /v1/bans`: a line for each request, in order.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn unban(&self, requests: &[UnbanRequest]) -> ClientResult<Vec<BanOutcome>> {
        self.send_lines(Method::DELETE, &[], requests).await
    }

    /// `PUT /v1/bans`: makes the bans of an origin these.
    ///
    /// # Errors
    /// See [`super::ClientError`].
    pub async fn replace_bans(
        &self,
        query: &ReplaceBansQuery,
        requests: &[BanRequest],
    ) -> ClientResult<Vec<BanOutcome>> {
        let mut sent = vec![("by", query.by.clone())];
        let service = query.service.iter();
        sent.extend(service.map(|service| ("service", service.clone())));
        if query.with_parts {
            sent.push(("with_parts", "true".to_owned()));
        }
        self.send_lines(Method::PUT, &sent, requests).await
    }

    /// Without a time limit: a million of lines takes a while.
    async fn send_lines<T: Serialize>(
        &self,
        method: Method,
        query: &[(&str, String)],
        lines: &[T],
    ) -> ClientResult<Vec<BanOutcome>> {
        let what = format!("{method} /v1/bans");
        let mut text = Vec::with_capacity(lines.len() * 64);
        for line in lines {
            serde_json::to_writer(&mut text, line).map_err(|e| self.garbled(&what, e))?;
            text.push(b'\n');
        }
        let request = self
            .request(method, &["bans"], query)
            .parts(vec![Bytes::from(text)])
            .header(CONTENT_TYPE, NDJSON);
        let answer = self.send(&what, request).await?;
        let bytes = answer.bytes().await.map_err(|e| self.failure(&what, e))?;
        let lines = bytes.split(|byte| *byte == b'\n');
        lines
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).map_err(|e| self.garbled(&what, e)))
            .collect()
    }
}
