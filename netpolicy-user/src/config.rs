//! Configuration: one [`Config`] from file, environment and flags, in rising order of precedence.
//!
//! Reads the configuration file and nothing else; opens no socket and touches no
//! interface. What the values mean is up to who uses them.

mod commented;
mod compare;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use netpolicy_common::Engine;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::model::Limits;

pub use commented::commented_default;

/// Where the configuration file is looked for when none is named.
pub const DEFAULT_FILE: &str = "/etc/netpolicy/config.toml";
/// A configuration file with every key, its default and what it means.
pub const DEFAULT_TEXT: &str = include_str!("config/default.toml");
/// The agent's unix socket.
pub const DEFAULT_SOCKET: &str = "/run/netpolicy/agent.sock";
/// The store's directory.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/netpolicy";
/// The directory of the pins.
pub const DEFAULT_BPFFS_DIR: &str = "/sys/fs/bpf/netpolicy";

/// A file of this name in the state directory keeps the agent from attaching, across
/// its restarts, until `netpolicy attach`.
pub const DETACHED_MARKER: &str = "detached";

/// Longest interface name: `IFNAMSIZ` of the kernel's `include/uapi/linux/if.h`, less its NUL.
const INTERFACE_NAME_MAX: usize = 15;
const DEFAULT_EVENTS_PER_SECOND: u32 = 1000;
const DEFAULT_VERIFY_INTERVAL: Duration = Duration::from_secs(60);

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The agent's unix socket.
    pub socket: PathBuf,
    /// Directory of the store and the `detached` marker.
    pub state_dir: PathBuf,
    /// Where links, program and maps are pinned; on a bpffs.
    pub bpffs_dir: PathBuf,
    /// Whose that bpffs is.
    pub bpffs: BpffsChoice,
    /// Names of the interfaces to filter, each once.
    pub interfaces: Vec<String>,
    /// Interfaces that need not be filtered, and are no fault in the status: names, or
    /// beginnings of names with a `*` behind.
    pub unfiltered_interfaces: Vec<String>,
    /// How to attach to them.
    pub xdp_mode: XdpChoice,
    /// How the kernel is to hold lists.
    pub engine: EngineChoice,
    /// Drop events reported per second, all CPUs together.
    pub events_per_second: u32,
    /// The most that a host may have.
    pub limits: Limits,
    /// How often the agent compares the kernel with the desired state; at least a second.
    pub verify_interval: Duration,
}

/// How to attach the program to an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum XdpChoice {
    /// In the driver; where the driver cannot, in the kernel's generic hook.
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the kernel's generic hook: slower, works on every interface.
    Generic,
}

/// Whose the bpffs with the pins is. Filtering ends with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BpffsChoice {
    /// That is found out; the agent does not start if it is not the host's.
    #[default]
    Auto,
    /// The host's, which cannot be found out from another PID namespace.
    Host,
    /// It may end with the agent's mount namespace, and filtering with it.
    Ephemeral,
}

/// How the kernel is to hold lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// Tables and tries made for speed.
    #[default]
    Flat,
    /// The kernel's own LPM tries: the reference.
    Lpm,
}

impl From<EngineChoice> for Engine {
    fn from(choice: EngineChoice) -> Self {
        match choice {
            EngineChoice::Flat => Self::Flat,
            EngineChoice::Lpm => Self::Lpm,
        }
    }
}

/// What flags say; `None` or empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The configuration file, which then has to exist.
    pub file: Option<PathBuf>,
    /// Overrides [`Config::socket`].
    pub socket: Option<PathBuf>,
    /// Overrides [`Config::state_dir`].
    pub state_dir: Option<PathBuf>,
    /// Overrides [`Config::bpffs_dir`].
    pub bpffs_dir: Option<PathBuf>,
    /// Makes [`Config::bpffs`] [`BpffsChoice::Ephemeral`].
    pub ephemeral: bool,
    /// Overrides [`Config::interfaces`], all of them.
    pub interfaces: Vec<String>,
    /// Overrides [`Config::xdp_mode`].
    pub xdp_mode: Option<XdpChoice>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file, a variable or a flag says something that cannot be.
    #[error("{}", join(.0))]
    Invalid(Vec<ConfigProblem>),
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// "/etc/netpolicy/config.toml:3:1", or a flag's or variable's name.
    pub place: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

