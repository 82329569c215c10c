//! The formats by name, and which filters each of them knows.

use std::fmt;
use std::str::FromStr;

use netpolicy_policy::model::error::closest;

/// A format of address lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// An address, CIDR or range a line, with or without further columns.
    Plain,
    /// What `ipset save` prints.
    IpsetSave,
    /// What `ipset list` prints.
    IpsetList,
    /// What `nft list set` and `nft list ruleset` print.
    NftText,
    /// The same with `nft --json`.
    NftJson,
    /// What `iptables-save` and `ip6tables-save` print.
    IptablesSave,
    /// An ipset of firewalld.
    FirewalldXml,
    /// DROP lists of Spamhaus, a JSON object a line.
    DropJson,
    /// `ip-ranges.json` of Amazon Web Services.
    AwsRanges,
    /// `cloud.json` and `goog.json` of Google.
    GcpRanges,
    /// Service tags of Microsoft Azure.
    AzureTags,
    /// The answer of GitHub's API at `/meta`.
    GithubMeta,
    /// The answer of Cloudflare's API at `/client/v4/ips`.
    Cloudflare,
    /// Decisions of CrowdSec as JSON.
    CrowdsecJson,
    /// Decisions of CrowdSec as CSV.
    CrowdsecCsv,
    /// What `fail2ban-client banned` prints.
    Fail2ban,
    /// `exit-addresses` of the Tor project.
    TorExit,
    /// `name:first-last` a line, as blocklists for file sharing are written.
    P2p,
    /// CSV of networks or ranges with a country or an autonomous system.
    GeoCsv,
    /// A MaxMind database of countries or autonomous systems.
    Mmdb,
    /// PostgreSQL's `pg_hba.conf`.
    PgHba,
}

/// What a [`Filter`](crate::Filter) may select by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// [`Filter::service`](crate::Filter::service).
    Service,
    /// [`Filter::region`](crate::Filter::region).
    Region,
    /// [`Filter::country`](crate::Filter::country).
    Country,
    /// [`Filter::asn`](crate::Filter::asn).
    Asn,
    /// [`Filter::set`](crate::Filter::set).
    Set,
}

impl Selector {
    /// The option of the command line.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Service => "--service",
            Self::Region => "--region",
            Self::Country => "--country",
            Self::Asn => "--as",
            Self::Set => "--set",
        }
    }
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 21] = [
        Self::Plain,
        Self::IpsetSave,
        Self::IpsetList,
        Self::NftText,
        Self::NftJson,
        Self::IptablesSave,
        Self::FirewalldXml,
        Self::DropJson,
        Self::AwsRanges,
        Self::GcpRanges,
        Self::AzureTags,
        Self::GithubMeta,
        Self::Cloudflare,
        Self::CrowdsecJson,
        Self::CrowdsecCsv,
        Self::Fail2ban,
        Self::TorExit,
        Self::P2p,
        Self::GeoCsv,
        Self::Mmdb,
        Self::PgHba,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::IpsetSave => "ipset-save",
            Self::IpsetList => "ipset-list",
            Self::NftText => "nft",
            Self::NftJson => "nft-json",
            Self::IptablesSave => "iptables-save",
            Self::FirewalldXml => "firewalld",
            Self::DropJson => "drop-json",
            Self::AwsRanges => "aws",
            Self::GcpRanges => "gcp",
            Self::AzureTags => "azure",
            Self::GithubMeta => "github",
            Self::Cloudflare => "cloudflare",
            Self::CrowdsecJson => "crowdsec-json",
            Self::CrowdsecCsv => "crowdsec-csv",
            Self::Fail2ban => "fail2ban",
            Self::TorExit => "tor",
            Self::P2p => "p2p",
            Self::GeoCsv => "geo-csv",
            Self::Mmdb => "mmdb",
            Self::PgHba => "pg-hba",
        }
    }

    /// What such a file is, for messages.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Plain => "a plain list",
            Self::IpsetSave => "output of `ipset save`",
            Self::IpsetList => "output of `ipset list`",
            Self::NftText => "output of `nft list`",
            Self::NftJson => "output of `nft --json list`",
            Self::IptablesSave => "output of `iptables-save`",
            Self::FirewalldXml => "an ipset of firewalld (XML)",
            Self::DropJson => "a DROP list of Spamhaus (JSON lines)",
            Self::AwsRanges => "ip-ranges.json of AWS",
            Self::GcpRanges => "IP ranges of Google (JSON)",
            Self::AzureTags => "service tags of Azure (JSON)",
            Self::GithubMeta => "the /meta answer of GitHub (JSON)",
            Self::Cloudflare => "the /ips answer of Cloudflare (JSON)",
            Self::CrowdsecJson => "CrowdSec decisions (JSON)",
            Self::CrowdsecCsv => "CrowdSec decisions (CSV)",
            Self::Fail2ban => "output of `fail2ban-client banned`",
            Self::TorExit => "Tor's exit-addresses",
            Self::P2p => "a P2P list (name:first-last)",
            Self::GeoCsv => "networks by country or AS (CSV)",
            Self::Mmdb => "a MaxMind database",
            Self::PgHba => "pg_hba.conf of PostgreSQL",
        }
    }

    /// What its entries can be selected by.
    #[must_use]
    pub fn selectors(self) -> &'static [Selector] {
        match self {
            Self::AwsRanges | Self::GcpRanges | Self::AzureTags => {
                &[Selector::Service, Selector::Region]
            }
            Self::GithubMeta => &[Selector::Service],
            Self::GeoCsv | Self::Mmdb => &[Selector::Country, Selector::Asn],
            Self::IpsetSave
            | Self::IpsetList
            | Self::NftText
            | Self::NftJson
            | Self::IptablesSave
            | Self::Fail2ban => &[Selector::Set],
            _ => &[],
        }
    }

    /// What [`Filter::set`](crate::Filter::set) names there.
    pub(crate) fn part(self) -> &'static str {
        match self {
            Self::Fail2ban => "jail",
            Self::IptablesSave => "chain",
            _ => "set",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no format has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown format '{}'{}; expected one of {}", name.escape_debug(), meant(*closest), names())]
pub struct UnknownFormat {
    name: String,
    closest: Option<&'static str>,
}

fn meant(closest: Option<&str>) -> String {
    closest.map_or_else(String::new, |name| format!("; did you mean '{name}'?"))
}

fn names() -> String {
    Format::ALL.map(Format::name).join(", ")
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let named = |format: &Self| format.name().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(named).ok_or_else(|| {
            let name = text.chars().take(60).collect();
            let closest = closest(text, Self::ALL.map(Self::name));
            UnknownFormat { name, closest }
        })
    }
}
