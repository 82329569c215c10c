//! etcd, as far as fleets use it: one member at a time, with limits of time and errors that say
//! what to do.

use std::error::Error as _;
use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, ConnectOptions, Error as ClientError, GetOptions, KeyValue,
    SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse,
};

use super::settings::{Settings, SettingsError};

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(5);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// Time between two pings of the connection: etcd closes one that pings every 5 s.
const PING: Duration = Duration::from_secs(10);
/// How long the answer to a ping may take.
const PONG: Duration = Duration::from_secs(5);
/// The largest answer.
const LARGEST: usize = 48 << 20;
/// The most values of an answer that has many.
const PAGE: i64 = 500;

/// Why etcd did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EtcdError {
    /// The member does not answer, or has no leader.
    #[error("etcd at {endpoint} does not answer: {why}")]
    NoAnswer {
        /// Its URL.
        endpoint: String,
        /// Why.
        why: String,
    },
    /// The user may not.
    #[error(
        "etcd at {endpoint} refuses: {why}\nhint: `netpolicy fleet init` and `join` set users and roles up"
    )]
    Denied {
        /// Its URL.
        endpoint: String,
        /// Why.
        why: String,
    },
    /// Its quota is exceeded.
    #[error(
        "etcd at {endpoint} is full: {why}\n\
         hint: `etcdctl compact`, `etcdctl defrag`, then `etcdctl alarm disarm`, or raise --quota-backend-bytes"
    )]
    Full {
        /// Its URL.
        endpoint: String,
        /// What it says.
        why: String,
    },
    /// What it answers is not what was asked for.
    #[error("etcd at {endpoint}: {why}")]
    Other {
        /// Its URL.
        endpoint: String,
        /// What is wrong.
        why: String,
    },
    /// Settings of the connection.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

/// A member.
#[derive(Clone)]
pub(crate) struct Etcd {
    pub(crate) client: Client,
    pub(crate) endpoint: String,
    /// The same for all clones.
    connection: std::sync::Arc<()>,
}

/// A value and when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    /// etcd's revision of the last write of the key.
    pub(crate) written: i64,
}

impl Value {
    fn of(found: &KeyValue) -> Self {
        Self {
            key: String::from_utf8_lossy(found.key()).into_owned(),
            value: found.value().to_vec(),
            written: found.mod_revision(),
        }
    }

    /// The value as text; what is no text is no record either.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.value).into_owned()
    }
}

/// What a transaction came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swapped {
    /// It was done.
    Done,
    /// A key is no longer as it was compared with.
    Changed,
}

impl Etcd {
    /// Connects to one member.
    ///
    /// # Errors
    /// It does not answer, or refuses the user.
    pub(crate) async fn connect(settings: &Settings, endpoint: &str) -> Result<Self, EtcdError> {
        let mut options = ConnectOptions::new()
            .with_keep_alive(PING, PONG)
            .with_keep_alive_while_idle(true)
            .with_timeout(REQUEST)
            .with_connect_timeout(CONNECT)
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if endpoint.starts_with("https://")
            && let Some(tls) = settings.tls()?
        {
            options = options.with_tls(tls);
        }
        if let Some((user, password)) = settings.user()? {
            options = options.with_user(user, password);
        }
        let connected = Client::connect([endpoint], Some(options)).await;
        let client = connected.map_err(|error| classified(endpoint, &error))?;
        Ok(Self {
            client,
            endpoint: endpoint.to_owned(),
            connection: std::sync::Arc::new(()),
        })
    }

    /// Connects to the first of these members that answers a request.
    ///
    /// # Errors
    /// Those of the last one.
    pub(crate) async fn any(settings: &Settings, key: &str) -> Result<Self, EtcdError> {
        let endpoints = settings.endpoints.iter().map(String::as_str);
        Self::first(settings, endpoints, key).await
    }

