//! The stream of events: lines of JSON, however the transport cuts them.

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};

use super::http::{ClientResponse, ExchangeError};
use super::{Client, ClientError, ClientResult};
use crate::api::EventLine;

/// Longest line of the event stream; a real one has some 300 bytes.
const LINE_MAX: usize = 64 * 1024;

/// The stream of [`Client::events`].
pub struct Events {
    client: Client,
    stream: BoxStream<'static, Result<Bytes, ExchangeError>>,
    pending: Vec<u8>,
}

impl Events {
    pub(super) fn new(client: Client, response: ClientResponse) -> Self {
        Self {
            client,
            stream: response.pieces(),
            pending: Vec::new(),
        }
    }

    /// Waits for the next line.
    ///
    /// # Errors
    /// [`ClientError::StreamEnded`] when the agent stops; see [`ClientError`].
    pub async fn next(&mut self) -> ClientResult<EventLine> {
        let what = "GET /v1/events";
        loop {
            if let Some(end) = self.pending.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                // Blank lines keep the connection alive.
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return serde_json::from_slice(&line).map_err(|e| self.client.garbled(what, e));
            }
            if self.pending.len() > LINE_MAX {
                return Err(ClientError::Transport {
                    what: what.to_owned(),
                    socket: self.client.socket.clone(),
                    source: format!("a line of more than {LINE_MAX} bytes").into(),
                });
            }
            match self.stream.next().await {
                Some(Ok(bytes)) => self.pending.extend_from_slice(&bytes),
                // An agent that is killed cuts the stream short: the same for the reader.
                Some(Err(_)) | None => return Err(ClientError::StreamEnded),
            }
        }
    }
}
