//! The fast path for networks in the canonical notation: nearly all of
//! the millions that a list has.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{WrittenNet, v4, v6};

/// Reads an address, with or without a length, that is written strictly: IPv4 as four
/// numbers, IPv6 as RFC 5952 recommends. `None` says nothing.
#[must_use]
#[inline]
pub fn strict(text: &[u8]) -> Option<WrittenNet> {
    let net = match dotted(text) {
        Some((address, rest)) => v4(address, length::<32>(rest)?),
        None => {
            let (address, rest) = colons(text)?;
            v6(address, length::<128>(rest)?)
        }
    };
    Some(WrittenNet {
        strict: true,
        ..net
    })
}

/// A strictly written IPv4 address, and what follows it.
#[inline]
fn dotted(text: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let (a, rest) = number::<255>(text)?;
    let (b, rest) = number::<255>(rest.strip_prefix(b".")?)?;
    let (c, rest) = number::<255>(rest.strip_prefix(b".")?)?;
    let (d, rest) = number::<255>(rest.strip_prefix(b".")?)?;
    Some((Ipv4Addr::new(a, b, c, d), rest))
}

/// What a text after an address says of the length.
#[inline]
fn length<const MAX: u32>(text: &[u8]) -> Option<Option<u8>> {
    let Some((b'/', text)) = text.split_first() else {
        return text.is_empty().then_some(None);
    };
    let (length, rest) = number::<MAX>(text)?;
    rest.is_empty().then_some(Some(length))
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

/// An IPv6 address as RFC 5952, section 4, recommends, and what follows it; none that
/// is mapped from IPv4.
fn colons(text: &[u8]) -> Option<(Ipv6Addr, &[u8])> {
    let mut groups = [0; 8];
    let mut count = 0;
    // How many groups stand before the double colon.
    let mut gap = None;
    let mut rest = text;
    if let Some(after) = rest.strip_prefix(b"::") {
        (gap, rest) = (Some(0), after);
    }
    loop {
        match group(rest) {
            Some((value, after)) => {
                *groups.get_mut(count)? = value;
                (count, rest) = (count + 1, after);
            }
            // Nothing has to follow a double colon.
            None if gap == Some(count) => break,
            None => return None,
        }
        if gap.is_none()
            && let Some(after) = rest.strip_prefix(b"::")
        {
            (gap, rest) = (Some(count), after);
        } else if let Some(after) = rest.strip_prefix(b":") {
            rest = after;
        } else {
            break;
        }
    }
    let left_out = 8 - count;
    match gap {
        None if left_out > 0 => return None,
        None => {}
        Some(at) => {
            groups.copy_within(at..count, at + left_out);
            groups[at..at + left_out].fill(0);
        }
    }
    // The longest run of zeros is left out, the first of several, and no single zero.
    if longest_run(&groups) != gap.map(|at| (at, left_out)) {
        return None;
    }
    let address = Ipv6Addr::from(groups);
    address
        .to_ipv4_mapped()
        .is_none()
        .then_some((address, rest))
}

/// One to four lower-case hexadecimal digits without leading zeros, and what follows.
#[inline]
fn group(text: &[u8]) -> Option<(u16, &[u8])> {
    let mut value = 0_u16;
    let mut digits = 0;
    while let Some(byte) = text.get(digits) {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => break,
        };
        if digits == 4 {
            return None;
        }
        value = value << 4 | u16::from(digit);
        digits += 1;
    }
    if digits == 0 || digits > 1 && text[0] == b'0' {
        return None;
    }
    Some((value, &text[digits..]))
}

/// The longest run of two or more zeros, the first of several: where, and how long.
fn longest_run(groups: &[u16; 8]) -> Option<(usize, usize)> {
    let mut best = None;
    let mut length = 0;
    for (at, group) in groups.iter().enumerate() {
        length = if *group == 0 { length + 1 } else { 0 };
        if length > best.map_or(1, |(_, longest)| longest) {
            best = Some((at + 1 - length, length));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::rule::canonical;

    fn agrees_with_the_long_way(text: &str) -> Result<(), TestCaseError> {
        if let Some(strict) = strict(text.as_bytes()) {
            let long = super::super::net(text);
            let long = long.map(|net| WrittenNet {
                strict: true,
                ..net
            });
            prop_assert_eq!(Some(strict), long.ok(), "{}", text);
            let addr = match strict.with_length {
                true => text.split_once('/').unwrap().0,
                false => text,
            };
            prop_assert_eq!(addr.parse::<std::net::IpAddr>().unwrap().to_string(), addr);
        }
        Ok(())
    }

    #[test]
    fn strict_and_full_reader_agree() {
        for text in [
            "1.2.3.4",
            "1.2.3.4/0",
            "255.0.0.1/32",
            "256.1.1.1",
            "1.2.3.4/33",
            "1.2.3",
            "01.2.3.4",
            "1.2.3.4/",
            "1.2.3.4/8x",
            "9999.1.1.1",
            "1.2.3.1234",
            "::",
            "::/0",
            "::1",
            "1::",
            "::1:2",
            "1::2:",
            "1:::2",
            "1::2::3",
            ":",
            ":1",
            "1:",
            "::ffff:102:304",
            "::ffff:0:0/96",
            "::fffe:0:0/95",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "1:2:3:4:5:6::",
            "::2:3:4:5:6:7:8",
            "1:0:0:2:0:0:0:3",
            "1:0:0:2::3",
            "1::2:0:0:0:3",
            "1::2:0:0:3:4",
            "1:0:0:2::3:4",
            "1:2:3:4:5:6:7:8:9",
            "2001:DB8::",
            "2001:0db8::",
            "1::/129",
            "1::/128",
            "1::/08",
            "1::/",
            "12345::",
            "1:0:2::",
        ] {
            agrees_with_the_long_way(text).unwrap();
        }
    }

    proptest! {
        #[test]
        fn strict_and_full_reader_agree_on_any_text(text in "[0-9a-f:./]{1,24}|([0-9a-f]{0,4}:){2,8}[0-9a-f]{0,4}(/[0-9]{1,3})?") {
            agrees_with_the_long_way(&text)?;
        }

        #[test]
        fn written_addresses_are_accepted_by_the_strict_reader(
            net in crate::model::arbitrary::net(),
            groups in proptest::collection::vec(prop_oneof![Just(0u16), Just(1), any::<u16>()], 8),
        ) {
            let groups: [u16; 8] = groups.try_into().unwrap();
            let address = Ipv6Addr::from(groups);
            for text in [canonical(&net), net.to_string(), address.to_string()] {
                let written = strict(text.as_bytes());
                prop_assert_eq!(written.is_some(), !text.starts_with("::ffff:") || !text.contains('.'));
                agrees_with_the_long_way(&text)?;
            }
        }
    }
}
