//! An HTTPS server inside a namespace, with a certificate of its own, that answers as told and
//! notes what it was asked.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::NetNs;

/// What a path answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200 with this body; 304 to who asks with its `ETag`.
    Body {
        /// The body.
        body: Vec<u8>,
        /// Its `ETag`.
        etag: Option<String>,
    },
    /// A status and nothing else.
    Status(u16),
    /// A redirect to this URL.
    Redirect(String),
    /// A head that announces so many bytes, and these before the connection ends.
    Cut {
        /// What is announced.
        announced: u64,
        /// What comes.
        body: Vec<u8>,
    },
    /// A line again and again, without end.
    Endless,
    /// A byte, and the next after this time, without end.
    Trickle(Duration),
}

impl Answer {
    /// A body without an `ETag`.
    #[must_use]
    pub fn body(text: &str) -> Self {
        Self::Body {
            body: text.as_bytes().to_vec(),
            etag: None,
        }
    }

    /// A body with an `ETag`.
    #[must_use]
    pub fn tagged(text: &str, etag: &str) -> Self {
        Self::Body {
            body: text.as_bytes().to_vec(),
            etag: Some(format!("\"{etag}\"")),
        }
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its path.
    pub path: String,
    /// Its headers, by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
}

#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<BTreeMap<String, Answer>>,
    requests: Mutex<Vec<Request>>,
    stopping: AtomicBool,
}

/// A server; it ends when dropped.
#[derive(Debug)]
pub struct HttpsServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    certificate: String,
    thread: Option<JoinHandle<()>>,
    ns: String,
}

impl HttpsServer {
    /// Listens on the loopback of a namespace.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn start(ns: &NetNs, port: u16) -> Self {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(names).expect("make a certificate");
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
        let crypto = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(crypto)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("a server's configuration");
        let config = Arc::new(config);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = ns.run(|| TcpListener::bind(address).expect("listen"));
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let thread = thread::spawn(move || accept(&listener, &config, &of_thread));
        Self {
            shared,
            address,
            certificate: cert.pem(),
            thread: Some(thread),
            ns: ns.path().display().to_string(),
        }
    }

    /// What a path answers from now on.
    pub fn answer(&self, path: &str, answer: Answer) {
        lock(&self.shared.answers).insert(path.to_owned(), answer);
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The requests that came for a path.
    #[must_use]
    pub fn requests(&self, path: &str) -> Vec<Request> {
        let requests = lock(&self.shared.requests);
        requests
            .iter()
            .filter(|r| r.path == path)
            .cloned()
            .collect()
    }
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        // It waits for a connection.
        let address = self.address;
        let ns = nix::fcntl::open(
            self.ns.as_str(),
            nix::fcntl::OFlag::O_RDONLY,
            nix::sys::stat::Mode::empty(),
        );
        let wake = thread::spawn(move || {
            if let Ok(ns) = ns
                && nix::sched::setns(ns, nix::sched::CloneFlags::CLONE_NEWNET).is_ok()
            {
                let _ = TcpStream::connect(address);
            }
        });
        let _ = wake.join();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, config: &Arc<ServerConfig>, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let (config, shared) = (config.clone(), shared.clone());
        thread::spawn(move || {
            // A client that goes away is what some tests are about.
            let _ = serve(stream, config, &shared);
        });
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let answer = lock(&shared.answers).get(&path).cloned();
    let asked = headers.get("if-none-match").cloned();
    let length = headers
        .get("content-length")
        .map_or(Ok(0), |text| text.parse());
    let mut body = vec![0; length.map_err(io::Error::other)?];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    lock(&shared.requests).push(Request {
        path,
        headers,
        body,
    });
    let stream = reader.get_mut();
    respond(stream, answer, asked.as_deref(), shared)?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn respond(
    stream: &mut impl Write,
    answer: Option<Answer>,
    asked: Option<&str>,
    shared: &Shared,
) -> io::Result<()> {
    let close = "Connection: close\r\n\r\n";
    match answer.unwrap_or(Answer::Status(404)) {
        Answer::Body { body, etag } => {
            if etag.is_some() && etag.as_deref() == asked {
                return write!(stream, "HTTP/1.1 304 Not Modified\r\n{close}");
            }
            let tag = etag
                .map(|tag| format!("ETag: {tag}\r\n"))
                .unwrap_or_default();
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\n{tag}Content-Length: {length}\r\n{close}"
            )?;
            stream.write_all(&body)
        }
        Answer::Status(status) => {
            let length = match status {
                304 => "",
                _ => "Content-Length: 0\r\n",
            };
            write!(stream, "HTTP/1.1 {status} Told\r\n{length}{close}")
        }
        Answer::Redirect(to) => write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n{close}"
        ),
        Answer::Cut { announced, body } => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {announced}\r\n{close}"
            )?;
            stream.write_all(&body)
        }
        Answer::Endless => {
            write!(stream, "HTTP/1.1 200 OK\r\n{close}")?;
            let lines = "45.66.0.1\n".repeat(1_000);
            while !shared.stopping.load(Ordering::Acquire) {
                stream.write_all(lines.as_bytes())?;
            }
            Ok(())
        }
        Answer::Trickle(pause) => {
            write!(stream, "HTTP/1.1 200 OK\r\n{close}")?;
            while !shared.stopping.load(Ordering::Acquire) {
                stream.write_all(b"#")?;
                stream.flush()?;
                thread::sleep(pause);
            }
            Ok(())
        }
    }
}
