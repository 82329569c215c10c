//! Bits of addresses and words, taken apart.

/// Left-aligned bits, first and last, both included.
pub(super) type Range = (u128, u128);

/// All ones but for the first `len` bits (0 to 128).
#[inline]
pub(super) fn low_ones(len: u8) -> u128 {
    u128::MAX.checked_shr(u32::from(len)).unwrap_or(0)
}

/// The two halves of 128 bits, upper first.
#[inline]
pub(super) fn words_of(bits: u128) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bits.to_be_bytes();
    [
        u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        u64::from_be_bytes(rest),
    ]
}

/// The two 32-bit halves of a word, lower first.
#[inline]
pub(super) fn halves(word: u64) -> [u32; 2] {
    let [a, b, c, d, rest @ ..] = word.to_le_bytes();
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(rest)]
}
