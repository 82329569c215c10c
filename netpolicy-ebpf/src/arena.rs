//! The flat engine in the kernel: its steps on the pages of the arena.

use netpolicy_common::flat::{
    CHUNK_PAGES, Code, FINAL, Hosts, Root, UNITS_PER_PAGE, final_code, is_table, kind, table_start,
};
use netpolicy_ebpf::flat::{
    Page, Pages, Steps, Unit, descend, enter, is_host_v4, is_host_v6, table_page,
};

use crate::maps;

/// Tables of hosts from so many buckets on (2 MiB; by [`Hosts::shift`]) are more than most
/// second-level caches hold.
const FAR: u32 = 16;

/// What the flat engine says of an IPv4 address. Where `only` says no, nobody asks
/// for the allow list.
#[inline(always)]
pub(crate) fn listed_v4(root: &Root, only: impl Fn() -> bool, address: u32) -> Code {
    let is_host = |hosts: &Hosts| hosts.buckets != 0 && is_host_v4(&Arena, hosts, address);
    if root.block.shift >= FAR {
        look_ahead(root, address);
    }
    if is_host(&root.block) {
        Code::Blocked
    } else if only() && is_host(&root.allow) {
        Code::Allowed
    } else {
        in_trie(root, u64::from(address) << 32, 0)
    }
}

/// As [`listed_v4`] for an IPv6 address in two words.
#[inline(always)]
pub(crate) fn listed_v6(root: &Root, only: impl Fn() -> bool, high: u64, low: u64) -> Code {
    let is_host = |hosts: &Hosts| hosts.buckets != 0 && is_host_v6(&Arena, hosts, high, low);
    if is_host(&root.block) {
        Code::Blocked
    } else if only() && is_host(&root.allow) {
        Code::Allowed
    } else {
        in_trie(root, high, low)
    }
}

/// Has the trie's first slot loaded while the line of hosts is on its way: for most sources
/// of a flood that line says it all, so the processor does not go on to the trie before it
/// is there, and a network would wait for one after the other.
#[inline(always)]
fn look_ahead(root: &Root, address: u32) {
    let index = address >> 16;
    if is_table(root.start)
        && let Some(page) = Arena.page(table_page(table_start(root.start), index))
    {
        // SAFETY: an element of a page; volatile, since nobody asks what it holds.
        unsafe { core::ptr::read_volatile(&raw const page[(index & 1023) as usize / 2]) };
    }
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
    fn two_units(&self, number: u32, apart: u32) -> Option<(&Unit, &Unit)> {
        let units = units(number)?;
        let at = number % CHUNK_UNITS;
        Some((
            &units[at as usize],
            &units[((at ^ apart) % CHUNK_UNITS) as usize],
        ))
    }
}

/// Units of a chunk.
const CHUNK_UNITS: u32 = CHUNK_PAGES * UNITS_PER_PAGE;

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
