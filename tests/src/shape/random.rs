//! Random frames and rules, of a seed.
//!
//! Most frames are near to what an attacker could send to get past a filter; all fields have
//! their odd values, and each place its cut.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;

use crate::reference::{Ban, Bypass, Net, Policy, Rules, Service};
use crate::shape::{
    AUTHENTICATION, DESTINATION, Extension, FRAGMENT, HOP_BY_HOP, ROUTING, SYN, Shape, two,
};

/// Bytes of the largest random frame: a jumbo frame.
pub const LARGEST: usize = 9014;

/// One of so many times.
fn one_in(rng: &mut Rng, times: u32) -> bool {
    rng.u32(..times) == 0
}

fn pick<T: Clone>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())].clone()
}

fn bytes(rng: &mut Rng, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}

/// Mostly from a few bytes around one place, so that prefixes nest, touch and repeat.
pub fn address(rng: &mut Rng) -> IpAddr {
    match rng.u32(..20) {
        0 => IpAddr::V4(Ipv4Addr::from(rng.u32(..))),
        1 => IpAddr::V6(Ipv6Addr::from(rng.u128(..))),
        2..=10 => {
            let (a, b) = (rng.u32(..4), rng.u32(..8));
            let place = pick(rng, &[0x0a00_0000, 0x0a00_0000, 0x0a00_0000, 0x0a06_0000]);
            IpAddr::V4(Ipv4Addr::from(place + (a << 8) + b))
        }
        _ => {
            let (a, b) = (rng.u128(..4), rng.u128(..8));
            let place = pick(rng, &[0, 0, 0, 6u128 << 80]);
            IpAddr::V6(Ipv6Addr::from((0xfd00 << 112) + place + (a << 64) + b))
        }
    }
}

fn net(rng: &mut Rng) -> Net {
    let address = address(rng).to_canonical();
    let host_bits = if one_in(rng, 4) {
        rng.u8(12..128)
    } else {
        rng.u8(..12)
    };
    // A block of /0 is refused, so the shortest is /1.
    match address {
        IpAddr::V4(address) => {
            let length = 32 - host_bits.min(31);
            let mask = u32::MAX << (32 - length);
            let first = Ipv4Addr::from(u32::from(address) & mask);
            Net {
                address: first.into(),
                length,
            }
        }
        IpAddr::V6(address) => {
            let length = 128 - host_bits.min(127);
            let mask = u128::MAX << (128 - length);
            let first = Ipv6Addr::from(u128::from(address) & mask);
            Net {
                address: first.into(),
                length,
            }
        }
    }
}

fn nets(rng: &mut Rng) -> Vec<Net> {
    let mut nets: Vec<Net> = (0..rng.usize(..16)).map(|_| net(rng)).collect();
    // Exact duplicates within a list are refused.
    nets.sort();
    nets.dedup();
    // A mapped network has no form of its own in a list.
    nets.retain(|net| net.address.to_canonical() == net.address);
    nets
}

/// Some rules; each of their parts may be missing.
pub fn rules(rng: &mut Rng) -> Rules {
    let ports = [
        vec![(5432, 5432)],
        vec![(6432, 6432), (7000, 7010)],
        vec![(1, 1), (65_535, 65_535)],
    ];
    let services: Vec<Service> = (0..rng.usize(..=ports.len()))
        .map(|number| Service {
            ports: ports[number].clone(),
            and: rng.bool(),
            observes: one_in(rng, 4),
            resets: one_in(rng, 3),
        })
        .collect();
    let policies = (0..rng.usize(..5))
        .map(|_| Policy {
            allow: rng.bool().then(|| nets(rng)),
            block: nets(rng),
            except: if one_in(rng, 3) {
                nets(rng)
            } else {
                Vec::new()
            },
            host: rng.bool(),
            services: (0..services.len()).filter(|_| one_in(rng, 3)).collect(),
            inactive: one_in(rng, 6),
        })
        .collect();
    let bypasses = if one_in(rng, 3) {
        (0..rng.usize(1..4))
            .map(|_| {
                let service = rng.usize(..=services.len()).checked_sub(1);
                Bypass {
                    service,
                    source: net(rng),
                    expired: one_in(rng, 4),
                }
            })
            .collect()
    } else {
        Vec::new()
    };
    let bans = if one_in(rng, 3) {
        (0..rng.usize(1..12))
            .map(|_| Ban {
                service: rng.usize(..=services.len()).checked_sub(1),
                source: net(rng),
            })
            .collect()
    } else {
        Vec::new()
    };
    Rules {
        host_observes: one_in(rng, 5),
        host_resets: one_in(rng, 3),
        failsafe: pick(rng, &[vec![22], vec![22], vec![], vec![22, 2222, 8443]]),
        services,
        policies,
        bypasses,
        bans,
    }
}

