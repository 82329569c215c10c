//! Errors in addresses: which one an address has.

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
    #[error("it holds a quote; write the address without")]
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
    /// Four numbers and more dots than belong between them.
    #[error("it has a dot too many; an IPv4 address has 3, between its numbers")]
    ExtraDot,
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
    #[error("the prefix length '{found}' is not a number from 0 to {max}")]
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
    /// `[::1]` or `10.0.0.1:5432`.
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

/// Refuses characters that no address, CIDR or range holds.
pub(super) fn check_characters(text: &str) -> Result<(), AddressProblem> {
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
pub(super) fn diagnose(address: &str) -> AddressProblem {
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
        return match numbers.iter().filter(|number| !number.is_empty()).count() {
            4 => AddressProblem::ExtraDot,
            count => AddressProblem::Numbers(count),
        };
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
pub(in crate::model) fn is_typographic_quote(c: char) -> bool {
    matches!(
        c,
        '\u{2018}'..='\u{201f}' | '«' | '»' | '‹' | '›' | '′' | '″' | '´'
    )
}
