//! Where etcd is, what this host is called, and the keys: of hosts and of operators alike.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use etcd_client::{Certificate, Identity, TlsOptions};
use netpolicy_fleet::{FleetName, HostId, Keyring};
use serde::Deserialize;

/// Where the settings are unless another file is named.
pub(crate) const SETTINGS: &str = "/etc/netpolicy/fleet.toml";

/// Where the public keys are that a host trusts.
const KEYS: &str = "/etc/netpolicy/fleet.d";

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A setting is wrong.
    #[error("{path}: {why}")]
    Wrong {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// Others may read or write what they must not.
    #[error("{path} may be {what} by other users, mode {mode:o}\nhint: `chmod {fix} {path}`")]
    Open {
        /// The file.
        path: String,
        /// "read" or "written".
        what: &'static str,
        /// Its mode.
        mode: u32,
        /// What it should be.
        fix: &'static str,
    },
    /// There is no key to trust.
    #[error(
        "there is no public key in {path}, so nothing can be trusted\n\
         hint: copy the operator's key there: `minisign -G` or `netpolicy fleet init` makes it"
    )]
    NoKey {
        /// The directory.
        path: String,
    },
}

/// The file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The fleet.
    pub(crate) fleet: FleetName,
    /// The host's name in it; operators have none.
    pub(crate) host: Option<HostId>,
    /// etcd's client URLs.
    pub(crate) endpoints: Vec<String>,
    /// Those of a mirror, which hosts read when the others do not answer.
    #[serde(default)]
    pub(crate) mirror: Vec<String>,
    /// Certificates to trust, PEM.
    ca: Option<PathBuf>,
    /// The client's certificate, whose CN is the user in etcd.
    cert: Option<PathBuf>,
    /// Its key.
    key: Option<PathBuf>,
    /// The user in etcd without a certificate.
    user: Option<String>,
    /// The file with the user's password.
    password_file: Option<PathBuf>,
    /// Whether http to other hosts is accepted.
    #[serde(default)]
    allow_http: bool,
    /// The directory of public keys.
    #[serde(default = "keys")]
    pub(crate) keys: PathBuf,
    /// The agent's socket, if not the usual one.
    pub(crate) socket: Option<PathBuf>,
    /// An operator's secret key, minisign's.
    pub(crate) secret_key: Option<PathBuf>,
    /// The file with its password; without one it is asked for on the terminal.
    pub(crate) secret_key_password_file: Option<PathBuf>,
}

fn keys() -> PathBuf {
    KEYS.into()
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub(crate) fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = read(path)?;
        Self::of(path, &text)
    }

    fn of(path: &Path, text: &str) -> Result<Self, SettingsError> {
        let path = path.display().to_string();
        let wrong = |why: String| SettingsError::Wrong {
            path: path.clone(),
            why,
        };
        let settings: Self = toml::from_str(text).map_err(|error| {
            let place = error.span().map_or(0, |span| span.start);
            let line = text.get(..place).unwrap_or(text).matches('\n').count() + 1;
            wrong(format!("line {line}: {}", error.message()))
        })?;
        if settings.endpoints.is_empty() {
            return Err(wrong(
                "endpoints: expected at least one, such as \"https://192.0.2.1:2379\"".to_owned(),
            ));
        }
        for endpoint in settings.endpoints.iter().chain(&settings.mirror) {
            check_endpoint(endpoint, settings.allow_http).map_err(&wrong)?;
        }
        if settings.cert.is_some() != settings.key.is_some() {
            return Err(wrong("cert and key: expected both or none".to_owned()));
        }
        if settings.user.is_some() != settings.password_file.is_some() {
            return Err(wrong(
                "user and password_file: expected both or none".to_owned(),
            ));
        }
        Ok(settings)
    }

    /// The host's name.
    ///
    /// # Errors
    /// It is not set.
    pub(crate) fn host(&self) -> anyhow::Result<&HostId> {
        self.host.as_ref().ok_or_else(|| {
            anyhow::anyhow!(
                "host: not set, expected this host's name in the fleet\n\
                 hint: `netpolicy fleet join NAME` on an operator's machine prints the settings"
            )
        })
    }

    /// How to connect with TLS; `None`: to http alone.
    ///
    /// # Errors
    /// A file cannot be read, or others may read a key.
    pub(crate) fn tls(&self) -> Result<Option<TlsOptions>, SettingsError> {
        let is_https = |url: &String| url.starts_with("https://");
        let urls = self.endpoints.iter().chain(&self.mirror);
        if !urls.into_iter().any(is_https) {
            return Ok(None);
        }
        let mut tls = TlsOptions::new();
        if let Some(ca) = &self.ca {
            tls = tls.ca_certificate(Certificate::from_pem(read(ca)?));
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            tls = tls.identity(Identity::from_pem(read(cert)?, secret(key)?));
        }
        Ok(Some(tls))
    }

    /// The user in etcd and their password.
    ///
    /// # Errors
    /// The file cannot be read, or others may read it.
    pub(crate) fn user(&self) -> Result<Option<(String, String)>, SettingsError> {
        let (Some(user), Some(file)) = (&self.user, &self.password_file) else {
            return Ok(None);
        };
        let password = secret(file)?;
        Ok(Some((user.clone(), password.trim_end().to_owned())))
    }

    /// The keys that are trusted: all `*.pub` in the directory.
    ///
    /// # Errors
    /// One cannot be read, is no key, or may be written by others; there is none.
    pub(crate) fn keyring(&self) -> Result<Keyring, SettingsError> {
        let path = self.keys.display().to_string();
        let file = |source| SettingsError::File {
            path: path.clone(),
            source,
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.keys).map_err(file)? {
            let key = entry.map_err(file)?.path();
            if key.extension().is_some_and(|extension| extension == "pub") {
                found.push(key);
            }
        }
        found.sort();
        let mut keyring = Keyring::default();
        for key in &found {
            closed(key, 0o022, "written", "644")?;
            let name = key.file_name().unwrap_or_default().to_string_lossy();
            let added = keyring.add(&name, &read(key)?);
            added.map_err(|error| SettingsError::Wrong {
                path: path.clone(),
                why: error.to_string(),
            })?;
        }
        if keyring.is_empty() {
            return Err(SettingsError::NoKey { path });
        }
        Ok(keyring)
    }
}

