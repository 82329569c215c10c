//! How commands end: exit codes, and errors as lines on standard error.

mod json;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use nix::errno::Errno;

use crate::api::{ErrorCode, ErrorPlace};
use crate::client::ClientError;
use crate::config::{ConfigError, ConfigProblem};
use crate::model::{ErrorKind, ModelErrors, counted};
use crate::output::{Format, one_line};

/// Errors of one input that are printed; the rest is counted.
const SHOWN: usize = 20;

/// The process's exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Exit {
    /// All is well.
    Done = 0,
    /// Refused, failed, or found to be at fault.
    #[default]
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// No agent answers.
    NoAgent = 3,
}

impl Exit {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Done, Self::Failed, Self::Usage, Self::NoAgent];

    /// What it means, as the help of all commands says it.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "refused or failed",
            Self::Usage => "usage",
            Self::NoAgent => "no agent",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What the command line itself refuses or cannot do.
#[derive(Debug, Default)]
pub(super) struct Failure {
    /// All that is wrong, each on its own.
    pub errors: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
    /// How the process ends.
    pub exit: Exit,
    /// What kind of problem it is, if it is one that the API knows.
    pub code: Option<ErrorCode>,
    /// Where each of the errors is; none: none has a place.
    pub places: Vec<Option<ErrorPlace>>,
}

impl Failure {
    /// Refused or failed.
    pub(super) fn new(error: impl Into<String>) -> Self {
        Self {
            errors: vec![error.into()],
            ..Self::default()
        }
    }

    /// With what to do.
    #[must_use]
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.errors.join("; "))
    }
}

impl std::error::Error for Failure {}

/// All errors of a text that the model refuses.
pub(super) fn model_failure(errors: &ModelErrors) -> Failure {
    Failure {
        errors: errors.messages(),
        code: Some(match errors.kind() {
            ErrorKind::Invalid => ErrorCode::InvalidInput,
            ErrorKind::Unknown => ErrorCode::NotFound,
            ErrorKind::Conflict => ErrorCode::Conflict,
        }),
        places: errors
            .iter()
            .map(|error| error.place.as_ref().map(Into::into))
            .collect(),
        ..Failure::default()
    }
}

/// The exit code for an error that reached the top.
pub(super) fn exit_of(error: &anyhow::Error) -> Exit {
    if is_broken_pipe(error) {
        // `netpolicy policy list | head -1`: the reader has seen enough.
        return Exit::Done;
    }
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.exit;
    }
    error
        .downcast_ref::<ClientError>()
        .map_or(Exit::Failed, exit_without)
}

/// The exit code where the agent does not answer, also if the kernel was queried in its
/// place: 3 says that there is none, 1 that there is one that does not answer.
pub(super) fn exit_without(error: &ClientError) -> Exit {
    match error {
        ClientError::NoAgent { .. } => Exit::NoAgent,
        _ => Exit::Failed,
    }
}

pub(super) use json::usage as report_usage;

/// Writes an error in the format of the command's output.
pub(super) fn report_in(
    format: Format,
    error: &anyhow::Error,
    err: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Table => report(error, err),
        Format::Json => json::report(error, err),
    }
}

/// Writes an error: a line for each thing that is wrong, then what to do.
pub(super) fn report(error: &anyhow::Error, err: &mut dyn Write) -> io::Result<()> {
    let (errors, hint) = describe(error);
    // A line with the number of omitted errors is no shorter than the one error that it omits.
    let shown = if errors.len() > SHOWN + 1 {
        SHOWN
    } else {
        errors.len()
    };
    for text in &errors[..shown] {
        writeln!(err, "error: {}", one_line(text.trim_end()))?;
    }
    if errors.len() > shown {
        let more = counted(errors.len() - shown, "more error", "more errors");
        writeln!(err, "error: and {more}")?;
    }
    if let Some(hint) = hint {
        writeln!(err, "hint: {}", one_line(hint.trim_end()))?;
    }
    Ok(())
}

/// Says what is wrong with a configuration file that a command uses as far as it can be read.
pub(super) fn warn_of_config(problems: &[ConfigProblem], err: &mut dyn Write) -> io::Result<()> {
    /// More than that hide what the command itself has to say.
    const WARNED: usize = 3;
    for problem in problems.iter().take(WARNED) {
        writeln!(err, "warning: {}", one_line(&problem.to_string()))?;
    }
    // The agent may read a file that this caller may not.
    match problems.iter().all(ConfigProblem::is_unreadable) {
        true => Ok(()),
        false => writeln!(
            err,
            "hint: an agent does not start with this configuration; `netpolicy config check` \
             shows everything that is wrong with it"
        ),
    }
}

fn describe(error: &anyhow::Error) -> (Vec<String>, Option<String>) {
    let chain = || vec![format!("{error:#}")];
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return (failure.errors.clone(), failure.hint.clone());
    }
    if let Some(error) = error.downcast_ref::<ConfigError>() {
        return (error.lines(), Some(error.hint().to_owned()));
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Refused { body, .. }) => (body.errors.clone(), body.hint.clone()),
        Some(other) => (chain(), client_hint(other)),
        None => (
            chain(),
            is_out_of_files(error).then(|| MORE_FILES.to_owned()),
        ),
    }
}

