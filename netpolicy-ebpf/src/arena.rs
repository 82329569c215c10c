//! The flat engine in the kernel: its steps on the pages of the arena.

use netpolicy_common::flat::{
    CHUNK_PAGES, Code, FINAL, Hosts, Root, UNITS_PER_PAGE, final_code, kind,
};
use netpolicy_ebpf::flat::{self, Page, Pages, Steps, Unit, descend, enter};

use crate::maps;

/// Whether an IPv4 address is among hosts.
#[inline(always)]
pub(crate) fn is_host_v4(hosts: &Hosts, address: u32) -> bool {
    hosts.buckets != 0 && flat::is_host_v4(&Arena, hosts, address)
}

/// Whether an IPv6 address, in two words, is among hosts.
#[inline(always)]
pub(crate) fn is_host_v6(hosts: &Hosts, high: u64, low: u64) -> bool {
    hosts.buckets != 0 && flat::is_host_v6(&Arena, hosts, high, low)
}

/// What the trie says of an IPv4 address.
#[inline(always)]
pub(crate) fn in_trie_v4(root: &Root, address: u32) -> Code {
    in_trie(root, u64::from(address) << 32, 0)
}

/// What the trie says of an IPv6 address in two words.
#[inline(always)]
pub(crate) fn in_trie_v6(root: &Root, high: u64, low: u64) -> Code {
    in_trie(root, high, low)
}

#[inline(always)]
fn in_trie(root: &Root, high: u64, low: u64) -> Code {
    // The first slot says it all of most sources: those go without a call.
    let (slot, high, low) = enter(&Arena, root, high, low);
    if kind(slot) == FINAL {
        return final_code(slot, (high >> 48) as u16);
    }
    Code::from_bits(flat_trie(slot, high, low))
}

struct Arena;

impl Pages for Arena {
    #[inline(always)]
    fn page(&self, number: u32) -> Option<&Page> {
        let chunk = maps::ARENA.get(number / CHUNK_PAGES)?.get(0)?;
        Some(&chunk.as_chunks().0[(number % CHUNK_PAGES) as usize])
    }

    #[inline(always)]
    fn unit(&self, number: u32) -> Option<&Unit> {
        Some(&units(number)?[(number % CHUNK_UNITS) as usize])
    }

    #[inline(always)]
    fn two_units(&self, spot: u64) -> Option<(&Unit, &Unit)> {
        let chunk = units((spot >> 32) as u32)?.as_ptr().cast::<u8>();
        // In bytes: so a shift and a mask make an offset of each.
        let at = (spot >> (32 - UNIT_SHIFT)) as usize & UNITS_MASK;
        let apart = (Hosts::apart(spot) << UNIT_SHIFT) as usize;
        let other = within_chunk((at ^ apart) as u64);
        // SAFETY: multiples of a unit's size that are less than a chunk's, by their masks; the
        // verifier sees to it again.
        unsafe { Some((&*chunk.add(at).cast(), &*chunk.add(other).cast())) }
    }
}

/// An offset of a unit in its chunk, in bytes.
///
/// In an instruction that the compiler does not see through: it may know that the number is
/// small enough and leave the mask out, but of an exclusive "or" the verifier of Linux before
/// 6.5 knows nothing.
#[inline(always)]
fn within_chunk(offset: u64) -> usize {
    let mut offset = offset;
    // SAFETY: changes nothing but its operand.
    unsafe {
        core::arch::asm!(
            "{0} &= {1}",
            inout(reg) offset,
            const UNITS_MASK,
            options(pure, nomem, nostack)
        );
    }
    offset as usize
}

/// Units of a chunk.
const CHUNK_UNITS: u32 = CHUNK_PAGES * UNITS_PER_PAGE;

/// The base-2 logarithm of a unit's size in bytes.
const UNIT_SHIFT: u32 = size_of::<Unit>().ilog2();

/// What an offset of a unit in its chunk, in bytes, is made of.
const UNITS_MASK: usize = (CHUNK_UNITS as usize - 1) << UNIT_SHIFT;

/// The units of the chunk that holds the one with this number: found by themselves, since
/// finding the page first takes more instructions.
#[inline(always)]
fn units<'a>(number: u32) -> Option<&'a [Unit]> {
    Some(maps::ARENA.get(number / CHUNK_UNITS)?.get(0)?.as_chunks().0)
}

impl Steps for Arena {}

// A global function, which the verifier walks once, whatever calls it (Documentation/bpf:
// BTF_FUNC_GLOBAL); it takes and returns only numbers. Its steps are no functions of their
// own: where the kernel makes returns safe (SRSO), each costs some 20 cycles.

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flat_trie(slot: u32, high: u64, low: u64) -> u32 {
    descend(&Arena, slot, high, low) as u32
}
