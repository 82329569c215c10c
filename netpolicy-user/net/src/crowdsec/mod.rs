//! A bouncer of CrowdSec: its decisions of type `ban` as netpolicy's bans.
//!
//! | Module | What it is |
//! |---|---|
//! | `settings` | where the local API is, its key, and which decisions count |
//! | `lapi` | the local API's client |
//! | `known` | the decisions that there are, and what follows for bans; pure |
//! | `bans` | the agent's bans, over its socket |
//! | `run` | the process that keeps both the same |
//!
//! The agent ends bans itself, so a decision that ends by its time needs nothing. Anything else
//! that a source is banned shorter or no longer by is done by handing over the whole set, in one
//! step: bans of other origins are not touched.

mod bans;
mod known;
mod lapi;
mod run;
mod settings;

use std::io::{self, Write as _};
use std::path::Path;

use jiff::Timestamp;

use self::known::{Known, Tally};
use self::lapi::Lapi;
use self::run::Bouncer;
use crate::rights;

pub(crate) use self::settings::{SETTINGS, Settings};

/// The origin of bans that follow from decisions.
const ORIGIN: &str = "crowdsec";

/// Keeps bans as the decisions say until the process ends.
///
/// # Errors
/// The settings are wrong, or this is root.
pub(crate) fn run(socket: &Path, settings: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        !rights::is_root(),
        "this reads what another program sends, and refuses to run as root\n\
         hint: `systemctl start netpolicy-crowdsec` runs it as user netpolicy-crowdsec"
    );
    let settings = Settings::read(settings)?;
    let lapi = Lapi::new(&settings)?;
    Bouncer::new(lapi, socket, &settings).run()
}

/// Asks once for all decisions, and says what they come to; changes nothing, at CrowdSec neither.
///
/// # Errors
/// The local API does not answer as it should.
pub(crate) fn test(settings: &Path, as_json: bool) -> anyhow::Result<()> {
    let settings = Settings::read(settings)?;
    let lapi = Lapi::new(&settings)?;
    rights::give_up(&rights::FEED_USERS)?;
    let bytes = lapi.all()?;
    let decisions = lapi::decisions(&bytes)?;
    let mut known = Known::default();
    let tally = known.restart(&decisions, Timestamp::now());
    let bans = known.len();
    let mut out = io::stdout().lock();
    if as_json {
        let Tally {
            bans: counted,
            other_types,
            other_scopes,
            unreadable,
        } = tally;
        let report = serde_json::json!({
            "url": settings.url,
            "decisions": decisions.len(),
            "bans": counted,
            "sources": bans,
            "other_types": other_types,
            "other_scopes": other_scopes,
            "unreadable": unreadable,
        });
        writeln!(out, "{report}")?;
        return Ok(());
    }
    let mut row = |key: &str, value: &str| writeln!(out, "{key:<10}  {value}");
    row("Local API", &settings.url)?;
    row("Decisions", &decisions.len().to_string())?;
    row("Sources", &bans.to_string())?;
    row("Left out", &tally.left_out())?;
    Ok(())
}
