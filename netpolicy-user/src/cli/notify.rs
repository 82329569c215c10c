//! `netpolicy notify …`: all of it is done by `netpolicy-net`.

use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum NotifyCommand {
    /// Run hooks whenever the agent has notices, until stopped; netpolicy-notify.service runs this
    /// as an unprivileged user
    Run(NotifyArgs),
    /// Run every hook once with a notice that says it is a test, and say what came of it
    Test(NotifyArgs),
}

/// Options. They are read again by the program that does it.
#[derive(Debug, clap::Args)]
pub(super) struct NotifyArgs {
    /// Certificates to trust instead of the system's, PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "SSL_CERT_FILE",
        hide_env_values = true
    )]
    ca: Option<PathBuf>,
}
