//! What `netpolicy explain` is asked about: an address, a network, a port.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::parse_source;

/// A source or network, and the port that is written with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sought {
    /// Without host bits.
    pub(super) network: IpNet,
    /// Whether it was written as a single address.
    is_address: bool,
    /// The destination port.
    pub(super) port: Option<PortName>,
}

/// A port, by its number or its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortName {
    Number(u16),
    Service(String),
}

impl Sought {
    /// Reads an address, a CIDR, `ADDRESS:PORT` or `[ADDRESS]:PORT`, each with or without
    /// brackets. `::ffff:a.b.c.d` is the IPv4 address.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (source, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((source, ""))) => (source, None),
            Some(Some((source, rest))) => match rest.strip_prefix(':') {
                Some(port) => (source, Some(port)),
                None => return Err("expected a port after the brackets, as in [::1]:5432".into()),
            },
            Some(None) => return Err("the bracket is not closed; expected [ADDRESS]:PORT".into()),
            // Of IPv6 no port can be told from the address.
            None if text.matches(':').count() == 1 => match text.split_once(':') {
                Some((source, port)) => (source, Some(port)),
                None => (text, None),
            },
            None => (text, None),
        };
        let network = parse_source(source).map_err(|_| {
            "expected an address or CIDR, as in 192.0.2.7 or 192.0.2.0/24, with or without a \
             port, as in 192.0.2.7:5432 or [2001:db8::7]:5432"
                .to_owned()
        })?;
        Ok(Self {
            network,
            is_address: !source.contains('/'),
            port: port.map(PortName::read).transpose()?,
        })
    }

    /// The address; `None`: it is a network.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.is_address.then(|| self.network.addr())
    }
}

impl PortName {
    /// Reads a number from 1 to 65535, or what may be a service's name.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text.parse() {
            Ok(0) => Err("invalid port 0: expected 1 to 65535".to_owned()),
            Ok(port) => Ok(Self::Number(port)),
            Err(_) if text.is_empty() || text.bytes().all(|b| b.is_ascii_digit()) => {
                Err(format!("invalid port '{text}': expected 1 to 65535"))
            }
            Err(_) => Ok(Self::Service(text.to_owned())),
        }
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(port) => port.fmt(f),
            Self::Service(name) => name.escape_debug().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_network_and_port_are_told_apart() {
        let read = |text: &str| {
            let sought = Sought::read(text).unwrap();
            let port = sought.port.as_ref().map(ToString::to_string);
            (
                sought.address().map(|a| a.to_string()),
                sought.network.to_string(),
                port,
            )
        };
        let address = |text: &str, net: &str, port: Option<&str>| {
            (
                Some(text.to_owned()),
                net.to_owned(),
                port.map(ToOwned::to_owned),
            )
        };
        assert_eq!(read("10.0.0.1"), address("10.0.0.1", "10.0.0.1/32", None));
        assert_eq!(read("::ffff:10.0.0.1").0.as_deref(), Some("10.0.0.1"));
        assert_eq!(
            read("10.0.0.1:5432"),
            address("10.0.0.1", "10.0.0.1/32", Some("5432"))
        );
        assert_eq!(read("10.0.0.1:postgres").2.as_deref(), Some("postgres"));
        assert_eq!(
            read("[2001:db8::7]:5432"),
            address("2001:db8::7", "2001:db8::7/128", Some("5432"))
        );
        assert_eq!(read("[2001:db8::7]").2, None);
        assert_eq!(read("2001:db8::7").0.as_deref(), Some("2001:db8::7"));
        assert_eq!(read("10.1.2.3/8"), (None, "10.0.0.0/8".to_owned(), None));
        assert_eq!(read("10.0.0.1/32").0, None);
        assert_eq!(read("10.0.0.0/8:5432").2.as_deref(), Some("5432"));
    }

    #[test]
    fn malformed_source_or_port_is_refused() {
        for text in [
            "",
            "10.0.0",
            "10.0.0.1:",
            "10.0.0.1:0",
            "10.0.0.1:65536",
            "[::1",
            "[::1]5432",
            "[::1]:0",
            "10.0.0.0/33",
            "office",
        ] {
            assert!(Sought::read(text).is_err(), "{text}");
        }
    }
}