/// What to do where no more files can be opened.
pub(super) const MORE_FILES: &str = "raise the limit of open files: `ulimit -n 1024` in this \
                                     shell, LimitNOFILE= in a systemd unit";

/// Whether it failed since the process, or the system, has too many open files.
fn is_out_of_files(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(lacks_files)
}

/// Whether the process, or the system, has too many open files.
pub(super) fn lacks_files(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE))
}

/// What to do about a request without an answer.
pub(super) fn client_hint(error: &ClientError) -> Option<String> {
    let hint = match error {
        ClientError::NoAgent { .. } => {
            "start it as root with `netpolicy agent --interface NIC`, or name its socket with --socket or NETPOLICY_SOCKET"
        }
        ClientError::Permission { .. } => {
            "run it as root, for example with sudo, or have root grant the privilege (`netpolicy grant`)"
        }
        ClientError::Silent { .. } => {
            "look into the agent's log, and restart it; enforcement does not depend on it"
        }
        ClientError::StreamEnded => {
            "start the agent again if it is not running; enforcement does not depend on it"
        }
        ClientError::Busy { .. } => {
            "the agent hangs or is stopped: look into its log, and restart it; enforcement does not depend on it"
        }
        ClientError::NotASocket { .. } | ClientError::OtherProgram { .. } => {
            "name the agent's socket with --socket, NETPOLICY_SOCKET or in the configuration file"
        }
        ClientError::Resources { .. } => MORE_FILES,
        ClientError::Transport { .. } => {
            "is it an agent of the same version? compare `netpolicy --version` with the agent's log"
        }
        ClientError::Refused { .. } => return None,
    };
    Some(hint.to_owned())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = match cause.downcast_ref::<io::Error>() {
            Some(io) => Some(io.kind()),
            None => cause
                .downcast_ref::<serde_json::Error>()
                .and_then(serde_json::Error::io_error_kind),
        };
        kind == Some(io::ErrorKind::BrokenPipe)
    }) && error.downcast_ref::<ClientError>().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ProblemDetails;

    fn reported(error: impl Into<anyhow::Error>) -> String {
        let mut out = Vec::new();
        report(&error.into(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn no_agent() -> ClientError {
        ClientError::NoAgent {
            why: "there is no such socket",
            socket: "/run/netpolicy/agent.sock".into(),
            source: io::Error::from_raw_os_error(2),
        }
    }

    #[test]
    fn every_kind_of_error_has_its_exit_code() {
        let refused = ClientError::Refused {
            status: 409,
            body: Box::new(ProblemDetails {
                errors: vec!["taken".into()],
                ..ProblemDetails::default()
            }),
        };
        for (error, exit) in [
            (anyhow::Error::from(no_agent()), Exit::NoAgent),
            (
                anyhow::Error::from(no_agent()).context("while looking"),
                Exit::NoAgent,
            ),
            (refused.into(), Exit::Failed),
            (ClientError::StreamEnded.into(), Exit::Failed),
            (Failure::new("no").into(), Exit::Failed),
            (
                io::Error::from(io::ErrorKind::BrokenPipe).into(),
                Exit::Done,
            ),
            (
                io::Error::from(io::ErrorKind::StorageFull).into(),
                Exit::Failed,
            ),
            (anyhow::anyhow!("anything"), Exit::Failed),
        ] {
            assert_eq!(exit_of(&error), exit, "{error:#}");
        }
    }

    #[test]
    fn help_lists_every_exit_code_with_its_meaning() {
        let codes = Exit::ALL.map(|exit| format!("{} {}", exit as u8, exit.meaning()));
        let help = super::super::command()
            .get_after_help()
            .unwrap()
            .to_string();
        let codes = format!("Exit codes: {}.", codes.join(", "));
        assert!(help.starts_with(&codes), "{help}");
    }

    #[test]
    fn broken_pipe_to_the_agent_is_a_failure() {
        let error = ClientError::Transport {
            what: "POST /v1/changes".into(),
            socket: "/s".into(),
            source: io::Error::from(io::ErrorKind::BrokenPipe).into(),
        };
        assert_eq!(exit_of(&error.into()), Exit::Failed);
    }

    #[test]
    fn error_is_one_line_with_its_causes_and_a_hint() {
        assert_eq!(
            reported(no_agent()),
            "error: no agent answers on /run/netpolicy/agent.sock: there is no such socket: No such file or directory (os error 2)\n\
             hint: start it as root with `netpolicy agent --interface NIC`, or name its socket with --socket or NETPOLICY_SOCKET\n"
        );
        assert_eq!(
            reported(anyhow::anyhow!("a\nb").context("c")),
            "error: c: a\\nb\n"
        );
    }

    #[test]
    fn errors_of_the_agent_are_shown_up_to_a_limit() {
        let body = ProblemDetails {
            errors: (1..=23).map(|i| format!("line {i}")).collect(),
            hint: Some("mend them".into()),
            ..ProblemDetails::default()
        };
        let body = Box::new(body);
        let text = reported(ClientError::Refused { status: 400, body });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 22);
        assert_eq!(lines[0], "error: line 1");
        assert_eq!(lines[19], "error: line 20");
        assert_eq!(lines[20], "error: and 3 more errors");
        assert_eq!(lines[21], "hint: mend them");
    }
}
