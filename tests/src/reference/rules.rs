//! Policies, services, bypasses and modes in plain words, and what they say of a source.

use std::net::IpAddr;

use netpolicy_common::Reason;
use serde::{Deserialize, Serialize};

/// Everything that governs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// The host's mode is observe.
    pub host_observes: bool,
    /// What the host's policies deny on ports of no service is answered by a reset.
    pub host_resets: bool,
    /// TCP ports on which nothing is judged.
    pub failsafe: Vec<u16>,
    /// The services; a number below is an index into this list.
    pub services: Vec<Service>,
    /// The policies.
    pub policies: Vec<Policy>,
    /// The bypasses.
    pub bypasses: Vec<Bypass>,
    /// The bans.
    pub bans: Vec<Ban>,
}

/// A service: some TCP ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Service {
    /// Ranges of ports, first and last.
    pub ports: Vec<(u16, u16)>,
    /// Its policies and the host's must both pass; else its own replace the host's.
    pub and: bool,
    /// Its mode is observe.
    pub observes: bool,
    /// What is denied on its ports is answered by a reset.
    pub resets: bool,
}

/// A policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// `None` allows any.
    pub allow: Option<Vec<Net>>,
    /// What it blocks.
    pub block: Vec<Net>,
    /// Exceptions from what it blocks.
    pub except: Vec<Net>,
    /// Bound to the host.
    pub host: bool,
    /// Bound to these services.
    pub services: Vec<usize>,
    /// Governs nothing.
    pub inactive: bool,
}

/// An exemption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bypass {
    /// Of this service, or of the host with everything on it.
    pub service: Option<usize>,
    /// Who is exempt.
    pub source: Net,
    /// Its time is over.
    pub expired: bool,
}

/// A ban in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ban {
    /// Of this service, or of the host with everything on it.
    pub service: Option<usize>,
    /// Who is banned.
    pub source: Net,
}

/// A network, `address/length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Net {
    /// Its first address.
    pub address: IpAddr,
    /// Bits that its addresses have in common.
    pub length: u8,
}

impl Net {
    /// Whether an address is in it, bit by bit.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (ours, theirs) = (bytes(self.address), bytes(address));
        ours.len() == theirs.len()
            && (0..usize::from(self.length)).all(|bit| {
                let of = |bytes: &[u8]| bytes[bit / 8] >> (7 - bit % 8) & 1;
                of(&ours) == of(&theirs)
            })
    }
}

impl TryFrom<String> for Net {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("no network: {text}");
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        Ok(Self {
            address: address.parse().map_err(|_| wrong())?,
            length: length.parse().map_err(|_| wrong())?,
        })
    }
}

impl From<Net> for String {
    fn from(net: Net) -> Self {
        format!("{}/{}", net.address, net.length)
    }
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// What the policies of one scope say, whatever its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    NoPolicy,
    Blocked,
    NotAllowed,
    Allowed,
    NotBlocked,
}

impl Finding {
    fn denies(self) -> bool {
        matches!(self, Self::Blocked | Self::NotAllowed)
    }

    fn reason(self, enforced: bool) -> Reason {
        match (self, enforced) {
            (Self::NoPolicy, _) => Reason::NoPolicy,
            (Self::Allowed, _) => Reason::Allowed,
            (Self::NotBlocked, _) => Reason::NotBlocked,
            (Self::Blocked, true) => Reason::Blocked,
            (Self::Blocked, false) => Reason::ObservedBlocked,
            (Self::NotAllowed, true) => Reason::NotAllowed,
            (Self::NotAllowed, false) => Reason::ObservedNotAllowed,
        }
    }
}

impl Rules {
    /// The verdict on a connection attempt.
    #[must_use]
    pub fn judge(&self, source: IpAddr, port: u16) -> Reason {
        if self.failsafe.contains(&port) {
            return Reason::Failsafe;
        }
        let service = self.service_of(port);
        if self.is_exempt(service, source) {
            return Reason::Bypass;
        }
        self.judge_in(service, source)
    }

    /// Whether an attempt is one that is answered by a reset, if its frame is one that can be.
    #[must_use]
    pub fn resets(&self, source: IpAddr, port: u16) -> bool {
        let of_port = match self.service_of(port) {
            Some(number) => self.services[number].resets,
            None => self.host_resets,
        };
        // A ban is never answered.
        let denied = [Reason::Blocked, Reason::NotAllowed];
        of_port && denied.contains(&self.judge(source, port))
    }

