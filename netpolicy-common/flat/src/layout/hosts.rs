//! Tables of hosts: which bucket an address belongs to, and how a bucket tells it from others.

use super::{CHUNK_PAGES, MAX_CHUNKS, UNIT_WORDS, UNITS_PER_PAGE};

/// A table of hosts.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// In its upper half the number of the first unit, in its lower [`Hosts::overlays`]: one
    /// load tells both, and where there are no overlay pages, one addition makes an address' unit
    /// of its bucket.
    pub place: u64,
    /// Buckets, each a unit; 0: there are no hosts.
    pub buckets: u32,
    /// The base-2 logarithm of `buckets`, rounded down.
    pub shift: u32,
}

// The number of every unit of the largest arena, and so that of every page, has room in half
// of `place`: `spot` adds without a carry.
const _: () = assert!(MAX_CHUNKS as u64 * CHUNK_PAGES as u64 * UNITS_PER_PAGE as u64 <= 1 << 32);

impl Hosts {
    /// A table of so many buckets, not 0, which is nowhere yet.
    #[must_use]
    pub const fn with_buckets(buckets: u32) -> Self {
        Self {
            place: 0,
            buckets,
            shift: buckets.ilog2(),
        }
    }

    /// The first of its pages, which follow each other, as they were made.
    #[must_use]
    pub const fn start(&self) -> u32 {
        (self.place >> 32) as u32 / UNITS_PER_PAGE
    }

    /// Whether it begins with a page, as all tables do that are not damaged.
    #[must_use]
    pub const fn is_on_pages(&self) -> bool {
        ((self.place >> 32) as u32).is_multiple_of(UNITS_PER_PAGE)
    }

    /// Moves it to other pages, of an arena that is no larger than the largest.
    pub const fn set_start(&mut self, page: u32) {
        self.place = ((page * UNITS_PER_PAGE) as u64) << 32 | self.overlays() as u64;
    }

    /// The first of the pages that say, in 32 bits for each of the table's pages, which page
    /// stands in for it since a change; 0: none does. 0: no page has an overlay page.
    #[inline(always)]
    #[must_use]
    pub const fn overlays(&self) -> u32 {
        self.place as u32
    }

    /// Names the pages of overlay pages.
    pub const fn set_overlays(&mut self, page: u32) {
        self.place = self.place >> 32 << 32 | page as u64;
    }

    /// The unit of an address in the upper half, by its [`Hosts::product`], whose lower half
    /// is the lower one. Where there are no overlay pages.
    #[inline(always)]
    #[must_use]
    pub const fn spot(&self, product: u64) -> u64 {
        product.wrapping_add(self.place)
    }

    /// The same where this page stands in for the bucket's.
    #[inline(always)]
    #[must_use]
    pub const fn spot_on(page: u32, product: u64) -> u64 {
        let unit = page * UNITS_PER_PAGE + Self::bucket(product) % UNITS_PER_PAGE;
        (unit as u64) << 32 | product as u32 as u64
    }

    /// Which bucket a mixed address belongs to, and what is left to tell it from
    /// others: its tag.
    #[inline(always)]
    #[must_use]
    pub const fn place(self, mixed: u32) -> (u32, u32) {
        let product = self.product(mixed);
        (Self::bucket(product), self.tag(product))
    }

    /// What a mixed address' place is made of.
    #[inline(always)]
    #[must_use]
    pub const fn product(&self, mixed: u32) -> u64 {
        mixed as u64 * self.buckets as u64
    }

    /// The bucket of a [`Hosts::product`].
    #[inline(always)]
    #[must_use]
    pub const fn bucket(product: u64) -> u32 {
        (product >> 32) as u32
    }

    /// The tag of a [`Hosts::product`], or of its [`Hosts::spot`].
    #[inline(always)]
    #[must_use]
    pub const fn tag(&self, product: u64) -> u32 {
        (product as u32) >> (self.shift & 31)
    }

    /// The two buckets in which an IPv6 address may stand, by its mixed bits: its own, and
    /// another on the same page. Each of them is the other's other.
    #[inline(always)]
    #[must_use]
    pub const fn pair(self, mixed: u32) -> (u32, u32) {
        let product = self.product(mixed);
        let bucket = Self::bucket(product);
        (bucket, bucket ^ Self::apart(product))
    }

