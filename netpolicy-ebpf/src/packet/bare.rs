//! Frames of devices without a link-layer header.
//!
//! GRE says in its own header what follows, which may be a VLAN tag. That header is gone, but
//! Linux remembers what it said and strips the tag. So what may be a tag is read as one too,
//! and some frames can be read in both ways. Only the kernel knows which one it will choose:
//! such a frame is judged by both readings, and the stricter verdict stands.

use netpolicy_common::Reason;

use super::{Family, IPV4, IPV6, IPV6_LEN, Load, Segment, behind_tags, walk};

/// Offset of the ethertype in what remains of a tag whose own ethertype is gone.
pub(super) const TAG_TYPE_AT: usize = 2;

/// Set in what [`Segment::pack`] packed where the frame has another reading.
const HAS_OTHER: u64 = 1 << 3;
/// Set where that one is IPv6.
const OTHER_IS_V6: u64 = 1 << 4;

/// The other reading of a frame, if it has one to be judged: an IP packet of this family from
/// its first byte.
#[inline(always)]
#[must_use]
pub const fn other_reading(packed: u64) -> Option<Family> {
    if packed & HAS_OTHER == 0 {
        None
    } else if packed & OTHER_IS_V6 == 0 {
        Some(Family::V4)
    } else {
        Some(Family::V6)
    }
}

/// Reads a frame. If both readings are to be judged, it returns that behind the tag; see
/// [`other_reading`].
#[inline(always)]
pub(super) fn parse<L: Load>(frame: &L) -> u64 {
    let Some([first, _, ethertype @ ..]) = frame.load::<4>(0) else {
        return Segment::Pass(Reason::Malformed).pack();
    };
    let family = match first >> 4 {
        4 => Some(Family::V4),
        6 => Some(Family::V6),
        _ => None,
    };
    let found = match family {
        Some(family) => frame.ip(0, family),
        None => Segment::Pass(Reason::NotTcp).pack(),
    };
    if ethertype != IPV4 && ethertype != IPV6 && !walk::is_tag(ethertype) {
        return found;
    }
    let tagged = behind_tags(frame, TAG_TYPE_AT);
    if !Segment::is_judged(tagged) {
        return found;
    }
    match family {
        Some(family) if Segment::is_judged(found) && is_whole(frame, family) => match family {
            Family::V4 => tagged | HAS_OTHER,
            Family::V6 => tagged | HAS_OTHER | OTHER_IS_V6,
        },
        _ => tagged,
    }
}

/// Whether the frame holds the whole packet that begins with it. Linux discards any other
/// (`ip_rcv_core`, `ip6_rcv_core`), and behind most tags are bytes that claim a longer one.
#[inline(always)]
fn is_whole<L: Load>(frame: &L, family: Family) -> bool {
    let (at, header_len) = match family {
        Family::V4 => (2, 0),
        Family::V6 => (4, IPV6_LEN),
    };
    let Some(length) = frame.load::<2>(at) else {
        return false;
    };
    let end = header_len + usize::from(u16::from_be_bytes(length));
    // The length is what reads as an ethertype, or the other header's is added: never 0.
    frame.load::<1>(end.wrapping_sub(1)).is_some()
}
