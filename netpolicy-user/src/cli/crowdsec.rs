//! `netpolicy crowdsec …`: all of it is done by `netpolicy-net`.

use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum CrowdsecCommand {
    /// Keep bans as CrowdSec's decisions say, until stopped; netpolicy-crowdsec.service runs this
    /// as an unprivileged user
    Run(CrowdsecArgs),
    /// Ask CrowdSec's local API once, and say what its decisions come to; changes nothing
    Test(CrowdsecArgs),
}

/// Options. They are read again by the program that does it.
#[derive(Debug, clap::Args)]
pub(super) struct CrowdsecArgs {
    /// The settings
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/netpolicy/crowdsec.toml"
    )]
    settings: PathBuf,
}