    /// How the numbers of an IPv6 address' two buckets differ: by the bits of its
    /// [`Hosts::product`], or [`Hosts::spot`], behind its bucket's.
    #[inline(always)]
    #[must_use]
    pub const fn apart(product: u64) -> u32 {
        product as u32 >> (u32::BITS - UNITS_PER_PAGE.ilog2()) | 1
    }

    /// A tag that no address of a bucket has, for places where nothing is; `u32::MAX`,
    /// which fits no lane, if there is none.
    ///
    /// Where tags leave a bit of their lane to spare, that bit. Where they need all of
    /// them, so many buckets ([`Lanes::fewest_buckets`]) leave out some of the numbers:
    /// the lower halves of the products in one bucket are `first`, `first + buckets`, and
    /// so on, and a tag is their part above `shift` bits. So the tags of neighbours differ
    /// by one, and by two where what the bits below gain, `buckets - 2^shift` with each
    /// step, carries.
    #[must_use]
    pub const fn no_tag(self, bucket: u32) -> u32 {
        let lanes = Lanes::of(self.shift);
        if 32 - (self.shift & 31) < lanes.width() - 1 {
            return 1 << (lanes.width() - 2);
        }
        let (buckets, unit) = (self.buckets as u64, 1 << (self.shift & 31));
        let gain = buckets.saturating_sub(unit);
        if gain == 0 {
            return u32::MAX;
        }
        let begin = (bucket as u64) << 32;
        let first = begin.div_ceil(buckets).wrapping_mul(buckets) - begin;
        let steps = (unit - first % unit).div_ceil(gain);
        ((first + steps * buckets) / unit - 1) as u32
    }
}

/// How tags stand in the words of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// Two of 32 bits a word.
    Two,
    /// Three of 21 bits a word: from 4,096 buckets on.
    Three,
    /// Four of 16 bits a word: from 131,072 buckets on.
    Four,
}

impl Lanes {
    /// The widest tag of so many buckets (by [`Hosts::shift`]) leaves the highest bit of
    /// a lane zero, so that lanes can be compared together.
    #[inline(always)]
    #[must_use]
    pub const fn of(shift: u32) -> Self {
        if shift >= 17 {
            Self::Four
        } else if shift >= 12 {
            Self::Three
        } else {
            Self::Two
        }
    }

    /// Bits of a lane.
    #[inline(always)]
    #[must_use]
    pub const fn width(self) -> u32 {
        match self {
            Self::Two => 32,
            Self::Three => 21,
            Self::Four => 16,
        }
    }

    /// Lanes of a word.
    #[inline(always)]
    #[must_use]
    pub const fn per_word(self) -> u32 {
        match self {
            Self::Two => 2,
            Self::Three => 3,
            Self::Four => 4,
        }
    }

    /// The lowest bit of each lane.
    #[inline(always)]
    #[must_use]
    pub const fn ones(self) -> u64 {
        match self {
            Self::Two => 1 | 1 << 32,
            Self::Three => 1 | 1 << 21 | 1 << 42,
            Self::Four => 0x0001_0001_0001_0001,
        }
    }

    /// The highest bit of each lane.
    #[inline(always)]
    #[must_use]
    pub const fn highest(self) -> u64 {
        self.ones() << (self.width() - 1)
    }

    /// The fewest buckets with which tags fit, and leave out a number in each bucket:
    /// a thirty-second more than a power of two (see [`Hosts::no_tag`]).
    #[must_use]
    pub const fn fewest_buckets(self) -> u32 {
        match self {
            Self::Two => 4,
            Self::Three => (1 << 12) + (1 << 7),
            Self::Four => (1 << 17) + (1 << 12),
        }
    }

    /// Tags of a bucket.
    #[inline(always)]
    #[must_use]
    pub const fn per_bucket(self) -> u32 {
        self.per_word() * UNIT_WORDS as u32
    }
}

/// Shuffles IPv4 addresses one to one (see [`unmix`]), so that those of one network
/// spread over the buckets: a multiplicative hash (Knuth, The Art of Computer Programming,
/// volume 3, section 6.4), its upper half folded into its lower, and hashed again.
#[inline(always)]
#[must_use]
pub const fn mix(address: u32) -> u32 {
    let x = address.wrapping_mul(MULTIPLIER);
    let x = x ^ x >> 15;
    x.wrapping_mul(MULTIPLIER)
}

