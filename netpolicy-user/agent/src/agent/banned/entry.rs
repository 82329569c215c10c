//! What is known of one ban, and what is to become of it.

use std::collections::BTreeMap;

use super::ends::NEVER;
use super::texts::TextId;

/// What is known of a ban. Times are milliseconds on the scale of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::agent) struct BanEntry {
    /// When it ends; [`NEVER`](super::ends::NEVER).
    pub(in crate::agent) until: i64,
    pub(in crate::agent) since: i64,
    pub(in crate::agent) by: TextId,
    pub(in crate::agent) reason: TextId,
}

/// An entry as the table holds it, in two thirds of the room: since when in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackedEntry {
    /// Seconds.
    since: u32,
    /// The lower bits of the end.
    until_low: u32,
    /// The higher bits of the end, then the higher bits of `by` and of `reason`.
    high: u32,
    /// The lower bits of `by` and of `reason`.
    low: [u16; 2],
}

/// Bits of an end: milliseconds until the year 10,000, and [`NEVER`] as all ones.
const UNTIL_BITS: u32 = 48;
const PACKED_NEVER: u64 = (1 << UNTIL_BITS) - 1;

#[expect(
    clippy::cast_possible_truncation,
    reason = "what is cut off is packed elsewhere"
)]
impl From<BanEntry> for PackedEntry {
    /// Texts have fewer numbers than 24 bits have: a ban has two at the most.
    fn from(entry: BanEntry) -> Self {
        let until = match entry.until {
            NEVER => PACKED_NEVER,
            until => u64::try_from(until).unwrap_or(0).min(PACKED_NEVER - 1),
        };
        let seconds = entry.since.div_euclid(1000).clamp(0, u32::MAX.into());
        let (by, reason) = (entry.by, entry.reason);
        Self {
            since: seconds as u32,
            until_low: until as u32,
            high: ((until >> 32) as u32) << 16 | (by >> 16 & 0xff) << 8 | reason >> 16 & 0xff,
            low: [by as u16, reason as u16],
        }
    }
}

impl From<PackedEntry> for BanEntry {
    fn from(packed: PackedEntry) -> Self {
        let until = u64::from(packed.high >> 16) << 32 | u64::from(packed.until_low);
        let [by, reason] = packed.low.map(u32::from);
        Self {
            until: match until {
                PACKED_NEVER => NEVER,
                until => until.cast_signed(),
            },
            since: i64::from(packed.since) * 1000,
            by: (packed.high >> 8 & 0xff) << 16 | by,
            reason: (packed.high & 0xff) << 16 | reason,
        }
    }
}

/// What there is of a network, and what there is to be; `None`: nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StagedBan {
    pub(super) before: Option<BanEntry>,
    pub(super) now: Option<BanEntry>,
}

/// The changes of one scope and family.
pub(super) type StagedFamily<P> = BTreeMap<P, StagedBan>;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LATEST: i64 = 253_402_300_799_999;

    proptest! {
        #[test]
        fn entries_are_packed_without_loss_but_of_parts_of_a_second(
            until in prop_oneof![Just(NEVER), Just(LATEST), 0..LATEST],
            since in 0..4_000_000_000_000_i64,
            by in 0..1_u32 << 24,
            reason in 0..1_u32 << 24,
        ) {
            let entry = BanEntry { until, since, by, reason };
            let whole = BanEntry { since: since / 1000 * 1000, ..entry };
            prop_assert_eq!(BanEntry::from(PackedEntry::from(entry)), whole);
        }
    }

    #[test]
    fn packed_entry_has_16_bytes() {
        assert_eq!(size_of::<PackedEntry>(), 16);
        let before_1970 = BanEntry {
            until: -1,
            since: -5,
            by: 0,
            reason: 0,
        };
        let packed = BanEntry::from(PackedEntry::from(before_1970));
        assert_eq!((packed.until, packed.since), (0, 0));
    }
}
