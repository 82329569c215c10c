//! A connection attempt of some shape: its frames, from any source, whole or in fragments.

use std::net::IpAddr;

use crate::reference::linux::sum;
use crate::shape::{ACK, SYN, Shape};

/// The family of random attempts.
pub const RANDOM: &str = "random";

/// An attempt: one frame, or the fragments that it is cut into.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What it is one of.
    pub family: &'static str,
    /// What it is.
    pub name: String,
    /// Its whole packet, without source and ports.
    pub(super) shape: Shape,
    /// How that is cut, if it is.
    pub(super) fragments: Option<Fragments>,
}

/// How a packet is cut.
#[derive(Clone, Debug)]
pub(super) struct Fragments {
    /// IPv6 extension headers that stand before the fragment header.
    pub(super) before: usize,
    /// Offsets in what is cut, multiples of 8.
    pub(super) cuts: Vec<usize>,
    /// The last fragment is sent first.
    pub(super) reversed: bool,
}

impl Attempt {
    /// The attempt of one packet of this shape.
    #[must_use]
    pub fn of(shape: Shape) -> Self {
        Self {
            family: "",
            name: String::new(),
            shape,
            fragments: None,
        }
    }

    /// The same from a source to a port. `None`: it has what such a link does not.
    #[must_use]
    pub fn between(
        &self,
        source: IpAddr,
        source_port: u16,
        port: u16,
        ethernet: bool,
    ) -> Option<Self> {
        let mut attempt = self.clone();
        let shape = &mut attempt.shape;
        shape.source = source;
        shape.port = port;
        shape.ethernet = ethernet;
        shape.source_port = source_port;
        let fits = ethernet || (shape.tags.is_empty() && shape.ether_type.is_none());
        fits.then_some(attempt)
    }

    /// Its frames. `None`: one is too large for a link with this MTU, or empty.
    #[must_use]
    pub fn frames(&self, mtu: usize) -> Option<Vec<Vec<u8>>> {
        let frames = match &self.fragments {
            None => vec![self.shape.build()],
            Some(fragments) => fragments.of(&self.shape),
        };
        let link = if self.shape.ethernet { 14 } else { 0 };
        let is_taken = |frame: &Vec<u8>| (link + 1..=link + mtu).contains(&frame.len());
        frames.iter().all(is_taken).then_some(frames)
    }

    /// What acknowledges the answer to it, which had these numbers: in the same shape. A random
    /// one, of which bytes may be wrong, is acknowledged by a plain packet.
    #[must_use]
    pub fn acknowledgement(&self, sequence: u32, acknowledged: u32) -> Self {
        let mut attempt = self.clone();
        let shape = &self.shape;
        if self.family == RANDOM {
            attempt.shape = Shape::syn(shape.source, shape.source_port, shape.port);
            attempt.shape.ethernet = shape.ethernet;
        }
        attempt.shape.flags = attempt.shape.flags & !SYN | ACK;
        attempt.shape.numbers = (acknowledged, sequence.wrapping_add(1));
        attempt
    }

    /// The port that it comes from: this, or 0 where that is the point of it.
    #[must_use]
    pub fn source_port(&self, port: u16) -> u16 {
        if self.shape.source_port == 0 { 0 } else { port }
    }

    /// Whether it is IPv6.
    #[must_use]
    pub fn is_v6(&self) -> bool {
        self.shape.source.is_ipv6()
    }

    /// Whether it is more than one frame.
    #[must_use]
    pub fn is_fragmented(&self) -> bool {
        self.fragments.is_some()
    }
}

impl Fragments {
    /// Cuts the packet's bytes as a router or sender would.
    fn of(&self, shape: &Shape) -> Vec<Vec<u8>> {
        // Another one for each packet of a source.
        let id = match shape.flags & SYN {
            0 => !shape.source_port,
            _ => shape.source_port.wrapping_add(1),
        };
        let whole = shape.build();
        let link = shape.link_len();
        let header = if shape.source.is_ipv4() {
            20 + shape.options.len()
        } else {
            let before = shape.extensions.iter().take(self.before);
            40 + before.map(|e| e.body.len() + 2).sum::<usize>()
        };
        let (headers, content) = whole.split_at(link + header);
        let mut bounds = vec![0];
        bounds.extend(self.cuts.iter().copied().filter(|cut| *cut < content.len()));
        bounds.push(content.len());
        let pieces = bounds.windows(2).map(|pair| {
            let (from, to) = (pair[0], pair[1]);
            let more = to < content.len();
            let offset = u16::try_from(from / 8).expect("a short packet");
            let mut frame = headers.to_vec();
            let ip = &mut frame[link..];
            if shape.source.is_ipv4() {
                let total = u16::try_from(header + to - from).expect("a short packet");
                ip[2..4].copy_from_slice(&total.to_be_bytes());
                ip[4..6].copy_from_slice(&id.to_be_bytes());
                ip[6..8].copy_from_slice(&(offset | u16::from(more) << 13).to_be_bytes());
                ip[10..12].fill(0);
                let checksum = !sum(&ip[..header]);
                ip[10..12].copy_from_slice(&checksum.to_be_bytes());
            } else {
                let length = header - 40 + 8 + to - from;
                let length = u16::try_from(length).expect("a short packet");
                ip[4..6].copy_from_slice(&length.to_be_bytes());
                let last = shape.extensions.iter().take(self.before).next_back();
                let next_at = last.map_or(6, |last| header - last.body.len() - 2);
                let next = std::mem::replace(&mut ip[next_at], 44);
                frame.extend([next, 0]);
                frame.extend((offset << 3 | u16::from(more)).to_be_bytes());
                frame.extend(u32::from(id).to_be_bytes());
            }
            frame.extend(&content[from..to]);
            frame
        });
        let mut pieces: Vec<Vec<u8>> = pieces.collect();
        if self.reversed {
            pieces.reverse();
        }
        pieces
    }
}
