//! `netpolicy import --into bans`: entries become bans, for as long as they have left.

use std::time::Duration;

use netpolicy_formats::{Entry, Reading};

use crate::api::BanRequest;
use crate::cli::ban;
use crate::cli::context::Context;
use crate::cli::failure::{Exit, Failure};
use crate::model::counted;

/// Bytes that the reason of a ban has at most.
const REASON: usize = 256;

/// Where entries go that are no part of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Into {
    /// The bans
    Bans,
}

/// How entries become bans.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Bans")]
pub(super) struct BanOptions {
    /// Ban the entries, each for as long as the file says that it is still to hold
    #[arg(
        long,
        value_enum,
        value_name = "bans",
        hide_possible_values = true,
        conflicts_with_all = [
            "list", "policy", "apply", "force", "strict", "existing", "confirm_within", "if_revision",
        ]
    )]
    pub(super) into: Option<Into>,
    /// How long entries are banned that have no end in the file, as in 4h; without it, for good
    #[arg(
        long = "for",
        value_name = "TIME",
        requires = "into",
        value_parser = humantime::parse_duration
    )]
    duration: Option<Duration>,
    /// Why; without it, what the file says of each entry
    #[arg(long, value_name = "TEXT", requires = "into")]
    reason: Option<String>,
    /// Who or what bans, as in crowdsec; without it, your user name
    #[arg(long, value_name = "NAME", requires = "into")]
    by: Option<String>,
}

impl BanOptions {
    fn request(&self, entry: &Entry, source: String) -> BanRequest {
        let left = entry.expires.or(self.duration);
        let reason = self.reason.as_deref().or(entry.comment.as_deref());
        BanRequest {
            source,
            seconds: left.map(whole_seconds),
            reason: reason.map(|text| text[..text.floor_char_boundary(REASON)].to_owned()),
            by: self.by.clone(),
            ..BanRequest::default()
        }
    }
}

/// A part of a second counts for a whole one: no ban ends before its time.
fn whole_seconds(duration: Duration) -> u64 {
    let part = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(part)
}

/// Bans what was read, or says what it would ban.
pub(super) async fn ban(
    options: &BanOptions,
    reading: &Reading,
    dry_run: bool,
    cx: &mut Context<'_>,
) -> anyhow::Result<Exit> {
    let is_over = |entry: &&Entry| entry.expires.is_some_and(|left| left.is_zero());
    let over = reading.entries.iter().filter(is_over).count();
    if over > 0 {
        let over = counted(over, "entry", "entries");
        cx.note(&format!("{over} left out: the time is over"))?;
    }
    let entries = reading.entries.iter().filter(|entry| !is_over(entry));
    let requests: Vec<_> = entries
        .flat_map(|entry| {
            let nets = entry.net.nets();
            nets.map(move |net| options.request(entry, net.to_string()))
        })
        .collect();
    if dry_run {
        let ends = requests.iter().filter(|request| request.seconds.is_some());
        let (ends, all) = (ends.count(), requests.len());
        cx.note(&format!(
            "{} would be banned, {ends} of them for a time",
            counted(all, "source", "sources")
        ))?;
        return Ok(Exit::Done);
    }
    if requests.is_empty() {
        return Err(Failure::new("no entry is left to be banned").into());
    }
    ban::carry_out(&requests, cx).await
}

#[cfg(test)]
mod tests {
    use netpolicy_formats::{Options, read_with};

    use super::*;

    #[test]
    fn entries_keep_their_time_and_their_comment() {
        let text = "create bad hash:net family inet hashsize 1024 maxelem 65536 timeout 0 comment\n\
                    add bad 192.0.2.1 timeout 90 comment \"scan\"\n\
                    add bad 192.0.2.0/25 timeout 0\n";
        let options = BanOptions {
            into: Some(Into::Bans),
            duration: Some(Duration::from_millis(3_600_500)),
            reason: None,
            by: Some("ipset".to_owned()),
        };
        let reading = read_with(
            None,
            text.as_bytes(),
            &Default::default(),
            Options::default(),
        );
        let reading = reading.unwrap();
        let requests = reading.entries.iter();
        let requests: Vec<_> = requests
            .map(|entry| options.request(entry, entry.net.to_string()))
            .collect();
        assert_eq!(requests[0].source, "192.0.2.1");
        assert_eq!(requests[0].seconds, Some(90));
        assert_eq!(requests[0].reason.as_deref(), Some("scan"));
        assert_eq!(requests[0].by.as_deref(), Some("ipset"));
        assert_eq!(requests[1].seconds, Some(3601));
        assert_eq!(requests[1].reason, None);
    }

    #[test]
    fn reason_is_cut_between_characters() {
        let options = BanOptions {
            into: None,
            duration: None,
            reason: Some("ü".repeat(200)),
            by: None,
        };
        let reading = read_with(
            None,
            b"192.0.2.1\n",
            &Default::default(),
            Options::default(),
        );
        let request = options.request(&reading.unwrap().entries[0], String::new());
        assert_eq!(request.reason.unwrap().len(), 256);
        assert_eq!(request.seconds, None);
    }
}
