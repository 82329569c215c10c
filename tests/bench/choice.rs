//! Which filters there are to choose from, and which of them this machine has.

use crate::{
    filters::{iptables_version, missing, version},
    report::Report,
};

/// A filter to compare with the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Flat,
    Lpm,
    Ipset,
    Nftables,
    XdpFilter,
    /// The floor that only reads and counts.
    ParseOnly,
    /// The floor that reads one line of so many; its name first.
    OneLine(&'static str, u32),
}

impl Choice {
    /// The programs that set it up.
    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Flat | Self::Lpm | Self::ParseOnly | Self::OneLine(..) => &[],
            Self::Ipset => &["ipset", "iptables-restore", "ip6tables-restore"],
            Self::Nftables => &["nft"],
            Self::XdpFilter => &["xdp-filter"],
        }
    }

    /// What these programs say of their versions, by name: nothing where one is missing and
    /// the filter is left out.
    pub(crate) fn versions(self) -> Vec<(&'static str, String)> {
        if !missing(self.programs()).is_empty() {
            return Vec::new();
        }
        let told = match self {
            Self::Flat | Self::Lpm | Self::ParseOnly | Self::OneLine(..) => Vec::new(),
            Self::Ipset => vec![
                ("ipset", version("ipset", &["--version"])),
                ("iptables", iptables_version()),
            ],
            Self::Nftables => vec![("nftables", version("nft", &["--version"]))],
            // Only its commands take the option.
            Self::XdpFilter => vec![(
                "xdp-filter",
                version("xdp-filter", &["status", "--version"]),
            )],
        };
        told.into_iter()
            .filter_map(|(name, version)| Some((name, version?)))
            .collect()
    }
}

/// Those of some filters that can be measured on this machine; the others are named.
pub(crate) fn available(report: &Report, choices: &[Choice]) -> Vec<Choice> {
    let choices = choices.iter().copied();
    choices
        .filter(|choice| {
            let missing = missing(choice.programs());
            if !missing.is_empty() {
                report.progress(&format!(
                    "left out for want of {}: {choice:?}",
                    missing.join(", ")
                ));
            }
            missing.is_empty()
        })
        .collect()
}
