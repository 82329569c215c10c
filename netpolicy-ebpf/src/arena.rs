//! The flat engine in the kernel: its steps on the pages of a slot's arena.

use netpolicy_common::{
    MAX_SCOPES, ScopeId,
    flat::{Code, FINAL},
};
use netpolicy_ebpf::flat::{
    Page, Steps, look_up, node_step, record_step, table_page, table_step, unit_page,
};

use crate::maps;

/// What lies past the arena's end says nothing; userspace writes no such slot.
const NOTHING: u32 = FINAL;

/// What the flat engine says of an address, left aligned in two words.
#[inline(always)]
pub(crate) fn listed(slot: u32, scope: ScopeId, is_v6: bool, high: u64, low: u64) -> Code {
    let family = u32::from(is_v6) * MAX_SCOPES;
    Code::from_bits(flat_listed(slot, u32::from(scope) | family, high, low))
}

/// The arena of a slot.
struct Arena(u32);

impl Steps for Arena {
    #[inline(always)]
    fn table(&self, start: u32, index: u32) -> u32 {
        flat_table(self.0, start, index)
    }

    #[inline(always)]
    fn node(&self, unit: u32, byte: u32) -> u32 {
        flat_node(self.0, unit, byte)
    }

    #[inline(always)]
    fn record(&self, unit: u32, high: u64, low: u64) -> u64 {
        flat_record(self.0, unit, high, low)
    }
}

#[inline(always)]
fn page(slot: u32, number: u32) -> Option<&'static Page> {
    maps::ARENA.get(slot)?.get(number)
}

// Global functions, which the verifier walks once, whatever calls them
// (Documentation/bpf: BTF_FUNC_GLOBAL); they take and return only numbers.

/// `which` is a scope's number, with one bit more for IPv6.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flat_listed(slot: u32, which: u32, high: u64, low: u64) -> u32 {
    let Some(config) = maps::SCOPES.get(slot * MAX_SCOPES + (which & (MAX_SCOPES - 1))) else {
        return Code::Neither as u32;
    };
    let root = if which & MAX_SCOPES != 0 {
        config.root_v6
    } else {
        config.root_v4
    };
    look_up(&Arena(slot), root, high, low) as u32
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flat_table(slot: u32, start: u32, index: u32) -> u32 {
    page(slot, table_page(start, index)).map_or(NOTHING, |page| table_step(page, index))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flat_node(slot: u32, unit: u32, byte: u32) -> u32 {
    page(slot, unit_page(unit)).map_or(NOTHING, |page| node_step(page, unit, byte))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flat_record(slot: u32, unit: u32, high: u64, low: u64) -> u64 {
    page(slot, unit_page(unit)).map_or(NOTHING.into(), |page| record_step(page, unit, high, low))
}
