//! Why there is no configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// How the message of a file begins that cannot be read.
const UNREADABLE: &str = "it cannot be read";

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

impl ConfigProblem {
    /// Whether it is that the file cannot be read.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.message.starts_with(UNREADABLE)
    }
}

impl ConfigError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } => "name a file that can be read with --config or NETPOLICY_CONFIG",
            Self::Invalid(_) => "`netpolicy config default` prints every key, with its meaning",
        }
    }

    /// All that is wrong, as problems of a file.
    #[must_use]
    pub fn problems(self) -> Vec<ConfigProblem> {
        match self {
            Self::Read { path, source } => vec![ConfigProblem {
                place: path.display().to_string(),
                message: format!("{UNREADABLE}: {source}"),
            }],
            Self::Invalid(problems) => problems,
        }
    }

    /// All that is wrong, each with its place.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Read { source, .. } => vec![format!("{self}: {source}")],
            Self::Invalid(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }
}

fn join(problems: &[ConfigProblem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
