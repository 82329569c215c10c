//! The flat engine in the kernel: a source in it, and the look-up's steps on the pages of the
//! arena. The look-up itself is in `netpolicy-flat`.

use core::hint::cold_path;

use aya_ebpf::helpers::bpf_map_lookup_elem;
use netpolicy_common::{Listing, Overrides, ScopeConfig, ScopeId};
use netpolicy_ebpf::{SourceLists, plain_port_v4, plain_port_v6, plain_source_v4, plain_source_v6};
use netpolicy_flat::{
    layout::{
        CHUNK_PAGES, FINAL, Hosts, PAGE_WORDS, Page, Presence, Root, Roots, UNITS_PER_PAGE, Unit,
        final_code, kind,
    },
    lookup::{self, Pages, Steps, descend, enter},
};

use crate::{
    apart::{listed_v4, listed_v6, scope_and},
    banned::{is_banned_v4, is_banned_v6},
    frame::Frame,
    maps::{self, ChunkWords},
    outcome::cpu_head,
};

/// A source in the flat engine, asked in two steps.
pub(crate) trait FlatSource: SourceLists + Sized {
    /// The source of a plain frame of the family.
    fn again(frame: &Frame) -> Option<Self>;

    /// The port of a plain frame of the family.
    fn port(frame: &Frame) -> Option<u16>;

    /// Where a scope's lists of the family are.
    fn root(config: &ScopeConfig) -> &Root;

    /// Whether it may be on a list, by a presence bitmap.
    fn may_be_listed(&self, presence: Presence) -> bool;

    /// Whether it is among hosts.
    fn is_host(&self, hosts: &Hosts) -> bool;

    /// What the lists say of it if it is not: [`SourceLists::listed`].
    fn otherwise(&self, config: &ScopeConfig, only: impl Fn() -> bool) -> Listing;

    /// Whether it lies in a network that a scope's lists block.
    fn is_in_blocked_network(&self, config: &ScopeConfig) -> bool;

    /// 1 for IPv6, else 0.
    const IS_V6: u64;

    /// Whether a ban of the host or of this scope is in force.
    fn is_banned(&self, overrides: Overrides, scope: ScopeId) -> bool;

    /// As [`SourceLists::listed`], of the lists that a scope has in a slot. A call, in place of
    /// the look-up's instructions where very few packets come.
    fn listed_apart(&self, slot: u32, scope: ScopeId, only: bool) -> Listing;
}

/// An IPv4 address in the flat engine.
pub(crate) struct FlatV4(pub(crate) u32);

impl From<[u8; 4]> for FlatV4 {
    #[inline(always)]
    fn from(address: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(address))
    }
}

impl SourceLists for FlatV4 {
    #[inline(always)]
    fn listed(&self, config: &ScopeConfig, _: ScopeId, only: impl Fn() -> bool) -> Listing {
        match first(self, config) {
            First::Blocked => Listing::Blocked,
            First::Absent => Listing::Neither,
            First::Unknown => self.otherwise(config, only),
        }
    }
}

impl FlatSource for FlatV4 {
    #[inline(always)]
    fn again(frame: &Frame) -> Option<Self> {
        plain_source_v4(frame).map(Self)
    }

    #[inline(always)]
    fn port(frame: &Frame) -> Option<u16> {
        plain_port_v4(frame)
    }

    #[inline(always)]
    fn root(config: &ScopeConfig) -> &Root {
        &Roots::of(&config.engine).v4
    }

    #[inline(always)]
    fn may_be_listed(&self, presence: Presence) -> bool {
        lookup::may_be_listed_v4(&Arena, presence, self.0)
    }

    #[inline(always)]
    fn is_host(&self, hosts: &Hosts) -> bool {
        is_host_v4(hosts, self.0)
    }

    #[inline(always)]
    fn otherwise(&self, config: &ScopeConfig, only: impl Fn() -> bool) -> Listing {
        let root = &Roots::of(&config.engine).v4;
        if only() && is_host_v4(&root.allow, self.0) {
            Listing::Allowed
        } else {
            noted(root.presence, in_trie_v4(root, self.0))
        }
    }

    #[inline(always)]
    fn is_in_blocked_network(&self, config: &ScopeConfig) -> bool {
        let root = &Roots::of(&config.engine).v4;
        matches!(in_trie_v4(root, self.0), Listing::Blocked)
    }

