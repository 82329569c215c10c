//! Which entries of a file are wanted.

use crate::Format;
use crate::error::{Error, Problem};
use crate::format::Selector;

/// Which entries are wanted; what is empty wants all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Services of a cloud, as it names them: `S3`, `Storage`, `actions`.
    pub service: Vec<String>,
    /// Regions of a cloud, as it names them: `eu-central-1`.
    pub region: Vec<String>,
    /// Countries by ISO 3166-1: `DE`.
    pub country: Vec<String>,
    /// Autonomous systems.
    pub asn: Vec<u32>,
    /// Sets of ipset and nftables, chains of iptables, jails of fail2ban.
    pub set: Vec<String>,
}

/// Bounds and tolerance of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Entries that it gives at most.
    pub most: usize,
    /// Whether bad entries are left out instead of refused.
    pub skip_invalid: bool,
}

impl Options {
    /// As many rules as a host has by default, in all lists of all its policies.
    pub const MOST: usize = 4_000_000;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            most: Self::MOST,
            skip_invalid: false,
        }
    }
}

impl Filter {
    /// Whether it names anything to select by.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses selectors that a format does not know: to ignore one would take more than is
    /// wanted.
    pub(crate) fn check(&self, format: Format) -> Result<(), Error> {
        let given = [
            (Selector::Service, !self.service.is_empty()),
            (Selector::Region, !self.region.is_empty()),
            (Selector::Country, !self.country.is_empty()),
            (Selector::Asn, !self.asn.is_empty()),
            (Selector::Set, !self.set.is_empty()),
        ];
        let foreign = |&&(selector, is_given): &&(Selector, bool)| {
            is_given && !format.selectors().contains(&selector)
        };
        match given.iter().find(foreign) {
            Some(&(selector, _)) => Err(Problem::ForeignSelector { format, selector }.into()),
            None => Ok(()),
        }
    }

    /// Whether a cloud's prefix is wanted.
    pub(crate) fn wants_cloud(&self, services: &[&str], region: &str) -> bool {
        let is_any = |wanted: &[String], found: &[&str]| {
            let mut wanted_by = wanted.iter();
            wanted.is_empty()
                || wanted_by.any(|name| found.iter().any(|found| name.eq_ignore_ascii_case(found)))
        };
        is_any(&self.service, services) && is_any(&self.region, &[region])
    }

    /// Whether the networks of a country or an autonomous system are wanted.
    pub(crate) fn wants_geo(&self, country: Option<&str>, asn: Option<u32>) -> bool {
        let of_country =
            country.is_some_and(|found| self.country.iter().any(|c| c.eq_ignore_ascii_case(found)));
        of_country || asn.is_some_and(|found| self.asn.contains(&found))
    }
}