/// The address that [`mix`] made this of.
#[must_use]
pub const fn unmix(mixed: u32) -> u32 {
    let x = mixed.wrapping_mul(INVERSE);
    let x = x ^ x >> 15 ^ x >> 30;
    x.wrapping_mul(INVERSE)
}

/// 2^32 divided by the golden ratio, made odd.
const MULTIPLIER: u32 = 0x9e37_79b1;

/// Its inverse modulo 2^32.
const INVERSE: u32 = inverse(MULTIPLIER);

/// By Newton's method: each step doubles the right bits, of which an odd number has
/// three to begin with.
const fn inverse(odd: u32) -> u32 {
    let mut x = odd;
    let mut step = 0;
    while step < 4 {
        x = x.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(x)));
        step += 1;
    }
    x
}

/// 32 bits of an IPv6 address, in two words, that spread as [`mix`] does (not one to one): the
/// upper half of a product depends on all bits of its factors.
#[inline(always)]
#[must_use]
pub const fn mix_v6(high: u64, low: u64) -> u32 {
    let x = high.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ low;
    (x.wrapping_mul(0xc2b2_ae3d_27d4_eb4f) >> 32) as u32
}

const _: () = assert!(MULTIPLIER.wrapping_mul(INVERSE) == 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_is_one_to_one() {
        for address in (0..=u32::MAX).step_by(65_521).chain([1, u32::MAX]) {
            assert_eq!(unmix(mix(address)), address);
        }
    }

    /// The least number, of those that are mixed, in a bucket.
    fn first_of(hosts: Hosts, bucket: u32) -> u32 {
        ((u64::from(bucket) << 32).div_ceil(u64::from(hosts.buckets))) as u32
    }

    #[test]
    fn tags_fit_their_lanes_and_tell_neighbours_apart() {
        for buckets in [
            4, 5, 1023, 4095, 4224, 8191, 8192, 9000, 131_071, 135_168, 262_143, 300_001,
        ] {
            let hosts = Hosts::with_buckets(buckets);
            let highest = 1 << (Lanes::of(hosts.shift).width() - 1);
            for mixed in (0..=u32::MAX - 1).step_by(999_983).chain([u32::MAX - 1]) {
                let (bucket, tag) = hosts.place(mixed);
                assert!(bucket < buckets && tag < highest);
                assert!(hosts.no_tag(bucket) < highest);
                assert_ne!(hosts.place(mixed + 1), (bucket, tag));
            }
        }
    }

    #[test]
    fn no_address_of_a_bucket_has_the_tag_of_none() {
        for buckets in [
            135_168, 140_001, 200_000, 262_143, 262_144, 4224, 5000, 8191,
        ] {
            let hosts = Hosts::with_buckets(buckets);
            for bucket in [0, 1, 77, buckets / 2, buckets - 2] {
                let none = hosts.no_tag(bucket);
                for mixed in first_of(hosts, bucket)..first_of(hosts, bucket + 1) {
                    assert_eq!(hosts.place(mixed).0, bucket);
                    assert_ne!(hosts.place(mixed).1, none, "{buckets} {bucket}");
                }
            }
        }
    }

    #[test]
    fn a_spot_is_the_bucket_s_unit_and_what_tells_its_addresses() {
        let mut hosts = Hosts::with_buckets(1000);
        hosts.set_overlays(77);
        hosts.set_start(262_143);
        assert_eq!((hosts.start(), hosts.overlays()), (262_143, 77));
        hosts.set_overlays(0);
        for mixed in [0, 1, 1 << 22, 0xdead_beef, u32::MAX] {
            let product = hosts.product(mixed);
            let (bucket, tag) = hosts.place(mixed);
            let spot = hosts.spot(product);
            assert_eq!((spot >> 32) as u32, 262_143 * UNITS_PER_PAGE + bucket);
            assert_eq!(
                (hosts.tag(spot), Hosts::apart(spot)),
                (tag, Hosts::apart(product))
            );
            let spot = Hosts::spot_on(5, product);
            assert_eq!(
                (spot >> 32) as u32,
                5 * UNITS_PER_PAGE + bucket % UNITS_PER_PAGE
            );
            assert_eq!(hosts.tag(spot), tag);
        }
    }

    #[test]
    fn tags_that_take_all_numbers_leave_none_for_empty_places() {
        assert_eq!(Hosts::with_buckets(1 << 17).no_tag(3), u32::MAX);
    }
}
