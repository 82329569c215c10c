//! The parts of a frame that may repeat any number of times: VLAN tags and IPv6 extension
//! headers. It does not judge what it finds.
//!
//! Each is walked in strides of so many steps. The kernel's side makes functions of a step and
//! of a stride, so that the verifier follows each once: a step, a stride's calls, and the calls
//! of strides. Together they reach the end of the largest frame (an MTU of 65,535 bytes).

use super::{Load, TCP};

/// What the walks reach: more than an offset that a program can read (`bpf_xdp_load_bytes`).
const REACH: usize = 1 << 16;

/// Tags of a stride; and strides.
const TAGS: usize = 128;
const TAG_STRIDES: usize = REACH / VLAN_LEN / TAGS;

/// Extension headers of a stride; and strides. None has less than 8 bytes.
const EXTENSIONS: usize = 256;
const EXTENSION_STRIDES: usize = REACH / 8 / EXTENSIONS;

const VLAN_LEN: usize = 4;

// Assigned by IANA and IEEE: ethertypes and protocol numbers.
const DOT1Q: [u8; 2] = [0x81, 0x00];
const DOT1AD: [u8; 2] = [0x88, 0xa8];
const HOP_BY_HOP: u8 = 0;
pub(super) const ROUTING: u8 = 43;
pub(super) const FRAGMENT: u8 = 44;
pub(super) const AUTHENTICATION: u8 = 51;
pub(super) const DESTINATION: u8 = 60;

/// Whether an ethertype announces a VLAN tag that Linux strips: 802.1Q or 802.1ad, not the
/// older 0x9100.
#[inline(always)]
pub(super) const fn is_tag(ethertype: [u8; 2]) -> bool {
    matches!(ethertype, DOT1Q | DOT1AD)
}

/// Where what is behind all tags begins, and its ethertype; `None` if the frame ends before
/// it. `at`: the offset of the first ethertype.
///
/// Linux strips tags with VID 0 in any number (`__netif_receive_skb_core`), and one with
/// another VID for each VLAN device above another.
#[inline(always)]
pub(super) fn behind_tags<L: Load>(frame: &L, at: usize) -> (usize, Option<[u8; 2]>) {
    let mut at = at;
    let mut ethertype = frame.load::<2>(at);
    if ethertype.is_some_and(is_tag) {
        for _ in 0..TAG_STRIDES {
            let before = at;
            at = frame.skip_tags(at);
            if at == before {
                break;
            }
        }
        ethertype = frame.load::<2>(at);
    }
    (at + 2, ethertype)
}

/// Skips a stride of VLAN tags. `at` is the offset of an ethertype; the answer that of the
/// first that announces no tag, or of the last of the stride.
#[inline(always)]
pub fn skip_tags<L: Load>(frame: &L, at: usize) -> usize {
    let mut at = at;
    for _ in 0..TAGS {
        let before = at;
        at = frame.skip_tag(at);
        if at == before {
            break;
        }
    }
    at
}

/// Skips one VLAN tag, if the ethertype at this offset announces one.
#[inline(always)]
pub fn skip_tag<L: Load>(frame: &L, at: usize) -> usize {
    let at = at & OFFSET_MASK;
    // A tag is two bytes of tag control, then the next ethertype.
    if frame.load::<2>(at).is_some_and(is_tag) {
        at + VLAN_LEN
    } else {
        at
    }
}

/// A walk through IPv6 extension headers, in one number, for functions that return no more:
/// the offset of the next header in the lowest bits, its kind, and what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain(pub u64);

/// Bits of an offset.
pub(super) const OFFSET_MASK: usize = 0x1_ffff;
const NEXT_SHIFT: u32 = 24;
const FIRST_FRAGMENT: u64 = 1 << 32;
const LATER_FRAGMENT: u64 = 1 << 33;
const CUT: u64 = 1 << 34;