fn join(problems: &[ConfigProblem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

impl Default for Config {
    fn default() -> Self {
        Self {
            socket: DEFAULT_SOCKET.into(),
            state_dir: DEFAULT_STATE_DIR.into(),
            bpffs_dir: DEFAULT_BPFFS_DIR.into(),
            bpffs: BpffsChoice::default(),
            interfaces: Vec::new(),
            unfiltered_interfaces: Vec::new(),
            xdp_mode: XdpChoice::default(),
            engine: EngineChoice::default(),
            events_per_second: DEFAULT_EVENTS_PER_SECOND,
            limits: Limits::default(),
            verify_interval: DEFAULT_VERIFY_INTERVAL,
        }
    }
}

impl Config {
    /// Reads the file, then lets the environment, then the flags have their say.
    ///
    /// # Errors
    /// A file that was named and cannot be read, and every value that cannot be.
    pub fn load(
        overrides: &Overrides,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        // An empty variable is how shells and unit files say "not set".
        let variable = |name: &str| {
            environment(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let mut config = Self::default();
        let mut problems = Vec::new();

        let named = overrides
            .file
            .clone()
            .or_else(|| variable("NETPOLICY_CONFIG"));
        let path = named.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        match std::fs::read_to_string(&path) {
            Ok(text) => config.take_file(&path, &text, &mut problems),
            Err(e) if named.is_none() && e.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(ConfigError::Read { path, source }),
        }

        for (field, variable_name, flag) in [
            (&mut config.socket, "NETPOLICY_SOCKET", &overrides.socket),
            (
                &mut config.state_dir,
                "NETPOLICY_STATE_DIR",
                &overrides.state_dir,
            ),
            (
                &mut config.bpffs_dir,
                "NETPOLICY_BPFFS_DIR",
                &overrides.bpffs_dir,
            ),
        ] {
            if let Some(path) = flag.clone().or_else(|| variable(variable_name)) {
                *field = path;
            }
        }
        if !overrides.interfaces.is_empty() {
            config.interfaces.clear();
            for name in &overrides.interfaces {
                config.add_interface(name, "--interface", &mut problems);
            }
        }
        if overrides.ephemeral {
            config.bpffs = BpffsChoice::Ephemeral;
        }
        if let Some(mode) = overrides.xdp_mode {
            config.xdp_mode = mode;
        }

        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::Invalid(problems))
        }
    }

    /// [`Config::load`] with the process's own environment.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_process(overrides: &Overrides) -> Result<Self, ConfigError> {
        Self::load(overrides, |name| std::env::var_os(name))
    }

    fn take_file(&mut self, path: &Path, text: &str, problems: &mut Vec<ConfigProblem>) {
        let file: File = match toml::from_str(text) {
            Ok(file) => file,
            Err(e) => {
                problems.push(ConfigProblem {
                    place: place(path, text, e.span().map_or(0, |s| s.start)),
                    message: e.message().trim().replace('\n', ", "),
                });
                return;
            }
        };
        let at = |span: std::ops::Range<usize>| place(path, text, span.start);

        for (field, value) in [
            (&mut self.socket, file.socket),
            (&mut self.state_dir, file.state_dir),
            (&mut self.bpffs_dir, file.bpffs_dir),
        ] {
            let Some(value) = value else { continue };
            if value.get_ref().is_absolute() {
                *field = value.into_inner();
            } else {
                problems.push(ConfigProblem {
                    place: at(value.span()),
                    message: format!(
                        "\"{}\" is a relative path: an absolute one was expected",
                        value.get_ref().display()
                    ),
                });
            }
        }
        for name in file.interfaces.unwrap_or_default() {
            let place = at(name.span());
            self.add_interface(name.get_ref(), &place, problems);
        }
        for pattern in file.unfiltered_interfaces.unwrap_or_default() {
            let text = pattern.get_ref();
            let start = text.strip_suffix('*').unwrap_or(text);
            if start.contains('*') || text.is_empty() {
                problems.push(ConfigProblem {
                    place: at(pattern.span()),
                    message: format!(
                        "\"{}\" is not an interface name or the beginning of one: expected one as in \"docker0\" or \"br-*\"",
                        text.escape_debug()
                    ),
                });
            } else {
                self.unfiltered_interfaces.push(pattern.into_inner());
            }
        }
        if let Some(mode) = file.xdp_mode {
            self.xdp_mode = mode;
        }
        if let Some(bpffs) = file.bpffs {
            self.bpffs = bpffs;
        }
        if let Some(engine) = file.engine {
            self.engine = engine;
        }
        if let Some(rate) = file.events_per_second {
            self.events_per_second = rate;
        }
        if let Some(text) = file.verify_interval {
            match humantime::parse_duration(text.get_ref()) {
                Ok(interval) if interval >= Duration::from_secs(1) => {
                    self.verify_interval = interval;
                }
                _ => problems.push(ConfigProblem {
                    place: at(text.span()),
                    message: format!(
                        "\"{}\" is not an interval: expected at least a second, as in \"60s\" or \"5m\"",
                        text.get_ref()
                    ),
                }),
            }
        }
        let limits = file.limits.unwrap_or_default();
        for (field, value) in [
            (&mut self.limits.policies, limits.policies),
            (&mut self.limits.rules_per_list, limits.rules_per_list),
        ] {
            let Some(value) = value else { continue };
            if *value.get_ref() == 0 {
                problems.push(ConfigProblem {
                    place: at(value.span()),
                    message: "a limit of 0 would forbid everything: at least 1 was expected".into(),
                });
            } else {
                *field = value.into_inner();
            }
        }
    }

    fn add_interface(&mut self, name: &str, place: &str, problems: &mut Vec<ConfigProblem>) {
        let bad = if name == "lo" {
            Some("the loopback interface is never filtered".to_owned())
        } else if name.is_empty()
            || name.len() > INTERFACE_NAME_MAX
            || name == "."
            || name == ".."
            || name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace())
        {
            Some(format!(
                "\"{}\" is not an interface name: 1 to {INTERFACE_NAME_MAX} bytes without spaces, '/' and ':' were expected, as in \"eth0\"",
                name.escape_debug()
            ))
        } else {
            None
        };
        match bad {
            Some(message) => problems.push(ConfigProblem {
                place: place.to_owned(),
                message,
            }),
            None if self.interfaces.iter().any(|i| i == name) => {}
            None => self.interfaces.push(name.to_owned()),
        }
    }
}

/// The configuration file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    socket: Option<Spanned<PathBuf>>,
    state_dir: Option<Spanned<PathBuf>>,
    bpffs_dir: Option<Spanned<PathBuf>>,
    interfaces: Option<Vec<Spanned<String>>>,
    unfiltered_interfaces: Option<Vec<Spanned<String>>>,
    xdp_mode: Option<XdpChoice>,
    bpffs: Option<BpffsChoice>,
    engine: Option<EngineChoice>,
    events_per_second: Option<u32>,
    verify_interval: Option<Spanned<String>>,
    limits: Option<FileLimits>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLimits {
    policies: Option<Spanned<usize>>,
    rules_per_list: Option<Spanned<usize>>,
}

/// `path:line:column`, both counted from 1, the column in characters.
fn place(path: &Path, text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    let column = before[start..].chars().count() + 1;
    format!("{}:{line}:{column}", path.display())
}

#[cfg(test)]
mod tests;
