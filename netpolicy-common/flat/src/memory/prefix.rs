//! What the trie is built of.

use netpolicy_common::Listing;

/// A prefix and what it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListedPrefix {
    /// Left aligned: an IPv4 address in the upper 32 bits.
    pub(super) bits: u128,
    /// Bits that count: 0 to 32 or 128.
    pub(super) len: u8,
    /// Never [`Listing::Neither`].
    pub(super) code: Listing,
}