    /// Connects to the first of other members that answers a request.
    ///
    /// # Errors
    /// Those of the last one.
    pub(crate) async fn first<'a>(
        settings: &Settings,
        endpoints: impl IntoIterator<Item = &'a str>,
        key: &str,
    ) -> Result<Self, EtcdError> {
        let mut last = None;
        for endpoint in endpoints {
            let tried = async {
                let etcd = Self::connect(settings, endpoint).await?;
                etcd.get(key).await?;
                Ok(etcd)
            };
            match tried.await {
                Ok(etcd) => return Ok(etcd),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(EtcdError::NoAnswer {
            endpoint: "none".to_owned(),
            why: "there are no endpoints".to_owned(),
        }))
    }

    /// Whether this is the same connection.
    pub(crate) fn is(&self, other: &Self) -> bool {
        std::sync::Arc::ptr_eq(&self.connection, &other.connection)
    }

    pub(crate) fn fault(&self, error: &ClientError) -> EtcdError {
        classified(&self.endpoint, error)
    }

    pub(crate) fn other(&self, why: impl Into<String>) -> EtcdError {
        EtcdError::Other {
            endpoint: self.endpoint.clone(),
            why: why.into(),
        }
    }

    /// Does something within the time of one request, whatever the member does.
    pub(crate) async fn within<T>(
        &self,
        request: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, EtcdError> {
        match tokio::time::timeout(REQUEST, request).await {
            Ok(answer) => answer.map_err(|error| self.fault(&error)),
            Err(_) => Err(EtcdError::NoAnswer {
                endpoint: self.endpoint.clone(),
                why: format!("no answer within {} s", REQUEST.as_secs()),
            }),
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// See [`EtcdError`]; so for all.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Value>, EtcdError> {
        let mut client = self.client.clone();
        let answer = self.within(client.get(key, None)).await?;
        Ok(answer.kvs().first().map(Value::of))
    }

    /// The values of all keys that begin so, in their order, as they were at one revision.
    pub(crate) async fn all(&self, prefix: &str) -> Result<Vec<Value>, EtcdError> {
        self.page(prefix, false).await
    }

    /// The keys that begin so, without their values.
    pub(crate) async fn keys(&self, prefix: &str) -> Result<Vec<String>, EtcdError> {
        let found = self.page(prefix, true).await?;
        Ok(found.into_iter().map(|value| value.key).collect())
    }

    async fn page(&self, prefix: &str, keys_only: bool) -> Result<Vec<Value>, EtcdError> {
        let end = after(prefix);
        let mut from = prefix.to_owned().into_bytes();
        let mut at = 0;
        let mut found = Vec::new();
        loop {
            let mut options = GetOptions::new()
                .with_range(end.clone())
                .with_sort(SortTarget::Key, SortOrder::Ascend)
                .with_limit(PAGE)
                .with_revision(at);
            if keys_only {
                options = options.with_keys_only();
            }
            let mut kv = self.client.kv_client().max_decoding_message_size(LARGEST);
            let answer = self.within(kv.get(from.clone(), Some(options))).await?;
            if at == 0 {
                at = answer
                    .header()
                    .map_or(0, etcd_client::ResponseHeader::revision);
            }
            found.extend(answer.kvs().iter().map(Value::of));
            match answer.kvs().last() {
                Some(last) if answer.more() => {
                    from = [last.key(), &[0]].concat();
                }
                _ => return Ok(found),
            }
        }
    }

    /// The values of several keys at one revision, in their order, and that revision.
    pub(crate) async fn several(
        &self,
        keys: &[String],
    ) -> Result<(Vec<Option<Value>>, i64), EtcdError> {
        let gets: Vec<_> = keys
            .iter()
            .map(|key| TxnOp::get(key.as_str(), None))
            .collect();
        let mut kv = self.client.kv_client().max_decoding_message_size(LARGEST);
        let answer = self.within(kv.txn(Txn::new().and_then(gets))).await?;
        let at = answer
            .header()
            .map_or(0, etcd_client::ResponseHeader::revision);
        let values: Vec<_> = answer
            .op_responses()
            .into_iter()
            .filter_map(|answer| match answer {
                TxnOpResponse::Get(found) => Some(found.kvs().first().map(Value::of)),
                _ => None,
            })
            .collect();
        if values.len() != keys.len() {
            return Err(self.other(format!(
                "{} answers to {} questions",
                values.len(),
                keys.len()
            )));
        }
        Ok((values, at))
    }

    /// Does all of these if each key was last written at its revision (0: it is not there).
    pub(crate) async fn swap(
        &self,
        unchanged: &[(String, i64)],
        operations: Vec<TxnOp>,
    ) -> Result<Swapped, EtcdError> {
        let compares: Vec<_> = unchanged
            .iter()
            .map(|(key, written)| Compare::mod_revision(key.as_str(), CompareOp::Equal, *written))
            .collect();
        let mut client = self.client.clone();
        let txn = Txn::new().when(compares).and_then(operations);
        let answer = self.within(client.txn(txn)).await?;
        Ok(match answer.succeeded() {
            true => Swapped::Done,
            false => Swapped::Changed,
        })
    }
}

/// The first key after all that begin with a prefix.
pub(crate) fn after(prefix: &str) -> Vec<u8> {
    let mut end = prefix.to_owned().into_bytes();
    // Prefixes end in '/', which has a successor.
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    end
}

fn classified(endpoint: &str, error: &ClientError) -> EtcdError {
    let endpoint = endpoint.to_owned();
    let mut why = error.to_string();
    let mut source = error.source();
    if let ClientError::GRpcStatus(status) = error {
        why = status.message().to_owned();
        source = status.source();
    }
    while let Some(cause) = source {
        let said = cause.to_string();
        if !why.contains(&said) {
            why = format!("{why}: {said}");
        }
        source = cause.source();
    }
    // An alert of TLS that comes after the handshake is not told.
    let ended = why.contains("transport error") && !why.contains("tcp connect error");
    if endpoint.starts_with("https://") && ended {
        why.push_str(TLS_HINT);
    }
    let code = match error {
        ClientError::GRpcStatus(status) => status.code() as i32,
        _ => NO_CODE,
    };
    match code {
        RESOURCE_EXHAUSTED if why.contains("space") => EtcdError::Full { endpoint, why },
        PERMISSION_DENIED | UNAUTHENTICATED => EtcdError::Denied { endpoint, why },
        INVALID_ARGUMENT if why.contains("authentication") || why.contains("auth ") => {
            EtcdError::Denied { endpoint, why }
        }
        NO_CODE | UNKNOWN | DEADLINE_EXCEEDED | CANCELLED | UNAVAILABLE => {
            EtcdError::NoAnswer { endpoint, why }
        }
        _ => EtcdError::Other { endpoint, why },
    }
}

const TLS_HINT: &str = " (TLS: a certificate may be expired or of another authority; \
    `openssl x509 -noout -dates -subject -in FILE` tells)";

const NO_CODE: i32 = -1;
// https://grpc.github.io/grpc/core/md_doc_statuscodes.html
const CANCELLED: i32 = 1;
const UNKNOWN: i32 = 2;
const INVALID_ARGUMENT: i32 = 3;
const DEADLINE_EXCEEDED: i32 = 4;
const PERMISSION_DENIED: i32 = 7;
const RESOURCE_EXHAUSTED: i32 = 8;
const UNAVAILABLE: i32 = 14;
const UNAUTHENTICATED: i32 = 16;
