//! The agent's API over a connection that stays open.
//!
//! Requests are made as bytes before the clock runs, so that what is measured is the agent and
//! the socket, and as little as possible of the client.

use std::path::Path;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

/// A request as it goes over the socket.
pub(super) fn request(method: &str, target: &str, media: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: netpolicy\r\ncontent-type: {media}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let mut request = head.into_bytes();
    request.extend_from_slice(body);
    request
}

/// A connection to the agent.
pub(super) struct Connection {
    stream: UnixStream,
    received: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(socket: &Path) -> Self {
        Self {
            stream: UnixStream::connect(socket)
                .await
                .expect("connect to the agent"),
            received: Vec::with_capacity(4096),
        }
    }

    /// Sends a request, and waits for all of its answer.
    ///
    /// # Panics
    /// When the answer is not 200.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Vec<u8> {
        let sent = self.stream.write_all(request).await;
        sent.expect("send a request");
        let (body, length) = self.head().await;
        while self.received.len() < body + length {
            self.receive().await;
        }
        let answer = self.received[body..body + length].to_vec();
        self.received.clear();
        answer
    }

    /// Reads up to where the body begins; that place, and the body's length.
    async fn head(&mut self) -> (usize, usize) {
        loop {
            let end = self
                .received
                .windows(4)
                .position(|part| part == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8_lossy(&self.received[..end]).to_ascii_lowercase();
                assert!(head.starts_with("http/1.1 200"), "{head}");
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length:"))
                    .and_then(|length| length.trim().parse().ok());
                return (end + 4, length.expect("an answer of known length"));
            }
            self.receive().await;
        }
    }

    async fn receive(&mut self) {
        let count = self.stream.read_buf(&mut self.received).await;
        let count = count.expect("receive an answer");
        assert!(count > 0, "the agent closed the connection");
    }
}
