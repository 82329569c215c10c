//! A URL or file to bytes, within limits: size, time as a whole, time without a byte, a rate,
//! redirects, and HTTPS all the way unless a feed says otherwise.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netpolicy_policy::model::Feed;
use ureq::http::Response;
use ureq::http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body, Error, Timeout};

use crate::agent::Validators;

/// Redirects that are followed.
const REDIRECTS: u32 = 5;
/// The longest time without a byte.
const STALL: Duration = Duration::from_secs(20);
/// Bytes a second below which a source is given up, and when that is looked at first.
const SLOWEST: u64 = 128;
const SLOW_FROM: Duration = Duration::from_secs(10);
/// Bytes of an answer's head.
const HEAD: usize = 64 << 10;
/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;
/// Bytes of a validator; a longer one is not kept.
const VALIDATOR: usize = 512;

/// What a source sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// What was got before is current.
    Unchanged,
    /// Content.
    Content(Vec<u8>, Validators),
}

/// Why nothing was got.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// A certificate that is not trusted, or another fault of TLS.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// Certificates that cannot be read.
    #[error("no certificates to trust in {place}: {why}")]
    Certificates {
        /// Where they were looked for.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// A status that is no success.
    #[error("the server answered {0}")]
    Status(String),
    /// "Not modified", though nothing was asked about.
    #[error("the server answered 304 Not Modified, though nothing is there that could be current")]
    NothingToModify,
    /// Too many redirects.
    #[error("more than {REDIRECTS} redirects")]
    Redirects,
    /// A redirect away from HTTPS.
    #[error("it leads to a URL that is not https; allow_http = true accepts that")]
    NotHttps,
    /// Too large.
    #[error("it is larger than max_bytes, {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// Too slow as a whole.
    #[error("it took longer than the timeout, {} s", .0.as_secs())]
    Time(Duration),
    /// No byte for too long.
    #[error("no byte came for {} s", .0.as_secs())]
    Stalled(Duration),
    /// Too slow from byte to byte.
    #[error("it sends less than {SLOWEST} bytes a second")]
    Slow,
    /// It ended before its end.
    #[error("the connection ended before the content did: it is truncated")]
    Truncated,
    /// The server cannot be reached, or does not speak HTTP.
    #[error("{0}")]
    Connection(String),
    /// A file that cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
}

/// Fetches by HTTPS and reads files.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    /// Or why there are no certificates to trust: then URLs fail, and files do not.
    tls: Result<TlsConfig, String>,
}

impl Fetcher {
    /// With the certificates of `ca`, or the system's.
    pub(crate) fn new(ca: Option<&Path>) -> Self {
        let tls = trusted(ca).map_err(|error| error.to_string());
        if let Err(error) = &tls {
            tracing::warn!(error, "only feeds from files are refreshed");
        }
        Self { tls }
    }

    /// Gets what a feed's source has, unless it is what `known` stands for.
    ///
    /// # Errors
    /// Nothing came, or not all.
    pub(crate) fn fetch(
        &self,
        feed: &Feed,
        known: Option<&Validators>,
    ) -> Result<Fetched, FetchError> {
        match feed.is_url() {
            true => self.get(feed, known),
            false => read_file(feed, known),
        }
    }

    fn get(&self, feed: &Feed, known: Option<&Validators>) -> Result<Fetched, FetchError> {
        let started = Instant::now();
        let tls = self.tls.clone().map_err(FetchError::Tls)?;
        let agent: Agent = Agent::config_builder()
            .tls_config(tls)
            .https_only(!feed.allow_http)
            .max_redirects(REDIRECTS)
            .http_status_as_error(false)
            .max_response_header_size(HEAD)
            .timeout_global(Some(feed.timeout()))
            .timeout_per_read(Some(STALL))
            .max_idle_connections(0)
            .user_agent(concat!("netpolicy/", env!("CARGO_PKG_VERSION")))
            .accept("*/*")
            .build()
            .into();
        let mut request = agent.get(&feed.source);
        for (header, value) in known.into_iter().flat_map(|known| {
            [
                (IF_NONE_MATCH, known.etag.as_ref()),
                (IF_MODIFIED_SINCE, known.last_modified.as_ref()),
            ]
        }) {
            if let Some(value) = value {
                request = request.header(header, value);
            }
        }
        let answer = request.call().map_err(|error| of_http(error, feed))?;
        let status = answer.status();
        match status.as_u16() {
            200 => {}
            304 if known.is_some() => return Ok(Fetched::Unchanged),
            304 => return Err(FetchError::NothingToModify),
            _ => return Err(FetchError::Status(status.to_string())),
        }
        let validators = Validators {
            etag: validator(&answer, &ETAG),
            last_modified: validator(&answer, &LAST_MODIFIED),
        };
        let limit = feed.max_bytes;
        let announced = answer.body().content_length();
        if announced.is_some_and(|announced| announced > limit) {
            return Err(FetchError::TooLarge { limit });
        }
        // Its own limit would cut what is decompressed silently.
        let body = answer.into_body().into_with_config().limit(u64::MAX);
        let bytes = read(body.reader(), limit, started).map_err(|error| match error {
            ReadFault::TooLarge => FetchError::TooLarge { limit },
            ReadFault::Slow => FetchError::Slow,
            ReadFault::Io(error) => of_body(error, feed),
        })?;
        Ok(Fetched::Content(bytes, validators))
    }
}