    const IS_V6: u64 = 0;

    #[inline(always)]
    fn is_banned(&self, overrides: Overrides, scope: ScopeId) -> bool {
        is_banned_v4(overrides.0, u64::from(scope), u64::from(self.0)) != 0
    }

    #[inline(always)]
    fn listed_apart(&self, slot: u32, scope: ScopeId, only: bool) -> Listing {
        Listing::from_bits(listed_v4(slot, scope_and(scope, only), self.0))
    }
}

/// An IPv6 address in the flat engine, by its halves.
pub(crate) struct FlatV6 {
    pub(crate) high: u64,
    pub(crate) low: u64,
}

impl From<[u8; 16]> for FlatV6 {
    #[inline(always)]
    fn from(address: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, low @ ..] = address;
        Self {
            high: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            low: u64::from_be_bytes(low),
        }
    }
}

impl SourceLists for FlatV6 {
    #[inline(always)]
    fn listed(&self, config: &ScopeConfig, _: ScopeId, only: impl Fn() -> bool) -> Listing {
        match first(self, config) {
            First::Blocked => Listing::Blocked,
            First::Absent => Listing::Neither,
            First::Unknown => self.otherwise(config, only),
        }
    }
}

impl FlatSource for FlatV6 {
    #[inline(always)]
    fn again(frame: &Frame) -> Option<Self> {
        plain_source_v6(frame).map(|(high, low)| Self { high, low })
    }

    #[inline(always)]
    fn port(frame: &Frame) -> Option<u16> {
        plain_port_v6(frame)
    }

    #[inline(always)]
    fn root(config: &ScopeConfig) -> &Root {
        &Roots::of(&config.engine).v6
    }

    #[inline(always)]
    fn may_be_listed(&self, presence: Presence) -> bool {
        lookup::may_be_listed_v6(&Arena, presence, self.high)
    }

    #[inline(always)]
    fn is_host(&self, hosts: &Hosts) -> bool {
        is_host_v6(hosts, self.high, self.low)
    }

    #[inline(always)]
    fn otherwise(&self, config: &ScopeConfig, only: impl Fn() -> bool) -> Listing {
        let root = &Roots::of(&config.engine).v6;
        if only() && is_host_v6(&root.allow, self.high, self.low) {
            Listing::Allowed
        } else {
            noted(root.presence, in_trie_v6(root, self.high, self.low))
        }
    }

    #[inline(always)]
    fn is_in_blocked_network(&self, config: &ScopeConfig) -> bool {
        let root = &Roots::of(&config.engine).v6;
        matches!(in_trie_v6(root, self.high, self.low), Listing::Blocked)
    }

    const IS_V6: u64 = 1;

    #[inline(always)]
    fn is_banned(&self, overrides: Overrides, scope: ScopeId) -> bool {
        is_banned_v6(overrides.0, u64::from(scope), self.high, self.low) != 0
    }

    #[inline(always)]
    fn listed_apart(&self, slot: u32, scope: ScopeId, only: bool) -> Listing {
        let asked = scope_and(scope, only);
        Listing::from_bits(listed_v6(slot, asked, self.high, self.low))
    }
}

/// What is known of a source without the trie. Whether it may be listed at all is asked before
/// the hosts, if the last source was on no list: where most are, that would be one more line to
/// wait for; where most are not, the hosts' line would be.
///
/// No closures are handed over: what is called twice would be a function, and its return takes
/// some 20 cycles.
#[inline(always)]
pub(crate) fn first<S: FlatSource>(source: &S, config: &ScopeConfig) -> First {
    let root = S::root(config);
    if root.presence.is_some() && was_absent() {
        cold_path();
        if !source.may_be_listed(root.presence) {
            return First::Absent;
        }
        if !source.is_host(&root.block) {
            return First::Unknown;
        }
        note_absence(0);
        return First::Blocked;
    }
    if source.is_host(&root.block) {
        First::Blocked
    } else {
        First::Unknown
    }
}

/// What the trie says, which decides what is asked first of the next source.
#[inline(always)]
fn noted(presence: Presence, listing: Listing) -> Listing {
    if presence.is_some() && matches!(listing, Listing::Neither) && !was_absent() {
        cold_path();
        note_absence(1);
    }
    listing
}