/// A source on which rules may have something to say: at the edge of one of theirs, or near.
fn source(rng: &mut Rng, rules: &Rules) -> IpAddr {
    let lists = rules.policies.iter().flat_map(|policy| {
        let allow = policy.allow.iter().flatten();
        policy.block.iter().chain(&policy.except).chain(allow)
    });
    let nets: Vec<&Net> = lists
        .chain(rules.bypasses.iter().map(|bypass| &bypass.source))
        .chain(rules.bans.iter().map(|ban| &ban.source))
        .collect();
    if nets.is_empty() || rng.bool() {
        return address(rng);
    }
    let net = nets[rng.usize(..nets.len())];
    let edge = rng.u32(..4);
    match net.address {
        IpAddr::V4(first) => {
            let first = u32::from(first);
            let last = first | u32::MAX.checked_shr(u32::from(net.length)).unwrap_or(0);
            let edges = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
            IpAddr::V4(edges[edge as usize].into())
        }
        IpAddr::V6(first) => {
            let first = u128::from(first);
            let last = first | u128::MAX.checked_shr(u32::from(net.length)).unwrap_or(0);
            let edges = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
            IpAddr::V6(edges[edge as usize].into())
        }
    }
}

fn port(rng: &mut Rng) -> u16 {
    match rng.u32(..8) {
        0 => rng.u16(..),
        1 => pick(rng, &[22, 2222, 8443, 0, 65_535, 1]),
        2 | 3 => 3306,
        4 | 5 => 5432,
        _ => pick(rng, &[6432, 6999, 7000, 7005, 7010, 7011, 5431, 5433]),
    }
}

fn tags(rng: &mut Rng) -> Vec<(u16, u16)> {
    let count = match rng.u32(..100) {
        0..70 => 0,
        70..90 => rng.usize(1..4),
        90..97 => rng.usize(3..12),
        97..99 => rng.usize(8..40),
        _ => rng.usize(30..400),
    };
    let tag = |rng: &mut Rng| {
        let kind = match rng.u32(..40) {
            0 => 0x9100,
            1..20 => 0x88a8,
            _ => 0x8100,
        };
        // Priority and drop bit vary; mostly VID 0.
        let vid = if one_in(rng, 8) { rng.u16(..4096) } else { 0 };
        (kind, rng.u16(..16) << 12 | vid)
    };
    (0..count).map(|_| tag(rng)).collect()
}

fn options_v4(rng: &mut Rng) -> Vec<u8> {
    let len = 4 * rng.usize(1..=10);
    match rng.u32(..4) {
        0 => bytes(rng, len),
        1 => {
            // Record route, timestamp or a source route, then no operation.
            let kind = pick(rng, &[7, 68, 131, 137, 148, 30]);
            let pointer = if kind == 68 { 5 } else { 4 };
            let claimed = u8::try_from(len - 1).unwrap_or(39);
            let mut options = vec![kind, claimed, pointer, 0];
            options.resize(len - 1, 0);
            options.push(1);
            options.truncate(len);
            if len < 8 {
                options = vec![1; len];
            }
            options
        }
        _ => vec![1; len],
    }
}

