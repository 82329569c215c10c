//! One HTTP/1.1 exchange over TCP, byte for byte as a test says: also what no client would send.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head's lines after the first.
    pub head: String,
    /// The body, without its chunks.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Sends a request and reads the answer to its end.
///
/// # Errors
/// There is no answer within the time.
pub fn exchange(
    port: u16,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    time: Duration,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(time))?;
    stream.set_write_timeout(Some(time))?;
    let mut request = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || ["POST", "PUT", "DELETE"].contains(&method) {
        request.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    stream.write_all(body)?;
    read(stream)
}

/// Reads an answer: as much as it says, else up to the end of the connection.
///
/// # Errors
/// There is none.
pub fn read(mut stream: TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let mut piece = [0; 64 * 1024];
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let whole = end.and_then(|end| answer(&bytes, end));
        let length = |answer: &Answer| answer.header("content-length")?.parse().ok();
        if let Some(whole) = &whole
            && length(whole).is_some_and(|length: usize| whole.body.len() >= length)
        {
            return Ok(whole.clone());
        }
        let count = stream.read(&mut piece)?;
        if count > 0 {
            bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
            continue;
        }
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "no answer of HTTP");
        let mut whole = whole.ok_or_else(invalid)?;
        if whole.header("transfer-encoding").is_some() {
            whole.body = without_chunks(&whole.body).ok_or_else(invalid)?;
        }
        return Ok(whole);
    }
}

/// An answer whose head ends at `end`, with as much of its body as there is.
fn answer(bytes: &[u8], end: usize) -> Option<Answer> {
    let head = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
    let (first, head) = head.split_once("\r\n").unwrap_or((&head, ""));
    Some(Answer {
        status: first.split(' ').nth(1)?.parse().ok()?,
        head: head.to_owned(),
        body: bytes.get(end + 4..)?.to_vec(),
    })
}

fn without_chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let length = std::str::from_utf8(rest.get(..line)?).ok()?;
        let length = usize::from_str_radix(length.trim(), 16).ok()?;
        if length == 0 {
            return Some(whole);
        }
        let start = line + 2;
        whole.extend_from_slice(rest.get(start..start + length)?);
        rest = rest.get(start + length + 2..)?;
    }
}
