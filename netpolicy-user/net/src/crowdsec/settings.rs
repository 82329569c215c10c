//! Where the local API is, its key, and which decisions count.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use ureq::http::Uri;

/// Where the settings are unless another file is named.
pub(crate) const SETTINGS: &str = "/etc/netpolicy/crowdsec.toml";

/// The key unless the settings or the service name another file.
const KEY: &str = "/etc/netpolicy/crowdsec.key";

/// The credential by which the service hands over the key.
const CREDENTIAL: &str = "api-key";

/// The shortest and longest time between two requests.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3_600);

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
    /// There is no key.
    #[error(
        "there is no API key in {KEY}\n\
         hint: `cscli bouncers add netpolicy -o raw` makes one; `key_file` names another file"
    )]
    NoKey,
    /// Others may read the key.
    #[error(
        "{path} may be read by other users, mode {mode:o}: expected 600\n\
         hint: `chmod 600 {path}`"
    )]
    OpenKey {
        /// The file.
        path: String,
        /// Its mode.
        mode: u32,
    },
}

/// The file, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    url: Option<String>,
    key_file: Option<PathBuf>,
    interval: Option<String>,
    ca: Option<PathBuf>,
    allow_http: bool,
    service: Option<String>,
    origins: Vec<String>,
    scenarios_containing: Vec<String>,
    scenarios_not_containing: Vec<String>,
}

/// What the bouncer goes by.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The local API, without a slash at its end.
    pub(super) url: String,
    /// Its key for this bouncer.
    pub(super) key: String,
    /// Time between two requests.
    pub(super) interval: Duration,
    /// Certificates to trust instead of the system's.
    pub(super) ca: Option<PathBuf>,
    /// The service that is banned for; `None`: the host.
    pub(super) service: Option<String>,
    /// Which decisions count, as the local API is asked for them.
    pub(super) filters: Vec<(&'static str, String)>,
}

impl Settings {
    /// Reads them; a file that is not there says nothing.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub(crate) fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = match fs::read_to_string(path) {
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && path == Path::new(SETTINGS) =>
            {
                String::new()
            }
            read => read.map_err(|source| SettingsError::File {
                path: path.display().to_string(),
                source,
            })?,
        };
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self::of(path, &text, credentials.as_deref())
    }

    fn of(path: &Path, text: &str, credentials: Option<&Path>) -> Result<Self, SettingsError> {
        let path = path.display().to_string();
        let wrong = |why: String| SettingsError::Wrong {
            path: path.clone(),
            why,
        };
        let file: File = toml::from_str(text).map_err(|error| {
            let place = error.span().map_or(0, |span| span.start);
            let line = text.get(..place).unwrap_or(text).matches('\n').count() + 1;
            wrong(format!("line {line}: {}", error.message()))
        })?;
        let url = file
            .url
            .unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
        let url = url.trim_end_matches('/').to_owned();
        check_url(&url, file.allow_http).map_err(&wrong)?;
        let interval = file.interval.as_deref().unwrap_or("10s");
        let read = humantime::parse_duration(interval);
        let interval = read
            .ok()
            .filter(|interval| (SHORTEST..=LONGEST).contains(interval))
            .ok_or_else(|| {
                let text = interval.escape_debug();
                wrong(format!("interval is \"{text}\"; expected 1s to 1h"))
            })?;
        let filters = [
            ("origins", file.origins),
            ("scenarios_containing", file.scenarios_containing),
            ("scenarios_not_containing", file.scenarios_not_containing),
        ];
        let filters = filters
            .into_iter()
            .filter(|(_, words)| !words.is_empty())
            .map(|(key, words)| (key, words.join(",")))
            .collect();
        let (key_file, is_credential) = match (file.key_file, credentials) {
            (Some(file), _) => (file, false),
            (None, Some(credentials)) => (credentials.join(CREDENTIAL), true),
            (None, None) if Path::new(KEY).exists() => (PathBuf::from(KEY), false),
            (None, None) => return Err(SettingsError::NoKey),
        };
        Ok(Self {
            url,
            key: read_key(&key_file, is_credential)?,
            interval,
            ca: file.ca,
            service: file.service,
            filters,
        })
    }

    /// Whether the local API is asked by HTTPS.
    pub(super) fn is_https(&self) -> bool {
        self.url.starts_with("https://")
    }
}

