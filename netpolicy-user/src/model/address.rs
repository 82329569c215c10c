//! Addresses, CIDRs and ranges as people write them.
//!
//! Text that is right takes a short way (a list has millions); text that is wrong is
//! looked at once more, to say what is wrong with it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The longest text that can be a range: two IPv6 addresses and the dash, with some
/// blanks around it.
const LONGEST: usize = 100;

/// What a text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// One network.
    Net(WrittenNet),
    /// All addresses from the first to the last.
    Range(IpAddr, IpAddr),
}

/// One network as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrittenNet {
    /// Masked, mapped addresses as IPv4.
    pub(super) net: IpNet,
    /// Whether host bits were set.
    pub(super) masked: bool,
    /// Whether it came with a length.
    pub(super) with_length: bool,
}

/// What is wrong with a text that should be an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressProblem {
    /// Nothing there.
    #[error("it is empty; expected something like 10.0.0.0/8 or 2001:db8::/32")]
    Empty,
    /// Longer than any address.
    #[error("it has {0} characters; no address is that long")]
    Long(usize),
    /// A quote that a word processor made.
    #[error("character {position} is a typographic quote (U+{:04X}); use plain ASCII quotes, or none in a list file", u32::from(*.found))]
    TypographicQuote {
        /// The quote.
        found: char,
        /// From 1.
        position: usize,
    },
    /// Any other character beyond ASCII.
    #[error("character {position} is U+{:04X}, not ASCII; retype it", u32::from(*.found))]
    NonAscii {
        /// The character.
        found: char,
        /// From 1.
        position: usize,
    },
    /// Quotes inside the text.
    #[error("it holds a quote; write addresses in list files without quotes")]
    Quote,
    /// A comma where one item is expected.
    #[error("it holds a comma; give each address as an item of its own")]
    Comma,
    /// "xx.xx.xx.xx/xx" and the like.
    #[error("it is a placeholder; put in an address, as in 10.0.0.0/8")]
    Placeholder,
    /// A host name.
    #[error("it looks like a name; names are not resolved, give addresses")]
    HostName,
    /// Fewer or more than four numbers.
    #[error("an IPv4 address has 4 numbers, this has {0}")]
    Numbers(usize),
    /// A number past 255.
    #[error("{0} is more than 255")]
    Octet(String),
    /// A leading zero.
    #[error("{0} has a leading zero, which some programs read as octal; write it without")]
    LeadingZero(String),
    /// A number that is not there.
    #[error("a number is missing; an IPv4 address has 4, as in 10.0.0.1")]
    MissingNumber,
    /// A character that has no business in an IPv4 address.
    #[error("'{0}' does not belong into an IPv4 address")]
    V4Character(char),
    /// More than one slash.
    #[error("it has more than one '/'")]
    Slashes,
    /// Nothing after the slash.
    #[error("the prefix length after '/' is missing; expected 0 to {0}")]
    NoLength(u8),
    /// A netmask.
    #[error("the prefix length '{mask}' is a netmask; write {}", length.map_or_else(|| "a length, as in /24".to_owned(), |length| format!("/{length}")))]
    Netmask {
        /// The mask as written.
        mask: String,
        /// The length that it stands for, if it is contiguous.
        length: Option<u8>,
    },
    /// A length that is no number.
    #[error("the prefix length '{found}' is no number from 0 to {max}")]
    Length {
        /// What stands there.
        found: String,
        /// The family's longest.
        max: u8,
    },
    /// A length past the family's end.
    #[error("the prefix length {found} is more than {max}")]
    LongLength {
        /// What stands there.
        found: String,
        /// The family's longest.
        max: u8,
    },
    /// "fe80::1%eth0".
    #[error("a zone ('%…') cannot be filtered by; leave it out")]
    Zone,
    /// "[::1]" or "10.0.0.1:5432".
    #[error(
        "ports and brackets do not belong here; give the address alone (ports are what services are for)"
    )]
    Port,
    /// Anything else with a colon.
    #[error("not a valid IPv6 address; expected something like 2001:db8::1")]
    V6,
    /// The two ends are of different families.
    #[error("the range begins in one address family and ends in the other")]
    MixedRange,
    /// The end is below the beginning.
    #[error("the range ends before it begins; write the lower address first")]
    ReversedRange,
    /// A range of prefixes.
    #[error("a range is two addresses without prefix lengths, as in 10.0.0.1-10.0.0.9")]
    RangeOfPrefixes,
}

