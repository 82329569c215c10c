//! The section `[bans]`.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::model::parse_source;

/// The section of bans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BansConfig {
    /// Addresses and networks that are never banned, in addition to those of the host, of its gateways
    /// and of the operator.
    pub never: Vec<String>,
    /// Bans within a minute that are noticed as a burst; 0: none are.
    pub burst: u64,
}

impl Default for BansConfig {
    fn default() -> Self {
        Self {
            never: Vec::new(),
            burst: 100,
        }
    }
}

impl BansConfig {
    /// [`Self::never`] as networks.
    #[must_use]
    pub fn never_banned(&self) -> Vec<IpNet> {
        // What is no source was refused when it was read.
        let sources = self.never.iter();
        sources.filter_map(|text| parse_source(text).ok()).collect()
    }
}

/// The same as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileBans {
    never: Option<Vec<Spanned<String>>>,
    burst: Option<u32>,
}

impl FileBans {
    /// What is written; with each entry that cannot be read its place and what is wrong.
    pub(super) fn read(self) -> (BansConfig, Vec<(usize, String)>) {
        let mut bans = BansConfig::default();
        let mut problems = Vec::new();
        bans.burst = self.burst.map_or(bans.burst, u64::from);
        for source in self.never.unwrap_or_default() {
            match parse_source(source.get_ref()) {
                Ok(_) => bans.never.push(source.into_inner()),
                Err(error) => problems.push((source.span().start, format!("in `never`: {error}"))),
            }
        }
        (bans, problems)
    }
}
