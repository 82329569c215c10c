//! The SYN that asks the loaded program what it would do.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SOURCE_PORT: u16 = 40_000;
const TCP: u8 = 6;
const SYN: u8 = 0x02;

/// An Ethernet frame with a TCP SYN from `source` to `port` of an address of the
/// documentation ranges (RFC 5737, RFC 3849). Checksums are zero: the program does
/// not look at them.
#[must_use]
pub fn syn(source: IpAddr, port: u16) -> Vec<u8> {
    let mut frame = vec![0; 12];
    match source {
        IpAddr::V4(source) => {
            frame.extend([0x08, 0x00]);
            frame.extend([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, TCP, 0, 0]);
            frame.extend(source.octets());
            frame.extend(Ipv4Addr::new(192, 0, 2, 1).octets());
        }
        IpAddr::V6(source) => {
            frame.extend([0x86, 0xdd]);
            frame.extend([0x60, 0, 0, 0, 0, 20, TCP, 64]);
            frame.extend(source.octets());
            frame.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets());
        }
    }
    frame.extend(SOURCE_PORT.to_be_bytes());
    frame.extend(port.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, SYN, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}
