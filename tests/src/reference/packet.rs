//! From bytes to what the rules speak of: nothing to judge, a connection attempt, or a TCP
//! packet that cannot be classified.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netpolicy_common::Reason;

/// What a frame is to the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It passes for this reason, whatever the policies.
    Pass(Reason),
    /// A connection attempt.
    Attempt {
        /// Where it comes from.
        source: IpAddr,
        /// The TCP port that it is for.
        port: u16,
    },
    /// TCP of which the port or the flags cannot be found.
    Unclassified {
        /// Where it comes from.
        source: IpAddr,
    },
}

/// What a frame is: one thing, or of a device without Ethernet header two, of which only Linux
/// knows the right one. `ethernet`: it begins with an Ethernet header, else with the IP header.
#[must_use]
pub fn classify(ethernet: bool, frame: &[u8]) -> Vec<Class> {
    if ethernet {
        return vec![behind_type(frame, 12)];
    }
    if frame.len() < 4 {
        return vec![Class::Pass(Reason::Malformed)];
    }
    let number = |at| usize::from(u16_at(frame, at).unwrap_or_default());
    // The first four bits are all that tells the two versions apart.
    let (untagged, length) = match frame[0] >> 4 {
        4 => (ipv4(frame), number(2)),
        6 => (ipv6(frame), 40 + number(4)),
        _ => (Class::Pass(Reason::NotTcp), 0),
    };
    // A tunnel's header, which is gone, may have said that a VLAN tag follows.
    let tagged = behind_type(frame, 2);
    match (&untagged, &tagged) {
        (_, Class::Pass(_)) => vec![untagged],
        (Class::Pass(_), _) => vec![tagged],
        // Linux discards a packet that claims more bytes than came.
        _ if length > frame.len() => vec![tagged],
        _ => vec![untagged, tagged],
    }
}

/// What follows a type, or the tags that it announces.
fn behind_type(frame: &[u8], mut at: usize) -> Class {
    loop {
        let Some(ether_type) = u16_at(frame, at) else {
            return Class::Pass(Reason::NotTcp);
        };
        match ether_type {
            // A tag: two bytes of tag control, then the next type.
            0x8100 | 0x88a8 => at += 4,
            0x0800 => return ipv4(&frame[at + 2..]),
            0x86dd => return ipv6(&frame[at + 2..]),
            _ => return Class::Pass(Reason::NotTcp),
        }
    }
}

/// RFC 791. `bytes` begin with the IP header and end with the frame.
fn ipv4(bytes: &[u8]) -> Class {
    if bytes.len() < 20 || bytes[0] >> 4 != 4 {
        return Class::Pass(Reason::Malformed);
    }
    let header = usize::from(bytes[0] & 0xf) * 4;
    if header < 20 {
        return Class::Pass(Reason::Malformed);
    }
    if bytes[9] != 6 {
        return Class::Pass(Reason::NotTcp);
    }
    let fragment = u16::from_be_bytes([bytes[6], bytes[7]]);
    if fragment & 0x1fff != 0 {
        return Class::Pass(Reason::Fragment);
    }
    let source = [bytes[12], bytes[13], bytes[14], bytes[15]];
    let source = IpAddr::V4(Ipv4Addr::from(source));
    let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    let packet = until(bytes, length, 0);
    tcp(source, packet.get(header..), fragment & 0x2000 != 0)
}

/// RFC 8200.
fn ipv6(bytes: &[u8]) -> Class {
    if bytes.len() < 40 || bytes[0] >> 4 != 6 {
        return Class::Pass(Reason::Malformed);
    }
    let mut source = [0; 16];
    source.copy_from_slice(&bytes[8..24]);
    let source = IpAddr::V6(Ipv6Addr::from(source));
    let length = usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
    let packet = until(bytes, length, 40);
    let mut next = bytes[6];
    let mut at = 40;
    let mut first_fragment = false;
    loop {
        match next {
            6 => return tcp(source, packet.get(at..), first_fragment),
            // Hop-by-hop options, routing, fragment, authentication, destination options.
            0 | 43 | 44 | 51 | 60 => {}
            _ => return Class::Pass(Reason::NotTcp),
        }
        // What all of them begin with.
        let Some(head) = packet.get(at..at + 4) else {
            return Class::Unclassified { source };
        };
        let units = usize::from(head[1]);
        match next {
            44 => {
                let fragment = u16::from_be_bytes([head[2], head[3]]);
                if fragment & 0xfff8 != 0 {
                    return Class::Pass(Reason::Fragment);
                }
                first_fragment |= fragment & 1 != 0;
                at += 8;
            }
            // RFC 4302, section 2.2.
            51 => at += (units + 2) * 4,
            _ => at += (units + 1) * 8,
        }
        next = head[0];
    }
}

/// The packet ends where IP says, or with the frame. A length of 0 says nothing.
fn until(bytes: &[u8], length: usize, before: usize) -> &[u8] {
    if length == 0 {
        bytes
    } else {
        &bytes[..bytes.len().min(before + length)]
    }
}

/// `segment` is what the packet holds of the TCP segment.
fn tcp(source: IpAddr, segment: Option<&[u8]>, first_fragment: bool) -> Class {
    let segment = segment.unwrap_or_default();
    let port = u16_at(segment, 2);
    match (segment.get(13), port) {
        (Some(flags), Some(port)) => {
            let (syn, ack) = (flags & 0x02 != 0, flags & 0x10 != 0);
            if syn && !ack {
                Class::Attempt { source, port }
            } else {
                Class::Pass(Reason::Established)
            }
        }
        // The flags come with a later fragment, which passes: taken for an attempt.
        (None, Some(port)) if first_fragment => Class::Attempt { source, port },
        _ => Class::Unclassified { source },
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let both = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([both[0], both[1]]))
}
