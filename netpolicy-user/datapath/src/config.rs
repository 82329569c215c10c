//! Configuration: one [`Config`] from file, environment and flags, in rising order of precedence.
//!
//! Reads the configuration file and nothing else; opens no socket and touches no
//! interface. What the values mean is up to who uses them.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::model::Limits;

mod bans;
mod choices;
mod commented;
mod effective;
mod error;
mod memory;
mod notify;
mod pattern;
mod place;
mod read;

use bans::FileBans;
use memory::FileMemory;
use notify::FileHook;
use place::{is_optional, place};

pub use bans::BansConfig;
pub use choices::{BpffsChoice, EngineChoice, HookChoice};
pub use commented::commented_default;
pub use effective::{Setting, ValueOrigin, differing_keys, settings};
pub use error::{ConfigError, ConfigProblem};
pub use memory::MemoryConfig;
pub use notify::NotifyHook;
pub use pattern::InterfacePattern;

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

/// The file that names the host's fleet.
pub const DEFAULT_FLEET_FILE: &str = "/etc/netpolicy/fleet.toml";

/// A file of this name in the state directory keeps the agent from attaching, across
/// its restarts, until `netpolicy attach`.
pub const DETACHED_MARKER: &str = "detached";

const DEFAULT_EVENTS_PER_SECOND: u32 = 1000;
const DEFAULT_RESETS_PER_SECOND: u32 = 1000;
const DEFAULT_VERIFY_INTERVAL: Duration = Duration::from_secs(60);

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Config {
    /// The agent's unix socket.
    #[serde(serialize_with = "effective::path")]
    pub socket: PathBuf,
    /// Directory of the store and the `detached` marker.
    #[serde(serialize_with = "effective::path")]
    pub state_dir: PathBuf,
    /// Where links, program and maps are pinned; on a bpffs.
    #[serde(serialize_with = "effective::path")]
    pub bpffs_dir: PathBuf,
    /// Whose that bpffs is.
    pub bpffs: BpffsChoice,
    /// Which interfaces to filter: entries that [`InterfacePattern`] reads, each once.
    pub interfaces: Vec<String>,
    /// Interfaces that need not be filtered, and are no fault in the status: entries that
    /// [`InterfacePattern`] reads, none of which excludes.
    pub unfiltered_interfaces: Vec<String>,
    /// Where to attach to them.
    pub hook: HookChoice,
    /// How the kernel is to hold lists.
    pub engine: EngineChoice,
    /// Denied attempts per second that listeners are told of.
    pub events_per_second: u32,
    /// Denied attempts answered by a reset per second, each CPU for itself.
    pub resets_per_second: u32,
    /// The most that a host may have.
    pub limits: Limits,
    /// What is never banned.
    pub bans: BansConfig,
    /// What is remembered of sources.
    pub memory: MemoryConfig,
    /// How often the agent compares the kernel with the desired state; at least a second.
    #[serde(serialize_with = "effective::interval")]
    pub verify_interval: Duration,
    /// Where commands look up `country:XX` and `as:NUMBER`. The agent does not read it.
    pub geo_databases: Vec<PathBuf>,
    /// The file that names the host's fleet, the host in it, and where the keys are that count in it.
    #[serde(serialize_with = "effective::path")]
    pub fleet_file: PathBuf,
    /// What is run or posted for notices.
    pub notify: Vec<NotifyHook>,
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
    /// Overrides [`Config::hook`].
    pub hook: Option<HookChoice>,
}