impl Chain {
    /// Begins with a header of this kind.
    #[inline(always)]
    pub(super) const fn new(at: usize, next: u8) -> Self {
        Self((at & OFFSET_MASK) as u64 | (next as u64) << NEXT_SHIFT)
    }

    /// Offset of the next header.
    #[expect(clippy::cast_possible_truncation, reason = "17 bits of many")]
    #[inline(always)]
    pub(super) const fn at(self) -> usize {
        self.0 as usize & OFFSET_MASK
    }

    /// Its kind, as the header before it says.
    #[expect(clippy::cast_possible_truncation, reason = "8 bits of many")]
    #[inline(always)]
    pub(super) const fn next(self) -> u8 {
        (self.0 >> NEXT_SHIFT) as u8
    }

    /// Whether a fragment header says that more fragments follow.
    #[inline(always)]
    pub(super) const fn is_first_fragment(self) -> bool {
        self.0 & FIRST_FRAGMENT != 0
    }

    /// Whether a fragment header says that this is not the first fragment.
    #[inline(always)]
    pub(super) const fn is_later_fragment(self) -> bool {
        self.0 & LATER_FRAGMENT != 0
    }

    /// Whether the packet ends within the next header.
    #[inline(always)]
    pub(super) const fn is_cut(self) -> bool {
        self.0 & CUT != 0
    }

    /// Whether the next header is an extension header that is still to be walked.
    #[inline(always)]
    pub(super) const fn is_open(self) -> bool {
        self.0 & (LATER_FRAGMENT | CUT) == 0 && is_extension(self.next())
    }

    /// Walks to the first header that is no extension header. `end`: where the packet ends.
    #[inline(always)]
    pub(super) fn walk<L: Load>(self, frame: &L, end: usize) -> Self {
        let mut chain = self;
        if chain.next() != TCP {
            for _ in 0..EXTENSION_STRIDES {
                if !chain.is_open() {
                    break;
                }
                chain = frame.skip_extensions(chain, end);
            }
        }
        chain
    }
}

/// Skips a stride of extension headers. `end`: where the packet ends, as an offset.
#[inline(always)]
pub fn skip_extensions<L: Load>(frame: &L, chain: Chain, end: usize) -> Chain {
    let mut chain = chain;
    for _ in 0..EXTENSIONS {
        let before = chain;
        chain = frame.skip_extension(chain, end);
        if chain == before {
            break;
        }
    }
    chain
}

/// Skips one extension header, if the walk is still open.
#[inline(always)]
pub fn skip_extension<L: Load>(frame: &L, chain: Chain, end: usize) -> Chain {
    if !chain.is_open() {
        return chain;
    }
    let Some(header) = load_before::<L, 4>(frame, chain.at(), end) else {
        return Chain(chain.0 | CUT);
    };
    let fragment = u16::from_be_bytes([header[2], header[3]]);
    let len = usize::from(header[1]);
    let mut found = chain.0 & FIRST_FRAGMENT;
    let len = match chain.next() {
        FRAGMENT => {
            if fragment & 0xfff8 != 0 {
                return Chain(chain.0 | LATER_FRAGMENT);
            }
            found |= u64::from(fragment & 1) << FIRST_FRAGMENT.ilog2();
            8
        }
        // RFC 4302, section 2.2: in units of four bytes, minus two.
        AUTHENTICATION => (len + 2) * 4,
        _ => (len + 1) * 8,
    };
    Chain(Chain::new(chain.at() + len, header[0]).0 | found)
}

/// The bytes at an offset, if they lie before `end`.
#[inline(always)]
pub(super) fn load_before<L: Load, const N: usize>(
    frame: &L,
    at: usize,
    end: usize,
) -> Option<[u8; N]> {
    if at + N > end {
        return None;
    }
    frame.load::<N>(at)
}

#[inline(always)]
const fn is_extension(next: u8) -> bool {
    matches!(
        next,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION
    )
}
