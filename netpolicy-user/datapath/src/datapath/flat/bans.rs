//! Bans in the flat engine: a memory of their own in the arena, in the structures of lists.

use std::sync::{Arc, LazyLock};

use netpolicy_common::{
    BAN_SLOTS, BanHead, EngineWords, HOST_SCOPE, Overrides, ScopeConfig, ScopeId, ScopeSet,
    ban_slot_of,
};
use netpolicy_flat::{
    layout::Roots,
    memory::{self, ScopeLists},
};

use super::{KernelMemory, Region, SHRINK};
use crate::{
    compiler::{Extent, PrefixSet},
    datapath::{BanLists, DatapathError, bans::next_set, maps::Maps},
};

/// See the module.
pub(in crate::datapath) struct FlatBans {
    kernel: KernelMemory,
    /// What the memory holds; `None`: it is to be rebuilt.
    held: Option<Arc<BanLists>>,
    /// Whether what was prepared last is what is in force: no ban.
    stays_empty: bool,
}

impl FlatBans {
    /// What is in force is not known.
    pub(in crate::datapath) fn adopted(maps: &Maps) -> Result<Self, DatapathError> {
        let overrides = maps.control.overrides();
        let first_chunk = match overrides.ban_set() {
            0 => Region::BANS.second(),
            set => Region::BANS.half_of(maps.control.ban_head(ban_slot_of(set)).engine),
        };
        let slots = BAN_SLOTS as usize;
        Ok(Self {
            kernel: KernelMemory::starting_at(maps, Region::BANS, first_chunk, slots)?,
            held: None,
            stays_empty: false,
        })
    }

    pub(in crate::datapath) fn forget(&mut self) {
        self.held = None;
    }

    /// About 0.1 µs for each ban if many differ, else in proportion to those that do.
    pub(in crate::datapath) fn prepare(
        &mut self,
        maps: &mut Maps,
        target: &Arc<BanLists>,
    ) -> Result<(), DatapathError> {
        let overrides = maps.control.overrides();
        // Most hosts have none: no memory is taken for that.
        self.stays_empty = target.is_empty() && self.held.is_none() && overrides.ban_set() == 0;
        if self.stays_empty {
            return Ok(());
        }
        let slot = ban_slot_of(next_set(overrides));
        self.kernel.wait_for_readers(slot)?;
        let held = self.held.take();
        let held = held.filter(|held| target.entries() >= held.entries() / SHRINK);
        let before = held.as_deref().map(lists);
        self.kernel
            .fill(maps, before.as_deref(), &lists(target))
            .map_err(|error| match error {
                DatapathError::TooLarge => DatapathError::TooManyBans,
                other => other,
            })?;
        self.held = Some(Arc::clone(target));
        let config = |scope| ScopeConfig {
            engine: EngineWords::from(self.kernel.roots(scope)),
            ..ScopeConfig::default()
        };
        let mut services = ScopeSet::default();
        let mut listed = target
            .scopes()
            .filter(|(id, _)| *id != HOST_SCOPE)
            .peekable();
        if listed.peek().is_some()
            && let Some(bans) = maps.bans.get_mut(slot as usize)
        {
            bans.0.fill(ScopeConfig::default());
            for (id, _) in listed {
                if let Some(place) = bans.0.get_mut(usize::from(id)) {
                    *place = config(id);
                    services.insert(id);
                }
            }
        }
        let head = BanHead {
            host: config(HOST_SCOPE),
            services,
            engine: self.kernel.first_chunk().into(),
            reserved: [0; 11],
        };
        maps.control.set_ban_head(slot, head);
        Ok(())
    }

    /// One store puts the set in force.
    pub(in crate::datapath) fn commit(&mut self, maps: &Maps) {
        if self.stays_empty {
            return;
        }
        let before = maps.control.overrides();
        let set = match &self.held {
            // The next one is to be another slot than the one that was given up last.
            Some(held) if held.is_empty() => 0,
            _ => next_set(before),
        };
        maps.control.set_ban_set(set);
        self.kernel.committed(ban_slot_of(before.ban_set()));
    }

    /// How what is in force differs from `expected`.
    pub(in crate::datapath) fn differences(
        &self,
        maps: &Maps,
        expected: &BanLists,
        extent: Extent,
    ) -> Vec<String> {
        let overrides = maps.control.overrides();
        let mut found = Vec::new();
        if (overrides.ban_set() == 0) != expected.is_empty() {
            found.push("bans: whether there are any".to_owned());
            return found;
        }
        let page = |number: u32| self.kernel.chunks().page(number);
        for list in lists(expected) {
            let Some(roots) = roots(maps, overrides, list.id) else {
                found.push(format!(
                    "bans of {}: they are missing",
                    scope_in_words(list.id)
                ));
                continue;
            };
            let differing = memory::differences(list, &roots, extent, &page).into_iter();
            found.extend(
                differing.map(|what| format!("bans of {}: {what}", scope_in_words(list.id))),
            );
        }
        found
    }
}

/// Where the bans of a scope are that are in force.
fn roots(maps: &Maps, overrides: Overrides, scope: ScopeId) -> Option<Roots> {
    let slot = ban_slot_of(overrides.ban_set());
    let head = maps.control.ban_head(slot);
    if scope == HOST_SCOPE {
        return Some(*Roots::of(&head.host.engine));
    }
    let bans = maps.bans.get(slot as usize)?;
    let config = bans.0.get(usize::from(scope))?;
    head.services
        .holds(scope)
        .then(|| *Roots::of(&config.engine))
}

/// Bans as the memory takes them: they block, and allow nothing.
fn lists(bans: &BanLists) -> Vec<ScopeLists<'_>> {
    static NOTHING: LazyLock<PrefixSet> = LazyLock::new(PrefixSet::default);
    bans.scopes()
        .map(|(id, block)| ScopeLists {
            id,
            block,
            allow: &NOTHING,
        })
        .collect()
}

/// "the host", "scope 3".
fn scope_in_words(scope: ScopeId) -> String {
    if scope == HOST_SCOPE {
        "the host".to_owned()
    } else {
        format!("scope {scope}")
    }
}
