//! A frame as the kernel gives it: what a program may read, and no more.

use netpolicy_ebpf::Bytes;

/// The frame's linear part: `[start, end)` in memory.
pub(crate) struct Frame {
    start: usize,
    end: usize,
}

/// Offsets beyond this are not read: the verifier wants a bound, and no chain of
/// headers that the parser walks reaches it.
const MAX_OFFSET: usize = 0x4fff;

impl Frame {
    /// `start` and `end` are those of the context that the kernel gave.
    #[inline(always)]
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }
}

impl Bytes for Frame {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        if offset > MAX_OFFSET {
            return None;
        }
        let at = self.start + offset;
        if at + N > self.end {
            return None;
        }
        // SAFETY: a packet is not at address 0: told to the compiler, which else would ask.
        unsafe { core::hint::assert_unchecked(at != 0) };
        // SAFETY: `start..end` is the packet that the kernel gave us, and the `N`
        // bytes at `at` end within it (checked above, and again by the verifier).
        // Byte arrays need no alignment, and nothing writes to a packet meanwhile.
        Some(unsafe { &*(at as *const [u8; N]) })
    }
}