    /// The verdict on what cannot be classified: that of the strictest scope. The host is
    /// asked, and each service that some policy governs.
    #[must_use]
    pub fn judge_strictest(&self, source: IpAddr) -> Reason {
        let is_governed = |scope: &Option<usize>| {
            self.policies_in(*scope, source) != Reason::NoPolicy
                || self.is_banned(*scope, source) && !self.is_exempt(*scope, source)
        };
        let services = (0..self.services.len()).map(Some).filter(is_governed);
        let scopes: Vec<Option<usize>> = std::iter::once(None).chain(services).collect();
        let reasons: Vec<Reason> = scopes
            .iter()
            .filter(|scope| !self.is_exempt(**scope, source))
            .map(|scope| self.judge_in(*scope, source))
            .collect();
        let any = |wanted: [Reason; 3]| reasons.iter().any(|reason| wanted.contains(reason));
        if any([Reason::Blocked, Reason::NotAllowed, Reason::Banned]) {
            Reason::UnclassifiedDropped
        } else if any([
            Reason::ObservedBlocked,
            Reason::ObservedNotAllowed,
            Reason::ObservedBanned,
        ]) {
            Reason::ObservedUnclassified
        } else if reasons.len() < scopes.len() {
            Reason::Bypass
        } else {
            Reason::UnclassifiedPassed
        }
    }

    /// The service that a port belongs to.
    #[must_use]
    pub fn service_of(&self, port: u16) -> Option<usize> {
        self.services.iter().position(|service| {
            service
                .ports
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&port))
        })
    }

    fn is_exempt(&self, service: Option<usize>, source: IpAddr) -> bool {
        self.bypasses.iter().any(|bypass| {
            !bypass.expired
                && bypass.source.contains(source)
                && (bypass.service.is_none() || bypass.service == service)
        })
    }

    fn is_banned(&self, service: Option<usize>, source: IpAddr) -> bool {
        self.bans.iter().any(|ban| {
            ban.source.contains(source) && (ban.service.is_none() || ban.service == service)
        })
    }

    /// A ban stands before the policies, and goes by the mode of the scope.
    fn judge_in(&self, service: Option<usize>, source: IpAddr) -> Reason {
        if !self.is_banned(service, source) {
            return self.policies_in(service, source);
        }
        let observes = match service {
            Some(number) => self.services[number].observes,
            None => self.host_observes,
        };
        match observes {
            true => Reason::ObservedBanned,
            false => Reason::Banned,
        }
    }

    fn policies_in(&self, service: Option<usize>, source: IpAddr) -> Reason {
        let of_host = self.ask(|policy| policy.host, source);
        let Some(number) = service else {
            return of_host.reason(!self.host_observes);
        };
        let service = &self.services[number];
        let enforced = !service.observes;
        let host_enforced = enforced && !self.host_observes;
        let own = self.ask(|policy| policy.services.contains(&number), source);
        if own == Finding::NoPolicy {
            return of_host.reason(host_enforced);
        }
        if own.denies() || !service.and {
            return own.reason(enforced);
        }
        if of_host.denies() {
            return of_host.reason(host_enforced);
        }
        // Both pass: the one with more to say for it names the reason.
        let both = [own, of_host];
        let first = [Finding::Allowed, Finding::NotBlocked, Finding::NoPolicy];
        let named = first.into_iter().find(|finding| both.contains(finding));
        named.unwrap_or(own).reason(true)
    }

    /// Deny-first, over the active policies that are bound.
    fn ask(&self, is_bound: impl Fn(&Policy) -> bool, source: IpAddr) -> Finding {
        let policies: Vec<&Policy> = self
            .policies
            .iter()
            .filter(|policy| !policy.inactive && is_bound(policy))
            .collect();
        let on = |nets: &[Net]| nets.iter().any(|net| net.contains(source));
        if policies.is_empty() {
            return Finding::NoPolicy;
        }
        let blocks = |policy: &&Policy| on(&policy.block) && !on(&policy.except);
        if policies.iter().any(blocks) {
            return Finding::Blocked;
        }
        let only: Vec<&Vec<Net>> = policies.iter().filter_map(|p| p.allow.as_ref()).collect();
        if only.is_empty() {
            Finding::NotBlocked
        } else if only.iter().any(|nets| on(nets)) {
            Finding::Allowed
        } else {
            Finding::NotAllowed
        }
    }
}