fn extension(rng: &mut Rng, large: bool) -> Extension {
    let words = match rng.u32(..20) {
        0..13 => 1,
        13..18 => rng.usize(1..6),
        _ if large => rng.usize(1..=256),
        _ => rng.usize(1..12),
    };
    let mut extension = match rng.u32(..16) {
        0 | 1 => Extension::options(HOP_BY_HOP, 8 * words),
        2..6 => Extension::routing(pick(rng, &[0, 0, 1, 2, 3, 4, 5, 253, 254]), 8 * words),
        6..11 => Extension::options(DESTINATION, 8 * words),
        11 => Extension::fragment(0, false, rng.u32(..)),
        12 => {
            let offset = if rng.bool() { 0 } else { rng.u16(..0x2000) };
            Extension::fragment(offset, rng.bool(), rng.u32(..))
        }
        13 => Extension::authentication(12 + 4 * rng.usize(..8)),
        14 => Extension {
            kind: pick(rng, &[50, 59, 135, 139, 140, 17, 58]),
            body: vec![0; 8 * words - 2],
            length: None,
        },
        _ => Extension {
            kind: pick(rng, &[HOP_BY_HOP, ROUTING, DESTINATION, AUTHENTICATION]),
            body: bytes(rng, 8 * words - 2),
            length: None,
        },
    };
    if one_in(rng, 25) {
        extension.length = Some(rng.u8(..));
    }
    extension
}

fn extensions(rng: &mut Rng) -> Vec<Extension> {
    let count = match rng.u32(..100) {
        0..35 => 0,
        35..70 => rng.usize(1..5),
        70..90 => rng.usize(5..12),
        90..98 => rng.usize(12..60),
        _ => rng.usize(60..400),
    };
    let large = count < 8 && one_in(rng, 4);
    (0..count).map(|_| extension(rng, large)).collect()
}

/// A frame. `ethernet`: it begins with an Ethernet header.
pub fn frame(rng: &mut Rng, rules: &Rules, ethernet: bool) -> Shape {
    if !ethernet && one_in(rng, 25) {
        let mut shape = two(rng, rules);
        if one_in(rng, 4) {
            lie(rng, &mut shape);
        }
        return shape;
    }
    let mut shape = Shape::syn(source(rng, rules), rng.u16(..), port(rng));
    shape.ethernet = ethernet;
    if ethernet {
        shape.tags = tags(rng);
    } else if one_in(rng, 6) {
        // As of a tunnel that says that a tag follows. Some look like IP as well.
        shape.tags = tags(rng);
        if let Some((_, control)) = shape.tags.first_mut() {
            *control = pick(rng, &[0x4500, 0x4000, 0x6000, 0x0000, *control]);
        }
    }
    if ethernet && one_in(rng, 40) {
        let others = [0x0806, 0x8847, 0x88cc, 0x9100, 46, 0x0800, 0x86dd];
        shape.ether_type = Some(pick(rng, &others));
    }
    if one_in(rng, 12) {
        shape.protocol = pick(
            rng,
            &[17, 1, 58, 4, 41, 50, 59, 132, 135, 0, 43, 44, 51, 60],
        );
    }
    shape.flags = match rng.u32(..8) {
        0 => pick(rng, &[0x012, 0x010, 0x014, 0x004, 0x018, 0x000]),
        1 | 2 => rng.u16(..4096),
        3 => SYN | rng.u16(..4096) & 0xfef,
        _ => SYN,
    };
    if one_in(rng, 6) {
        shape.tcp_options = vec![1; 4 * rng.usize(1..=10)];
    }
    if one_in(rng, 8) {
        shape.payload = if rng.bool() {
            rng.usize(..64)
        } else {
            rng.usize(..8900)
        };
    }
    match shape.source {
        IpAddr::V4(_) => {
            if one_in(rng, 3) {
                shape.options = options_v4(rng);
            }
            shape.fragment = match rng.u32(..20) {
                0 | 1 => 0x2000,
                2 => rng.u16(..),
                3 => pick(rng, &[0x4000, 0x8000, 0xc000, 0x6000]),
                4 => pick(rng, &[0x2001, 0x0001, 0x1000, 0x1fff, 0x3fff]),
                _ => 0,
            };
            if shape.fragment & 0x3fff != 0 || one_in(rng, 10) {
                cut_segment(rng, &mut shape);
            }
        }
        IpAddr::V6(_) => {
            shape.extensions = extensions(rng);
            if one_in(rng, 8) {
                let at = rng.usize(..=shape.extensions.len());
                let first = Extension::fragment(0, true, rng.u32(..));
                shape.extensions.insert(at, first);
            }
            let is_fragment = |e: &Extension| e.kind == FRAGMENT;
            if shape.extensions.iter().any(is_fragment) || one_in(rng, 10) {
                cut_segment(rng, &mut shape);
            }
        }
    }
    lie(rng, &mut shape);
    shape
}

