//! A memory of the flat engine, built here and copied to the kernel: that of lists, or of bans.

use std::collections::VecDeque;

use netpolicy_common::ScopeId;
use netpolicy_flat::{
    layout::Roots,
    memory::{Memory, Retired, ScopeLists},
};

use super::{
    chunks::{Chunks, Region},
    grace::{Grace, Moment},
};
use crate::datapath::{DatapathError, maps::Maps};

/// See the module.
pub(in crate::datapath) struct KernelMemory {
    region: Region,
    memory: Memory,
    chunks: Chunks,
    /// First chunk of the memory in force.
    in_force: u32,
    /// Given back by changes that are not in force yet.
    pending: Retired,
    /// Given back by changes in force, and when they came.
    waiting: VecDeque<(Moment, Retired)>,
    /// The half that nothing in force uses, once nothing reads it: to be let go.
    left: Option<(Moment, u32)>,
    /// When each slot was given up.
    given_up: Vec<Moment>,
    grace: Grace,
}

impl KernelMemory {
    /// What is in force, and not known, is in the chunks from `first_chunk` on.
    pub(in crate::datapath) fn starting_at(
        maps: &Maps,
        region: Region,
        first_chunk: u32,
        slots: usize,
    ) -> Result<Self, DatapathError> {
        let grace = Grace::new(maps)?;
        // Programs may still run that began before this process did.
        let now = grace.moment();
        Ok(Self {
            region,
            memory: Memory::default(),
            chunks: Chunks::open(maps, region.chunks(first_chunk)),
            in_force: first_chunk,
            pending: Retired::default(),
            waiting: VecDeque::new(),
            left: None,
            given_up: vec![now; slots],
            grace,
        })
    }

    /// Waits until no program reads this slot any more, in which it may have begun before it
    /// was given up.
    pub(in crate::datapath) fn wait_for_readers(&self, slot: u32) -> Result<(), DatapathError> {
        match self.given_up.get(slot as usize) {
            Some(moment) => self.grace.wait(*moment),
            None => Ok(()),
        }
    }

    /// Makes the kernel hold these lists next to what is in force. `before`: what was filled
    /// last; `None`: that is not known, or the memory is to be rebuilt.
    pub(in crate::datapath) fn fill(
        &mut self,
        maps: &Maps,
        before: Option<&[ScopeLists<'_>]>,
        target: &[ScopeLists<'_>],
    ) -> Result<(), DatapathError> {
        self.reclaim(maps);
        match before {
            Some(before) => {
                self.memory.update(before, target);
                self.pending.extend(self.memory.take_retired());
            }
            None => self.rebuild(maps, target)?,
        }
        let arena = self.memory.arena();
        let (first, used) = (arena.first_chunk(), arena.chunk_count().max(1));
        let half = self.region.chunks(first);
        let end = first + used;
        let spare = end..(end + spare(used)).min(half.end);
        self.chunks.provide(maps, first..end, spare, &half)?;
        for number in self.memory.take_written() {
            self.chunks.write(number, self.memory.arena().page(number));
        }
        Ok(())
    }

    /// What was filled last is in force now, instead of what the slot `before` says.
    pub(in crate::datapath) fn committed(&mut self, before: u32) {
        let now = self.grace.moment();
        if let Some(given_up) = self.given_up.get_mut(before as usize) {
            *given_up = now;
        }
        let first = self.first_chunk();
        let retired = std::mem::take(&mut self.pending);
        if first == self.in_force {
            self.waiting.push_back((now, retired));
        } else {
            self.left = Some((now, self.in_force));
            self.waiting = VecDeque::from([(now, retired)]);
            self.in_force = first;
        }
    }

    /// Where a scope's lists begin, in what was filled last.
    pub(in crate::datapath) fn roots(&self, scope: ScopeId) -> Roots {
        self.memory.roots(scope)
    }

    /// The first chunk of what was filled last.
    pub(in crate::datapath) fn first_chunk(&self) -> u32 {
        self.memory.arena().first_chunk()
    }

    /// The chunks, to be read.
    pub(in crate::datapath) fn chunks(&self) -> &Chunks {
        &self.chunks
    }

    /// Frees what no program reads any more.
    pub(in crate::datapath) fn reclaim(&mut self, maps: &Maps) {
        while let Some((moment, _)) = self.waiting.front()
            && self.grace.is_over(*moment)
            && let Some((_, retired)) = self.waiting.pop_front()
        {
            self.memory.reclaim(retired);
        }
        if let Some((moment, first)) = self.left
            && self.grace.is_over(moment)
        {
            self.chunks.release(maps, self.region.chunks(first));
            self.left = None;
        }
    }

    fn rebuild(&mut self, maps: &Maps, target: &[ScopeLists<'_>]) -> Result<(), DatapathError> {
        let first = self.region.other_half(self.in_force);
        if let Some((moment, _)) = self.left {
            self.grace.wait(moment)?;
            self.reclaim(maps);
        }
        // Whatever is there belongs to a change that never came into force, of this
        // process or another: new chunks take its place.
        self.chunks.forget(self.region.chunks(first));
        self.pending = Retired::default();
        self.waiting.clear();
        self.memory = Memory::new(target, first);
        Ok(())
    }
}

/// Spare chunks for so many in use. Whenever some are provided the kernel waits for
/// running programs, for tens of milliseconds, and the small changes that follow a large
/// one need a little more memory.
fn spare(used: u32) -> u32 {
    1 + used / 16
}
