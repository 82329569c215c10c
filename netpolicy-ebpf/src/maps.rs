//! The program's maps. Every one is pinned by its name here.

use aya_ebpf::{
    btf_maps::{Array, ArrayOfMaps, LpmTrie, PerCpuArray, RingBuf},
    macros::btf_map,
};
use netpolicy_common::{
    Build, Control, Engine, Event, EventStats, KeyV4, KeyV6, MAX_SCOPES, PortTable, Reason, SLOTS,
    ScopeConfig, SlotInfo, flat::PAGE_WORDS,
};

/// `BPF_F_MMAPABLE`: userspace stores to the map as to memory.
const MMAPABLE: usize = 1 << 10;

/// `BPF_F_INNER_MAP`: an inner map may have another number of elements.
const INNER_MAP: usize = 1 << 12;

/// Largest number of prefixes in a list and family; tries allocate as they grow.
pub(crate) const TRIE_ENTRIES: usize = 1 << 26;

/// Bypasses of each family.
const BYPASSES: usize = 4096;

/// Bytes of events that wait for a reader.
const EVENT_BYTES: usize = 1 << 20;

type TrieV4 = LpmTrie<KeyV4, u8, TRIE_ENTRIES>;
type TrieV6 = LpmTrie<KeyV6, u8, TRIE_ENTRIES>;

/// The engine, an [`Engine`](netpolicy_common::Engine): set by the loader, constant to
/// the verifier, which leaves the other engine's code out.
#[unsafe(no_mangle)]
static ENGINE: u32 = 0;

/// Whether the flat engine was chosen.
#[inline(always)]
pub(crate) fn engine_is_flat() -> bool {
    // SAFETY: a static; volatile, since the loader writes what the compiler cannot see.
    unsafe { core::ptr::read_volatile(&raw const ENGINE) == Engine::Flat as u32 }
}

/// Never read here: it tells userspace who made the pins.
#[btf_map]
pub(crate) static BUILD: Array<Build, 1> = Array::new();

/// The generation in force.
#[btf_map]
pub(crate) static CONTROL: Array<Control, 1, MMAPABLE> = Array::new();

/// Never read here: it tells userspace what each slot holds.
#[btf_map]
pub(crate) static SLOT_INFO: Array<SlotInfo, { SLOTS as usize }> = Array::new();

/// Port to scope, by slot.
#[btf_map]
pub(crate) static PORTS: Array<PortTable, { SLOTS as usize }> = Array::new();

/// What governs a scope, by slot and scope.
#[btf_map]
pub(crate) static SCOPES: Array<ScopeConfig, { (SLOTS * MAX_SCOPES) as usize }> = Array::new();

/// Block lists of all scopes, by slot.
#[btf_map]
pub(crate) static BLOCK_V4: ArrayOfMaps<TrieV4, { SLOTS as usize }> = ArrayOfMaps::new();

/// Block lists of all scopes, by slot.
#[btf_map]
pub(crate) static BLOCK_V6: ArrayOfMaps<TrieV6, { SLOTS as usize }> = ArrayOfMaps::new();

/// Allow lists of all scopes, by slot.
#[btf_map]
pub(crate) static ALLOW_V4: ArrayOfMaps<TrieV4, { SLOTS as usize }> = ArrayOfMaps::new();

/// Allow lists of all scopes, by slot.
#[btf_map]
pub(crate) static ALLOW_V6: ArrayOfMaps<TrieV6, { SLOTS as usize }> = ArrayOfMaps::new();

/// A page of the flat engine's memory, as one element. Slots' arenas differ in size
/// (`BPF_F_INNER_MAP`), and userspace stores to them as to memory.
pub(crate) type Arena = Array<[u64; PAGE_WORDS], 1, { MMAPABLE | INNER_MAP }>;

/// The flat engine's memory, by slot.
#[btf_map]
pub(crate) static ARENA: ArrayOfMaps<Arena, { SLOTS as usize }> = ArrayOfMaps::new();

/// Boot time in nanoseconds at which a bypass lapses, host order; in bytes because
/// a trie's values are only aligned like its keys.
#[btf_map]
pub(crate) static BYPASS_V4: LpmTrie<KeyV4, [u8; 8], BYPASSES> = LpmTrie::new();

/// As `BYPASS_V4`.
#[btf_map]
pub(crate) static BYPASS_V6: LpmTrie<KeyV6, [u8; 8], BYPASSES> = LpmTrie::new();

/// Packets, by scope and reason.
#[btf_map]
pub(crate) static COUNTERS: PerCpuArray<u64, { (MAX_SCOPES * Reason::SLOTS) as usize }> =
    PerCpuArray::new();

/// Denied attempts, for people to read.
#[btf_map]
pub(crate) static EVENTS: RingBuf<Event, EVENT_BYTES> = RingBuf::new();

/// Events that this CPU may still write; userspace grants more as time passes. So
/// the program needs no clock on its way to a drop, and where nobody reads,
/// nothing is written.
#[btf_map]
pub(crate) static EVENT_ALLOWANCE: PerCpuArray<u64, 1> = PerCpuArray::new();

/// What became of events.
#[btf_map]
pub(crate) static EVENT_STATS: PerCpuArray<EventStats, 1> = PerCpuArray::new();
