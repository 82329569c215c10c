//! Addresses, CIDRs and ranges as they are written.
//!
//! Valid text goes a short way (a list has millions); invalid text is
//! looked at once more, to say what is wrong with it.

mod problem;
mod strict;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use problem::{check_characters, diagnose};

pub use problem::AddressProblem;
pub(super) use problem::is_typographic_quote;
pub use strict::strict;

/// The longest text that can be a range: two IPv6 addresses and the dash, with some
/// blanks around it.
const LONGEST: usize = 100;

/// What a text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// One network.
    Net(WrittenNet),
    /// All addresses from the first to the last.
    Range(IpAddr, IpAddr),
}

/// One network as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenNet {
    /// Masked, mapped addresses as IPv4.
    pub net: IpNet,
    /// Whether host bits were set.
    pub masked: bool,
    /// Whether it came with a length.
    pub with_length: bool,
    /// Whether it is known to be written as netpolicy writes it, but perhaps for the
    /// length of a single address.
    pub strict: bool,
}

/// Reads an address, a CIDR or a range.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<Written, AddressProblem> {
    if let Some(net) = strict(text.as_bytes()) {
        return Ok(Written::Net(net));
    }
    if text.len() > LONGEST {
        return Err(AddressProblem::Long(text.chars().count()));
    }
    check_characters(text)?;
    if let Some((first, last)) = text.split_once('-')
        && first.contains(['.', ':'])
        && !first.trim_end().ends_with('/')
    {
        return range(first.trim(), last.trim());
    }
    net(text).map(Written::Net)
}

fn v4(address: Ipv4Addr, length: Option<u8>) -> WrittenNet {
    // The length was checked.
    let net = Ipv4Net::new_assert(address, length.unwrap_or(32)).trunc();
    WrittenNet {
        net: IpNet::V4(net),
        masked: net.addr() != address,
        with_length: length.is_some(),
        strict: false,
    }
}

fn v6(address: Ipv6Addr, length: Option<u8>) -> WrittenNet {
    if let Some(mapped) = address.to_ipv4_mapped()
        && length.is_none_or(|length| length >= 96)
    {
        return v4(mapped, length.map(|length| length - 96));
    }
    // The length was checked.
    let net = Ipv6Net::new_assert(address, length.unwrap_or(128)).trunc();
    WrittenNet {
        net: IpNet::V6(net),
        masked: net.addr() != address,
        with_length: length.is_some(),
        strict: false,
    }
}

fn range(first: &str, last: &str) -> Result<Written, AddressProblem> {
    if first.contains('/') || last.contains('/') {
        return Err(AddressProblem::RangeOfPrefixes);
    }
    let (first, last) = (net(first)?.net.addr(), net(last)?.net.addr());
    if first.is_ipv4() != last.is_ipv4() {
        return Err(AddressProblem::MixedRange);
    }
    if first > last {
        return Err(AddressProblem::ReversedRange);
    }
    Ok(Written::Range(first, last))
}

/// Reads an address or CIDR of ASCII characters.
fn net(text: &str) -> Result<WrittenNet, AddressProblem> {
    if text.is_empty() {
        return Err(AddressProblem::Empty);
    }
    let (address, length) = match text.split_once('/') {
        Some((_, rest)) if rest.contains('/') => return Err(AddressProblem::Slashes),
        Some((address, length)) => (address.trim_end(), Some(length.trim_start())),
        None => (text, None),
    };
    if let Ok(address) = address.parse::<Ipv4Addr>() {
        return Ok(v4(
            address,
            length.map(|text| prefix_length(text, 32)).transpose()?,
        ));
    }
    if let Ok(address) = address.parse::<Ipv6Addr>() {
        return Ok(v6(
            address,
            length.map(|text| prefix_length(text, 128)).transpose()?,
        ));
    }
    Err(diagnose(address))
}