/// What is known of a source without the trie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// A host on the block list.
    Blocked,
    /// On no list.
    Absent,
    /// Neither is known.
    Unknown,
}

/// Of this CPU.
#[inline(always)]
fn was_absent() -> bool {
    // SAFETY: this CPU's own element.
    unsafe { (*cpu_head()).was_absent != 0 }
}

/// See [`was_absent`].
#[inline(always)]
fn note_absence(was_absent: u64) {
    // SAFETY: this CPU's own element; if another program of this CPU writes it too, it only
    // decides what is asked first.
    unsafe { (*cpu_head()).was_absent = was_absent };
}

/// Whether an IPv4 address is among hosts.
#[inline(always)]
fn is_host_v4(hosts: &Hosts, address: u32) -> bool {
    hosts.buckets != 0 && lookup::is_host_v4(&Arena, hosts, address)
}

/// Whether an IPv6 address, in two words, is among hosts.
#[inline(always)]
fn is_host_v6(hosts: &Hosts, high: u64, low: u64) -> bool {
    hosts.buckets != 0 && lookup::is_host_v6(&Arena, hosts, high, low)
}

/// What the trie says of an IPv4 address.
#[inline(always)]
fn in_trie_v4(root: &Root, address: u32) -> Listing {
    in_trie(root, u64::from(address) << 32, 0)
}

/// What the trie says of an IPv6 address in two words.
#[inline(always)]
fn in_trie_v6(root: &Root, high: u64, low: u64) -> Listing {
    in_trie(root, high, low)
}

#[inline(always)]
fn in_trie(root: &Root, high: u64, low: u64) -> Listing {
    // The first slot says it all of most sources: those go without a call.
    let (slot, high, low) = enter(&Arena, root, high, low);
    if kind(slot) == FINAL {
        return final_code(slot, (high >> 48) as u16);
    }
    Listing::from_bits(flat_trie(slot, high, low))
}

struct Arena;

impl Pages for Arena {
    #[inline(always)]
    fn page(&self, number: u32) -> Option<&Page> {
        let words = chunk(number / CHUNK_PAGES)?;
        Some(&words.as_chunks().0[(number % CHUNK_PAGES) as usize])
    }

    #[inline(always)]
    fn unit(&self, spot: u64) -> Option<&Unit> {
        let chunk = chunk_of(spot)?;
        // SAFETY: a multiple of a unit's size that is less than a chunk's, by its mask; the
        // verifier sees to it again.
        unsafe { Some(&*chunk.add(offset_of(spot)).cast()) }
    }

    #[inline(always)]
    fn word(&self, number: u32) -> Option<u64> {
        const WORDS: u32 = CHUNK_PAGES * PAGE_WORDS as u32;
        Some(chunk(number / WORDS)?[(number % WORDS) as usize])
    }

    #[inline(always)]
    fn two_units(&self, spot: u64) -> Option<(&Unit, &Unit)> {
        let chunk = chunk_of(spot)?;
        let at = offset_of(spot);
        let apart = (Hosts::apart(spot) << UNIT_SHIFT) as usize;
        let other = within_chunk((at ^ apart) as u64);
        // SAFETY: as above.
        unsafe { Some((&*chunk.add(at).cast(), &*chunk.add(other).cast())) }
    }
}

/// The chunk that holds a unit.
#[inline(always)]
fn chunk_of(spot: u64) -> Option<*const u8> {
    Some(core::ptr::from_ref(chunk((spot >> 32) as u32 / CHUNK_UNITS)?).cast())
}

/// A unit's offset in its chunk, in bytes: so a shift and a mask make it.
#[inline(always)]
const fn offset_of(spot: u64) -> usize {
    (spot >> (32 - UNIT_SHIFT)) as usize & UNITS_MASK
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

/// The chunk of this number.
#[inline(always)]
fn chunk<'a>(number: u32) -> Option<&'a ChunkWords> {
    /// The index of a chunk's one element, where it need not be written first: on the stack,
    /// that takes three instructions more.
    static FIRST: u32 = 0;

    let map = core::ptr::from_ref(maps::ARENA.get(number)?);
    // SAFETY: both are what the helper takes, a map and a key; the map's values are of this
    // type, and live as long as the program.
    unsafe {
        let value = bpf_map_lookup_elem(map.cast_mut().cast(), (&raw const FIRST).cast());
        value.cast::<ChunkWords>().as_ref()
    }
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
