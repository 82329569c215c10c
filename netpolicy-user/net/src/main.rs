//! `netpolicy-net`: all of netpolicy that reads the internet, in processes without rights.
//!
//! `netpolicy` links no TLS and runs as root where it must; this binary is the other way round.
//! It fetches, parses and guards the content of feeds, and hands canonical networks to the agent
//! over its socket; it asks CrowdSec's local API for decisions, and hands over bans; and it runs hooks
//! when the agent has notices. It speaks to a database on this host as the database's own user. The agent believes nothing of it and asks the same questions again.
//!
//! | Module | What it is |
//! |---|---|
//! | `cli` | the command line, as `netpolicy feed`, `crowdsec`, `notify` and `db` pass it on |
//! | `fetch` | a URL or file to bytes, within limits of size and time |
//! | `content` | bytes to canonical networks, after the feed's guards |
//! | `formats` | the seam before the formats |
//! | `agent` | the agent's API, over its unix socket |
//! | `unix` | the transport for it |
//! | `run` | the process that refreshes all feeds |
//! | `schedule` | when a feed is refreshed next |
//! | `crowdsec` | the process that bans what CrowdSec decides |
//! | `notify` | the process that runs hooks |
//! | `fleet` | the process that follows a fleet in etcd, and the operators' commands |
//! | `db` | the process that carries policies of users into a database, as its own user |
//! | `rights` | giving rights up |

mod agent;
mod cli;
mod content;
mod crowdsec;
mod db;
mod fetch;
#[cfg(feature = "fleet")]
mod fleet;
mod formats;
mod notify;
mod rights;
mod run;
mod schedule;
mod unix;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