fn prefix_length(text: &str, max: u8) -> Result<u8, AddressProblem> {
    if text.is_empty() {
        return Err(AddressProblem::NoLength(max));
    }
    if let (Ok(mask), 32) = (text.parse::<Ipv4Addr>(), max) {
        let length = ipnet::ipv4_mask_to_prefix(mask).ok();
        return Err(AddressProblem::Netmask {
            mask: text.to_owned(),
            length,
        });
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressProblem::Length {
            found: text.to_owned(),
            max,
        });
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(AddressProblem::LeadingZero(text.to_owned()));
    }
    match text.parse() {
        Ok(length) if length <= max => Ok(length),
        _ => Err(AddressProblem::LongLength {
            found: text.to_owned(),
            max,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> String {
        match parse(text).unwrap() {
            Written::Net(written) => written.net.to_string(),
            Written::Range(first, last) => format!("{first}..{last}"),
        }
    }

    #[test]
    fn valid_addresses_are_read() {
        for (text, expected) in [
            ("10.0.0.1", "10.0.0.1/32"),
            ("0.0.0.0", "0.0.0.0/32"),
            ("255.255.255.255/32", "255.255.255.255/32"),
            ("1.2.3.4/28", "1.2.3.0/28"),
            ("192.168.1.0/0", "0.0.0.0/0"),
            ("10.0.0.0 / 8", "10.0.0.0/8"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("2001:db8::1/64", "2001:db8::/64"),
            ("::/0", "::/0"),
            ("::1", "::1/128"),
            ("::ffff:1.2.3.4", "1.2.3.4/32"),
            ("::FFFF:102:304/104", "1.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::ffff:1.2.3.4/95", "::fffe:0:0/95"),
            ("::1.2.3.4", "::1.2.3.4/128"),
            ("10.0.0.1-10.0.0.9", "10.0.0.1..10.0.0.9"),
            ("10.0.0.1 - 10.0.0.1", "10.0.0.1..10.0.0.1"),
            ("::1-::ffff", "::1..::ffff"),
            ("::ffff:1.2.3.4-1.2.3.9", "1.2.3.4..1.2.3.9"),
        ] {
            assert_eq!(
                net(text),
                expected.replace("::1.2.3.4/128", "::102:304/128"),
                "{text}"
            );
        }
    }

    #[test]
    fn invalid_addresses_are_refused_with_the_reason() {
        for (text, expected) in [
            ("", "it is empty"),
            ("155.548.2.98", "548 is more than 255"),
            ("10.0.0.0/33", "the prefix length 33 is more than 32"),
            ("::/129", "the prefix length 129 is more than 128"),
            ("10.0.0.0/99999999999999999999", "is more than 32"),
            ("10.0.0.0/", "the prefix length after '/' is missing"),
            ("10.0.0.0/08", "08 has a leading zero"),
            (
                "10.0.0.0/-1",
                "the prefix length '-1' is not a number from 0 to 32",
            ),
            ("10.0.0.0/+8", "is not a number from 0 to 32"),
            ("10.0.0.0/255.255.255.0", "is a netmask; write /24"),
            ("10.0.0.0/255.0.255.0", "is a netmask; write a length"),
            ("10.0.0.0/8/8", "more than one '/'"),
            ("010.0.0.1", "010 has a leading zero"),
            ("10.0.0.00", "00 has a leading zero"),
            ("10.0.0", "has 4 numbers, this has 3"),
            ("10.0.0.1.2", "has 4 numbers, this has 5"),
            ("10", "has 4 numbers, this has 1"),
            ("10..0.1", "a number is missing"),
            ("10.0.0.", "a number is missing"),
            ("192.0.2.1.", "it has a dot too many"),
            ("192.0.2.1./24", "it has a dot too many"),
            ("192.0.2.1..", "it has a dot too many"),
            (".192.0.2.1", "it has a dot too many"),
            ("192..0.2.1", "it has a dot too many"),
            ("10.0..1.", "has 4 numbers, this has 3"),
            ("xx.xx.xx.xx/xx", "it is a placeholder"),
            ("10.0.0.x", "it is a placeholder"),
            ("10.0.0.*", "it is a placeholder"),
            ("db.example.com", "names are not resolved"),
            ("10.0.0.1 10.0.0.2", "' ' does not belong"),
            ("10.0.0.1:5432", "ports and brackets"),
            ("[::1]:5432", "ports and brackets"),
            ("fe80::1%eth0", "a zone"),
            ("2001:db8", "not a valid IPv6 address"),
            ("1::2::3", "not a valid IPv6 address"),
            ("12345::", "not a valid IPv6 address"),
            (":", "not a valid IPv6 address"),
            (
                "\u{201c}10.0.0.1\u{201d}",
                "character 1 is a typographic quote (U+201C)",
            ),
            (
                "10.0.0.1\u{2019}",
                "character 9 is a typographic quote (U+2019)",
            ),
            ("10.0.0.\u{0661}", "character 8 is U+0661, not ASCII"),
            ("10.0.0.1\u{a0}", "character 9 is U+00A0, not ASCII"),
            ("\"10.0.0.1\"", "it holds a quote"),
            ("10.0.0.1,10.0.0.2", "it holds a comma"),
            ("10.0.0.9-10.0.0.1", "ends before it begins"),
            ("10.0.0.1-::1", "one address family and ends in the other"),
            (
                "10.0.0.0/8-11.0.0.0/8",
                "two addresses without prefix lengths",
            ),
            ("10.0.0.1-", "it is empty"),
            ("10.0.0.1-300.0.0.1", "300 is more than 255"),
            (&"1".repeat(5000), "it has 5000 characters"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