/// Reads an address, a CIDR or a range.
pub(super) fn parse(text: &str) -> Result<Written, AddressProblem> {
    if let Some((address, length)) = dotted(text.as_bytes()) {
        return Ok(Written::Net(v4(Ipv4Addr::from(address), length)));
    }
    if text.len() > LONGEST {
        return Err(AddressProblem::Long(text.chars().count()));
    }
    check_characters(text)?;
    if let Some((first, last)) = text.split_once('-')
        && first.bytes().any(|byte| byte == b'.' || byte == b':')
    {
        return range(first.trim(), last.trim());
    }
    net(text).map(Written::Net)
}

/// Reads a strictly written IPv4 address, with or without a length.
#[inline]
pub(super) fn dotted(text: &[u8]) -> Option<(u32, Option<u8>)> {
    let (a, rest) = number::<255>(text)?;
    let (b, rest) = number::<255>(rest.strip_prefix(b".")?)?;
    let (c, rest) = number::<255>(rest.strip_prefix(b".")?)?;
    let (d, rest) = number::<255>(rest.strip_prefix(b".")?)?;
    let address = u32::from_be_bytes([a, b, c, d]);
    if rest.is_empty() {
        return Some((address, None));
    }
    let (length, rest) = number::<32>(rest.strip_prefix(b"/")?)?;
    rest.is_empty().then_some((address, Some(length)))
}

/// A decimal number up to `MAX`, without leading zeros, and what follows it.
#[inline]
fn number<const MAX: u32>(text: &[u8]) -> Option<(u8, &[u8])> {
    let mut value = 0_u32;
    let mut digits = 0;
    while let Some(digit) = text.get(digits).map(|byte| byte.wrapping_sub(b'0'))
        && digit <= 9
        && digits < 4
    {
        value = value * 10 + u32::from(digit);
        digits += 1;
    }
    if digits == 0 || digits > 1 && text[0] == b'0' || value > MAX {
        return None;
    }
    Some((u8::try_from(value).ok()?, &text[digits..]))
}

pub(super) fn v4(address: Ipv4Addr, length: Option<u8>) -> WrittenNet {
    // The length was checked.
    let net = Ipv4Net::new_assert(address, length.unwrap_or(32)).trunc();
    WrittenNet {
        net: IpNet::V4(net),
        masked: net.addr() != address,
        with_length: length.is_some(),
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

fn check_characters(text: &str) -> Result<(), AddressProblem> {
    let foreign = text.chars().enumerate().find(|(_, c)| !c.is_ascii());
    if let Some((index, found)) = foreign {
        let position = index + 1;
        return Err(if is_typographic_quote(found) {
            AddressProblem::TypographicQuote { found, position }
        } else {
            AddressProblem::NonAscii { found, position }
        });
    }
    if text.contains(['"', '\'', '`']) {
        return Err(AddressProblem::Quote);
    }
    if text.contains(',') {
        return Err(AddressProblem::Comma);
    }
    Ok(())
}

/// What is wrong with the address part of a text.
fn diagnose(address: &str) -> AddressProblem {
    if address.contains('%') {
        return AddressProblem::Zone;
    }
    let colons = address.bytes().filter(|&byte| byte == b':').count();
    if address.contains(['[', ']']) || colons == 1 && address.contains('.') {
        return AddressProblem::Port;
    }
    if colons > 0 {
        return AddressProblem::V6;
    }
    if address.contains('.')
        && address
            .bytes()
            .all(|byte| matches!(byte, b'x' | b'X' | b'*' | b'.' | b'0'..=b'9' | b'<' | b'>'))
        && !address
            .bytes()
            .all(|byte| byte == b'.' || byte.is_ascii_digit())
    {
        return AddressProblem::Placeholder;
    }
    let foreign = address.chars().find(|c| !c.is_ascii_digit() && *c != '.');
    if let Some(found) = foreign {
        return if found.is_ascii_alphabetic() {
            AddressProblem::HostName
        } else {
            AddressProblem::V4Character(found)
        };
    }
    let numbers: Vec<_> = address.split('.').collect();
    if numbers.len() != 4 {
        return AddressProblem::Numbers(numbers.iter().filter(|number| !number.is_empty()).count());
    }
    for number in numbers {
        if number.is_empty() {
            return AddressProblem::MissingNumber;
        }
        if number.len() > 1 && number.starts_with('0') {
            return AddressProblem::LeadingZero(number.to_owned());
        }
        if number.parse::<u8>().is_err() {
            return AddressProblem::Octet(number.to_owned());
        }
    }
    AddressProblem::V6
}

/// Whether word processors make it of a quote: U+2018 to U+201F, angle quotes, primes.
pub(super) fn is_typographic_quote(c: char) -> bool {
    matches!(
        c,
        '\u{2018}'..='\u{201f}' | '«' | '»' | '‹' | '›' | '′' | '″' | '´'
    )
}