/// The configuration file that an option or the environment names.
pub fn named_file(
    overrides: &Overrides,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let variable = || environment("NETPOLICY_CONFIG").filter(|value| !value.is_empty());
    let file = overrides.file.clone();
    file.or_else(|| variable().map(PathBuf::from))
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
            hook: HookChoice::default(),
            engine: EngineChoice::default(),
            events_per_second: DEFAULT_EVENTS_PER_SECOND,
            resets_per_second: DEFAULT_RESETS_PER_SECOND,
            limits: Limits::default(),
            bans: BansConfig::default(),
            memory: MemoryConfig::default(),
            verify_interval: DEFAULT_VERIFY_INTERVAL,
            geo_databases: Vec::new(),
            fleet_file: DEFAULT_FLEET_FILE.into(),
            notify: Vec::new(),
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
        let (config, problems, _) = Self::read(overrides, environment, false)?;
        match problems.is_empty() {
            true => Ok(config),
            false => Err(ConfigError::Invalid(problems)),
        }
    }

    /// What commands work with, and what is wrong with it: an invalid file does not keep the
    /// operator from an agent that runs, nor from `netpolicy detach`. Neither does a file at the
    /// default place that the caller may not read.
    ///
    /// # Errors
    /// As [`Config::load`] where a file is named and it is not certain which agent that means.
    pub fn for_commands(
        overrides: &Overrides,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<(Self, Vec<ConfigProblem>), ConfigError> {
        let (config, problems, is_agent_known) = Self::read(overrides, environment, true)?;
        match problems.is_empty() || is_agent_known {
            true => Ok((config, problems)),
            false => Err(ConfigError::Invalid(problems)),
        }
    }

    /// All that can be read, all that is wrong, and whether it is certain which agent is meant.
    fn read(
        overrides: &Overrides,
        environment: impl Fn(&str) -> Option<OsString>,
        for_command: bool,
    ) -> Result<(Self, Vec<ConfigProblem>, bool), ConfigError> {
        // An empty variable is how shells and unit files say "not set".
        let variable = |name: &str| {
            environment(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let mut config = Self::default();
        let mut problems = Vec::new();

        let named = named_file(overrides, &environment);
        let path = named.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                config.take_file(&path, &text, &mut problems);
                problems.sort_by_key(read::position);
                // An unknown section is reported for each of its keys.
                problems.dedup();
            }
            Err(source) => {
                let is_optional = is_optional(source.kind(), named.is_some(), for_command);
                let is_absent = source.kind() == io::ErrorKind::NotFound;
                let error = ConfigError::Read { path, source };
                match is_optional {
                    true if is_absent => {}
                    true => problems.extend(error.problems()),
                    false => return Err(error),
                }
            }
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
            problems.extend(pattern::conflicts(&config.interfaces, "--interface"));
        }
        if overrides.ephemeral {
            config.bpffs = BpffsChoice::Ephemeral;
        }
        if let Some(hook) = overrides.hook {
            config.hook = hook;
        }

        let is_agent_known = named.is_none() || config.socket != Path::new(DEFAULT_SOCKET);
        Ok((config, problems, is_agent_known))
    }

    /// [`Config::load`] with the process's own environment.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_process(overrides: &Overrides) -> Result<Self, ConfigError> {
        Self::load(overrides, |name| std::env::var_os(name))
    }

    fn take_file(&mut self, path: &Path, text: &str, problems: &mut Vec<ConfigProblem>) {
        let file: File = read::keys(path, text, problems);
        let at = |span: std::ops::Range<usize>| place(path, text, span.start);

        for (field, value) in [
            (&mut self.socket, file.socket),
            (&mut self.state_dir, file.state_dir),
            (&mut self.bpffs_dir, file.bpffs_dir),
            (&mut self.fleet_file, file.fleet_file),
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
        let interfaces = file.interfaces.unwrap_or_default();
        for name in &interfaces {
            let place = at(name.span());
            self.add_interface(name.get_ref(), &place, problems);
        }
        if let Some(first) = interfaces.first() {
            let place = at(first.span());
            problems.extend(pattern::conflicts(&self.interfaces, &place));
        }
        for pattern in file.unfiltered_interfaces.unwrap_or_default() {
            let text = pattern.get_ref();
            let message = match InterfacePattern::read(text) {
                Ok(read) if !read.is_excluding() => {
                    self.unfiltered_interfaces.push(pattern.into_inner());
                    continue;
                }
                Ok(_) => format!(
                    "\"{}\" excludes: expected what may stay unfiltered, as in \"docker0\" or \
                     \"br-*\"",
                    text.escape_debug()
                ),
                Err(message) => message,
            };
            problems.push(ConfigProblem {
                place: at(pattern.span()),
                message,
            });
        }
        if let (Some(_), Some(old)) = (&file.hook, &file.xdp_mode) {
            problems.push(ConfigProblem {
                place: at(old.span()),
                message: "`xdp_mode` is the former name of `hook`, which is there too: remove it"
                    .into(),
            });
        }
        if let Some(hook) = file.hook.or(file.xdp_mode.map(Spanned::into_inner)) {
            self.hook = hook;
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
        if let Some(rate) = file.resets_per_second {
            self.resets_per_second = rate;
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
        let (bans, wrong) = file.bans.unwrap_or_default().read();
        self.bans = bans;
        let (memory, wrong_memory) = file.memory.unwrap_or_default().read();
        self.memory = memory;
        let wrong = wrong.into_iter().chain(wrong_memory);
        problems.extend(wrong.map(|(offset, message)| {
            let place = at(offset..offset);
            ConfigProblem { place, message }
        }));
        self.geo_databases = file.geo_databases.unwrap_or_default();
        let (hooks, wrong) = notify::read(file.notify.unwrap_or_default());
        self.notify = hooks;
        problems.extend(wrong.into_iter().map(|(offset, message)| {
            let place = at(offset..offset);
            ConfigProblem { place, message }
        }));
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

    fn add_interface(&mut self, text: &str, place: &str, problems: &mut Vec<ConfigProblem>) {
        match InterfacePattern::read(text) {
            Err(message) => problems.push(ConfigProblem {
                place: place.to_owned(),
                message,
            }),
            Ok(_) if self.interfaces.iter().any(|i| i == text) => {}
            Ok(_) => self.interfaces.push(text.to_owned()),
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
    hook: Option<HookChoice>,
    /// The former name of `hook`.
    xdp_mode: Option<Spanned<HookChoice>>,
    bpffs: Option<BpffsChoice>,
    engine: Option<EngineChoice>,
    events_per_second: Option<u32>,
    resets_per_second: Option<u32>,
    verify_interval: Option<Spanned<String>>,
    geo_databases: Option<Vec<PathBuf>>,
    fleet_file: Option<Spanned<PathBuf>>,
    notify: Option<Vec<Spanned<FileHook>>>,
    limits: Option<FileLimits>,
    bans: Option<FileBans>,
    memory: Option<FileMemory>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLimits {
    policies: Option<Spanned<usize>>,
    rules_per_list: Option<Spanned<usize>>,
}

#[cfg(test)]
mod tests;