fn read(path: &Path) -> Result<String, SettingsError> {
    fs::read_to_string(path).map_err(|source| SettingsError::File {
        path: path.display().to_string(),
        source,
    })
}

/// Reads a file that is of its owner and group alone.
///
/// # Errors
/// It cannot be read, or others may.
pub(crate) fn secret(path: &Path) -> Result<String, SettingsError> {
    closed(path, 0o007, "read", "600")?;
    read(path)
}

fn closed(
    path: &Path,
    refused: u32,
    what: &'static str,
    fix: &'static str,
) -> Result<(), SettingsError> {
    let of = fs::metadata(path).map_err(|source| SettingsError::File {
        path: path.display().to_string(),
        source,
    })?;
    let mode = of.mode() & 0o7777;
    if mode & refused == 0 {
        return Ok(());
    }
    Err(SettingsError::Open {
        path: path.display().to_string(),
        what,
        mode,
        fix,
    })
}

fn check_endpoint(url: &str, allow_http: bool) -> Result<(), String> {
    let expected = || format!("'{url}': expected a URL such as https://192.0.2.1:2379");
    let (scheme, rest) = url.split_once("://").ok_or_else(expected)?;
    let (host, port) = rest.rsplit_once(':').ok_or_else(expected)?;
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    if host.is_empty() || !is_port {
        return Err(expected());
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    match scheme {
        "https" => Ok(()),
        "http" if is_loopback || allow_http => Ok(()),
        "http" => Err(format!(
            "'{url}' is not encrypted: policies and passwords can be read on the way; \
             expected https, or allow_http = true"
        )),
        _ => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Settings, String> {
        let text = format!("fleet = \"prod\"\n{text}");
        Settings::of(Path::new("fleet.toml"), &text).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_are_read_and_wrong_ones_named() {
        let settings = of("endpoints = [\"https://192.0.2.1:2379\"]\nhost = \"db-1\"").unwrap();
        assert_eq!(settings.host().unwrap().as_str(), "db-1");
        assert!(settings.tls().unwrap().is_some());
        let local = of("endpoints = [\"http://[::1]:2379\", \"http://localhost:1\"]").unwrap();
        assert!(local.tls().unwrap().is_none());
        assert!(local.host().is_err());
        let far = "endpoints = [\"http://192.0.2.1:2379\"]";
        assert!(of(&format!("{far}\nallow_http = true")).is_ok());
        for (text, said) in [
            (far, "allow_http"),
            ("endpoints = []", "at least one"),
            ("endpoints = [\"192.0.2.1:2379\"]", "expected a URL"),
            ("endpoints = [\"https://192.0.2.1\"]", "expected a URL"),
            ("endpoints = [\"ftp://192.0.2.1:21\"]", "expected a URL"),
            (
                "endpoints = [\"https://a:1\"]\ncert = \"x\"",
                "cert and key",
            ),
            (
                "endpoints = [\"https://a:1\"]\nuser = \"x\"",
                "password_file",
            ),
            ("endpoint = [\"https://a:1\"]", "line 2: unknown field"),
            ("host = \"A\"\nendpoints = []", "line 2: 'A' is no name"),
        ] {
            let error = of(text).unwrap_err();
            assert!(
                error.starts_with("fleet.toml: ") && error.contains(said),
                "{error}"
            );
        }
    }
}