/// The key goes with each request: on the way to another host only by HTTPS.
fn check_url(url: &str, allow_http: bool) -> Result<(), String> {
    let text = url.escape_debug();
    let expected = "expected a URL such as http://127.0.0.1:8080";
    let uri: Uri = url
        .parse()
        .map_err(|error| format!("url is \"{text}\": {error}; {expected}"))?;
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") if !host.is_empty() => Ok(()),
        Some("http") if is_here || allow_http && !host.is_empty() => Ok(()),
        Some("http") if !host.is_empty() => Err(format!(
            "url is \"{text}\", and anyone on the way could read the key; expected https, or \
             allow_http = true"
        )),
        _ => Err(format!("url is \"{text}\"; {expected}")),
    }
}

fn read_key(file: &Path, is_credential: bool) -> Result<String, SettingsError> {
    let path = file.display().to_string();
    let fault = |source| SettingsError::File {
        path: path.clone(),
        source,
    };
    let mode = fs::metadata(file).map_err(fault)?.mode() & 0o777;
    // A credential's directory belongs to the service alone.
    if !is_credential && mode & 0o077 != 0 {
        return Err(SettingsError::OpenKey { path, mode });
    }
    let key = fs::read_to_string(file).map_err(fault)?.trim().to_owned();
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    match is_key {
        true => Ok(key),
        false => Err(SettingsError::Wrong {
            path,
            why: "it holds no API key; expected one line of letters and digits".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A directory with a credential.
    fn credentials(key: &str) -> PathBuf {
        let name = format!("netpolicy-crowdsec-{}-{}", std::process::id(), key.len());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(CREDENTIAL), key).unwrap();
        dir
    }

    fn read(text: &str, key: &str) -> Result<Settings, String> {
        let dir = credentials(key);
        let read = Settings::of(Path::new("c.toml"), text, Some(&dir));
        fs::remove_dir_all(dir).unwrap();
        read.map_err(|error| error.to_string())
    }

    #[test]
    fn settings_have_defaults_and_filters_go_to_the_local_api() {
        let usual = read("", "k3y/+=\n").unwrap();
        assert_eq!(usual.url, "http://127.0.0.1:8080");
        assert_eq!(
            (usual.key.as_str(), usual.interval.as_secs()),
            ("k3y/+=", 10)
        );
        assert!(usual.filters.is_empty() && !usual.is_https());
        let text = "url = \"https://lapi.example.org:8080/\"\ninterval = \"1m\"\n\
                    service = \"postgres\"\norigins = [\"crowdsec\", \"cscli\"]\n";
        let other = read(text, "key1").unwrap();
        assert_eq!(other.url, "https://lapi.example.org:8080");
        assert!(other.is_https());
        let expected = [("origins", "crowdsec,cscli".to_owned())];
        assert_eq!(other.filters, expected);
    }

    #[test]
    fn wrong_settings_are_refused_with_file_and_line() {
        for (text, said) in [
            ("interval = \"0s\"", "expected 1s to 1h"),
            ("interval = 10", "line 1:"),
            ("\nurls = \"x\"", "line 2: unknown field `urls`"),
            ("url = \"http://192.0.2.1:8080\"", "allow_http = true"),
            ("url = \"ftp://127.0.0.1\"", "expected a URL"),
            ("url = \"127.0.0.1:8080\"", "expected a URL"),
        ] {
            let error = read(text, "key22").unwrap_err();
            assert!(
                error.contains(said) && error.starts_with("c.toml"),
                "{error}"
            );
        }
        let open = "url = \"http://192.0.2.1:8080\"\nallow_http = true";
        assert!(read(open, "key333").is_ok());
        assert!(read("url = \"http://[::1]:8080\"", "key4444").is_ok());
        assert!(read("", "two\nlines").unwrap_err().contains("no API key"));
    }

    #[test]
    fn key_that_others_may_read_is_refused() {
        let dir = credentials("a key of a file");
        let file = dir.join(CREDENTIAL);
        fs::write(&file, "secret").unwrap();
        let text = format!("key_file = {file:?}");
        let open = fs::Permissions::from_mode(0o644);
        fs::set_permissions(&file, open).unwrap();
        let error = Settings::of(Path::new("c.toml"), &text, None).unwrap_err();
        assert!(error.to_string().contains("expected 600"), "{error}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let settings = Settings::of(Path::new("c.toml"), &text, None).unwrap();
        assert_eq!(settings.key, "secret");
        fs::remove_dir_all(dir).unwrap();
        let none = Settings::of(Path::new("c.toml"), "", None).unwrap_err();
        assert!(none.to_string().contains("cscli bouncers add"), "{none}");
    }
}
