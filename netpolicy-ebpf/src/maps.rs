//! The program's maps. Every one is pinned by its name here.

use core::{cell::UnsafeCell, mem::MaybeUninit};

use aya_ebpf::{
    btf_maps::{Array, ArrayOfMaps, HashMap, LpmTrie, RingBuf},
    macros::btf_map,
};
use netpolicy_common::answer::ANSWERING_INTERFACES;
use netpolicy_common::{
    Answering, BAN_SLOTS, BanScopes, Build, CpuState, Engine, Event, Governance, Head, KeyV4,
    KeyV6, LIST_SLOTS, SLOTS, SlotInfo,
};
use netpolicy_ebpf::Layer;
use netpolicy_flat::layout::{CHUNK_PAGES, MAX_CHUNKS, PAGE_WORDS};

/// `BPF_F_MMAPABLE`: userspace stores to the map as to memory.
const MMAPABLE: usize = 1 << 10;

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

/// Whether this is the program that is asked and not one at an interface: set by the loader,
/// constant to the verifier, so that packets' program holds nothing of it.
#[unsafe(no_mangle)]
static PROBE: u32 = 0;

/// See [`PROBE`].
#[inline(always)]
pub(crate) fn is_probe() -> bool {
    // SAFETY: a static; volatile, since the loader writes what the compiler cannot see.
    unsafe { core::ptr::read_volatile(&raw const PROBE) != 0 }
}

/// Whether frames have no Ethernet header: set by the loader, constant to the verifier.
#[unsafe(no_mangle)]
static BARE_IP: u32 = 0;

/// What frames begin with.
#[inline(always)]
pub(crate) fn layer() -> Layer {
    // SAFETY: a static; volatile, since the loader writes what the compiler cannot see.
    if unsafe { core::ptr::read_volatile(&raw const BARE_IP) } == 0 {
        Layer::Ethernet
    } else {
        Layer::Ip
    }
}

/// Never read here: it tells userspace who made the pins.
#[btf_map]
pub(crate) static BUILD: Array<Build, 1> = Array::new();

/// The generation in force, and what goes with it. Not declared as a map but as a variable, in
/// a section of its own (to the loader a map named `.bss.CONTROL`): so its address is a
/// constant, and the program needs no look-up. The map is made and pinned before the program
/// is loaded: one that the loader made could not be memory-mapped.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".bss.CONTROL")]
static CONTROL: Shared<Head> = Shared(UnsafeCell::new(MaybeUninit::zeroed()));

/// See [`CONTROL`].
#[inline(always)]
pub(crate) fn head() -> *mut Head {
    CONTROL.0.get().cast()
}

/// What userspace and programs on all CPUs share.
#[repr(transparent)]
struct Shared<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: only its address is taken here; who reads and writes there says what makes it sound.
unsafe impl<T> Sync for Shared<T> {}

/// Never read here: it tells userspace what each slot holds.
#[btf_map]
pub(crate) static SLOT_INFO: Array<SlotInfo, { SLOTS as usize }> = Array::new();

/// Ports and scopes, by slot.
#[btf_map]
pub(crate) static GOVERNANCE: Array<Governance, { SLOTS as usize }, MMAPABLE> = Array::new();

/// Block lists of all scopes, by slot.
#[btf_map]
pub(crate) static BLOCK_V4: ArrayOfMaps<TrieV4, { LIST_SLOTS as usize }> = ArrayOfMaps::new();

/// Block lists of all scopes, by slot.
#[btf_map]
pub(crate) static BLOCK_V6: ArrayOfMaps<TrieV6, { LIST_SLOTS as usize }> = ArrayOfMaps::new();

/// Allow lists of all scopes, by slot.
#[btf_map]
pub(crate) static ALLOW_V4: ArrayOfMaps<TrieV4, { LIST_SLOTS as usize }> = ArrayOfMaps::new();

/// Allow lists of all scopes, by slot.
#[btf_map]
pub(crate) static ALLOW_V6: ArrayOfMaps<TrieV6, { LIST_SLOTS as usize }> = ArrayOfMaps::new();

/// Pages of the flat engine's memory, to which userspace stores as to memory. All
/// chunks have one size, so that the kernel can look them up without a call
/// (`array_map_gen_lookup`, refused under `BPF_F_INNER_MAP`). One element, and not one for
/// each page: so the look-up does not wait for the page's number, which would have to be
/// written to memory and read again.
type Chunk = Array<ChunkWords, 1, MMAPABLE>;

/// A chunk's words.
pub(crate) type ChunkWords = [u64; CHUNK_PAGES as usize * PAGE_WORDS];

/// The flat engine's memory.
#[btf_map]
pub(crate) static ARENA: ArrayOfMaps<Chunk, { MAX_CHUNKS as usize }> = ArrayOfMaps::new();

/// Boot time in nanoseconds at which a bypass expires, host order; in bytes because
/// a trie's values are only aligned like its keys.
#[btf_map]
pub(crate) static BYPASS_V4: LpmTrie<KeyV4, [u8; 8], BYPASSES> = LpmTrie::new();

/// As `BYPASS_V4`.
#[btf_map]
pub(crate) static BYPASS_V6: LpmTrie<KeyV6, [u8; 8], BYPASSES> = LpmTrie::new();

/// Where the flat engine has the bans of single services, by slot.
#[btf_map]
pub(crate) static BANS: Array<BanScopes, { BAN_SLOTS as usize }, MMAPABLE> = Array::new();

/// The LPM engine's bans, of all scopes. Entries come and go while it is in force.
#[btf_map]
pub(crate) static BAN_V4: LpmTrie<KeyV4, u8, TRIE_ENTRIES> = LpmTrie::new();

/// As `BAN_V4`.
#[btf_map]
pub(crate) static BAN_V6: LpmTrie<KeyV6, u8, TRIE_ENTRIES> = LpmTrie::new();

/// Counters of each CPU: an array, whose elements are found with fewer loads than those of
/// a per-CPU array. The loader sets the number of CPUs.
#[btf_map]
pub(crate) static CPUS: Array<CpuState, 1, MMAPABLE> = Array::new();

/// Judged attempts, for the event stream and the memory of sources. Read by polling.
#[btf_map]
pub(crate) static EVENTS: RingBuf<Event, EVENT_BYTES> = RingBuf::new();

/// Interfaces at which denied attempts can be answered, by index.
#[btf_map]
pub(crate) static ANSWERING: HashMap<u32, Answering, ANSWERING_INTERFACES> = HashMap::new();