/// Certificates to trust.
pub(crate) struct TrustStore {
    /// Where they were looked for.
    pub(crate) place: String,
    /// In DER.
    pub(crate) certificates: Vec<Certificate<'static>>,
    /// What could not be read.
    pub(crate) why: Vec<String>,
}

impl TrustStore {
    /// Those of `ca`, or the system's.
    pub(crate) fn read(ca: Option<&Path>) -> Self {
        let found = match ca {
            Some(file) => rustls_native_certs::load_certs_from_paths(Some(file), None),
            None => rustls_native_certs::load_native_certs(),
        };
        let certificates = found.certs.iter();
        Self {
            place: ca.map_or_else(
                || "the system's store".to_owned(),
                |path| path.display().to_string(),
            ),
            certificates: certificates
                .map(|certificate| Certificate::from_der(certificate).to_owned())
                .collect(),
            why: found.errors.iter().map(ToString::to_string).collect(),
        }
    }
}

/// TLS that trusts the certificates of `ca`, or the system's.
///
/// # Errors
/// There are none.
pub(crate) fn trusted(ca: Option<&Path>) -> Result<TlsConfig, FetchError> {
    let TrustStore {
        place,
        certificates,
        why,
    } = TrustStore::read(ca);
    if certificates.is_empty() {
        let why = match why.is_empty() {
            true => "there are none".to_owned(),
            false => why.join("; "),
        };
        return Err(FetchError::Certificates { place, why });
    }
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(crypto)
        .root_certs(RootCerts::new_with_certs(&certificates))
        .build())
}

/// Why a body was not read to its end.
enum ReadFault {
    TooLarge,
    Slow,
    Io(std::io::Error),
}

fn read(mut body: impl Read, limit: u64, started: Instant) -> Result<Vec<u8>, ReadFault> {
    let mut bytes = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let count = body.read(&mut piece).map_err(ReadFault::Io)?;
        let Some(new) = piece.get(..count).filter(|new| !new.is_empty()) else {
            return Ok(bytes);
        };
        bytes.extend_from_slice(new);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > limit {
            return Err(ReadFault::TooLarge);
        }
        let elapsed = started.elapsed();
        if elapsed > SLOW_FROM && length < elapsed.as_secs() * SLOWEST {
            return Err(ReadFault::Slow);
        }
    }
}

fn validator(answer: &Response<Body>, header: &ureq::http::HeaderName) -> Option<String> {
    let text = answer.headers().get(header)?.to_str().ok()?;
    let is_plain = text.len() <= VALIDATOR && text.bytes().all(|b| (b' '..=b'~').contains(&b));
    is_plain.then(|| text.to_owned())
}

fn of_http(error: Error, feed: &Feed) -> FetchError {
    match error {
        Error::TooManyRedirects => FetchError::Redirects,
        Error::RequireHttpsOnly(_) => FetchError::NotHttps,
        Error::Timeout(Timeout::PerRead) => FetchError::Stalled(STALL),
        Error::Timeout(_) => FetchError::Time(feed.timeout()),
        Error::Rustls(error) => FetchError::Tls(error.to_string()),
        Error::Tls(why) => FetchError::Tls(why.to_owned()),
        Error::Io(error) => of_io(&error),
        Error::HostNotFound => FetchError::Connection("its host name is not found".to_owned()),
        error => FetchError::Connection(error.to_string()),
    }
}

/// What went wrong in the middle of an answer: the client's own errors come wrapped.
fn of_body(error: std::io::Error, feed: &Feed) -> FetchError {
    match error.downcast::<Error>() {
        Ok(error) => of_http(error, feed),
        Err(error) => of_io(&error),
    }
}

fn of_io(error: &std::io::Error) -> FetchError {
    let inner = error.get_ref();
    match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error) => FetchError::Tls(error.to_string()),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => FetchError::Truncated,
        None => FetchError::Connection(error.to_string()),
    }
}

/// Reads a file. What it was known by is its inode, size and time.
fn read_file(feed: &Feed, known: Option<&Validators>) -> Result<Fetched, FetchError> {
    let path = &feed.source;
    let fault = |source| FetchError::File {
        path: path.clone(),
        source,
    };
    let limit = feed.max_bytes;
    // Opening a FIFO would wait for its writer.
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_NONBLOCK);
    let mut file = options.open(path).map_err(fault)?;
    let metadata = file.metadata().map_err(fault)?;
    if !metadata.is_file() {
        return Err(fault(std::io::Error::other("it is no regular file")));
    }
    let found = stamp(&metadata);
    if known.is_some_and(|known| known.etag.as_ref() == Some(&found)) {
        return Ok(Fetched::Unchanged);
    }
    if metadata.len() > limit {
        return Err(FetchError::TooLarge { limit });
    }
    let mut bytes = Vec::new();
    let read = Read::by_ref(&mut file)
        .take(limit + 1)
        .read_to_end(&mut bytes);
    read.map_err(fault)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(FetchError::TooLarge { limit });
    }
    if stamp(&file.metadata().map_err(fault)?) != found {
        return Err(fault(std::io::Error::other("it is being written")));
    }
    let validators = Validators {
        etag: Some(found),
        last_modified: None,
    };
    Ok(Fetched::Content(bytes, validators))
}

/// What a file is known by.
pub(crate) fn stamp(metadata: &std::fs::Metadata) -> String {
    format!(
        "{}-{}-{}.{:09}",
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec()
    )
}