/// A packet without Ethernet header that reads as two, of random sources.
fn two(rng: &mut Rng, rules: &Rules) -> Shape {
    let (port, other) = (port(rng), port(rng));
    let mut shape = if one_in(rng, 3) {
        two::chain(other)
    } else {
        two::attempt(rng.bool(), rng.u16(..), port, other)
    };
    // Sources on which rules have something to say: the other's, and the last bytes of the
    // first's. Checksums go wrong, on which no verdict depends.
    if let IpAddr::V4(other) = source(rng, rules) {
        shape.patches.extend((16..).zip(other.octets()));
    }
    if let IpAddr::V4(near) = address(rng)
        && shape.source.is_ipv4()
    {
        shape
            .patches
            .extend((14..).zip(near.octets().into_iter().skip(2)));
    }
    shape
}

/// A part of the segment: mostly one that ends within the TCP header.
fn cut_segment(rng: &mut Rng, shape: &mut Shape) {
    shape.slice = match rng.u32(..4) {
        0 => None,
        1 => Some((0, 8 * rng.usize(1..5))),
        2 => Some((0, rng.usize(..24))),
        _ => Some((8 * rng.usize(..4), 8 * rng.usize(1..9))),
    };
}

/// Lengths that lie, bytes that are wrong, frames that end early.
fn lie(rng: &mut Rng, shape: &mut Shape) {
    if one_in(rng, 8) {
        shape.padding = bytes(rng, rng.clone().usize(1..48));
    }
    let len = shape.build().len();
    if one_in(rng, 8) {
        let near = u16::try_from(len - shape.link_len()).unwrap_or(u16::MAX);
        shape.length = Some(match rng.u32(..4) {
            0 => 0,
            1 => rng.u16(..),
            2 => near.wrapping_add(rng.u16(..64)).wrapping_sub(32),
            _ => rng.u16(..80),
        });
    }
    if one_in(rng, 8) {
        let headers = (shape.link_len() + 80).min(len);
        for _ in 0..rng.usize(1..4) {
            let reach = if rng.bool() { headers } else { len };
            let at = rng.usize(..reach);
            shape.patches.push((at, rng.u8(..)));
        }
    }
    if one_in(rng, 5) {
        let reach = if rng.bool() {
            len
        } else {
            len.min(shape.link_len() + 80)
        };
        shape.cut = Some(rng.usize(..=reach));
    }
    if len.min(shape.cut.unwrap_or(len)) > LARGEST {
        shape.cut = Some(LARGEST);
    }
}

/// How many bytes of a frame are in the first buffer; `None`: as many as fit.
pub fn linear(rng: &mut Rng, len: usize) -> Option<usize> {
    match rng.u32(..8) {
        0 => Some(14),
        1 => Some(rng.usize(14..=len.max(14)).min(len)),
        2 => Some(rng.usize(14..120).min(len)),
        _ => None,
    }
}
