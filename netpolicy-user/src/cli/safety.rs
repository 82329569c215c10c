//! The options of every command that changes what is in force: how safely.

use std::time::Duration;

use crate::api::{ChangeQuery, Existing};

/// How a change is made.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Safety options")]
pub(super) struct Safety {
    /// Dry run: show what would change, and which clients would be denied
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Apply it even if it denies your own address, blocks a /0, or lets a policy test fail
    #[arg(long)]
    pub(super) force: bool,
    /// Refuse it if it denies a client that is connected
    #[arg(long)]
    pub(super) strict: bool,
    /// Open connections from sources that it newly denies: keep or cut them
    #[arg(long, value_enum, value_name = "KEEP|CUT", hide_possible_values = true)]
    pub(super) existing: Option<Existing>,
    /// Roll back automatically unless confirmed (`netpolicy confirm`) in time, as in 60s
    #[arg(long, value_name = "TIME", value_parser = within)]
    pub(super) confirm_within: Option<u64>,
    /// Another address of yours that must not be denied, in addition to SSH_CONNECTION;
    /// `none` adds none
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "NETPOLICY_FROM",
        hide_env_values = true
    )]
    pub(super) from: Option<String>,
    /// Apply it even if a database does not answer that is to enforce policies of its users; refused
    /// where the port would be open to all users until then
    #[arg(long)]
    pub(super) defer: bool,
    /// Refuse it unless the desired state is at revision N, which another change may have replaced
    #[arg(long, value_name = "N")]
    pub(super) if_revision: Option<u64>,
    /// Make it also if it alters what the host's fleet decides, until the fleet's next revision
    #[arg(long)]
    pub(super) local_override: bool,
}

impl Safety {
    /// As the API accepts it.
    pub(super) fn query(&self) -> ChangeQuery {
        ChangeQuery {
            dry_run: self.dry_run,
            force: self.force,
            strict: self.strict,
            existing: self.existing,
            confirm_within: self.confirm_within,
            from: self.from.clone(),
            opens: None,
            defer: self.defer,
            if_revision: self.if_revision,
            local_override: self.local_override,
        }
    }
}

/// A duration in whole seconds, as in "60s" or "5m"; a bare number is seconds.
fn within(text: &str) -> Result<u64, String> {
    let expected = "expected a time of 1s to 24h, as in 60s or 5m";
    let duration = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text).map_err(|e| format!("{e}; {expected}"))?,
    };
    let seconds = duration.as_secs();
    if duration.subsec_nanos() != 0 || !(1..=86_400).contains(&seconds) {
        return Err(expected.to_owned());
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn confirmation_time_is_whole_seconds_up_to_a_day() {
        assert_eq!(within("60s"), Ok(60));
        assert_eq!(within("60"), Ok(60));
        assert_eq!(within("5m"), Ok(300));
        assert_eq!(within("24h"), Ok(86_400));
        for bad in ["0", "0s", "25h", "500ms", "soon", "-5", ""] {
            let error = within(bad).unwrap_err();
            assert!(error.contains("60s or 5m"), "{bad}: {error}");
        }
    }
}
