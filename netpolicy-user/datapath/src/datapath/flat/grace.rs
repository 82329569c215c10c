//! Knowing that no program reads any more what was in force before.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use aya::maps::MapData;
use netpolicy_common::KeyV6;

use crate::datapath::{DatapathError, maps::Maps, retry::while_out_of_memory, sys};

/// `BPF_MAP_TYPE_LPM_TRIE` and `BPF_F_NO_PREALLOC` of `linux/bpf.h`.
const LPM_TRIE: u32 = 11;
const NO_PREALLOC: u32 = 1;

/// Bytes of a trie's key: a prefix length before the bits.
#[expect(clippy::cast_possible_truncation, reason = "24")]
const KEY_BYTES: u32 = 4 + size_of::<KeyV6>() as u32;

/// A moment; see [`Grace::moment`]. The default one is always over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

/// Waits in a thread of its own for the kernel's running programs, so that a change need
/// not: when it wants the memory of an old generation, that wait is mostly over.
///
/// The kernel waits for them when an outer map is written (kernel/bpf/syscall.c,
/// `maybe_wait_bpf_programs`); the maps of the LPM engine, of no use to this one,
/// serve for that.
pub(super) struct Grace {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<GraceState>,
    changed: Condvar,
}

#[derive(Default)]
struct GraceState {
    /// The last moment that was asked about.
    asked: u64,
    /// The last moment that is over.
    over: u64,
    /// Why the last wait failed.
    failure: Option<io::ErrorKind>,
    stop: bool,
}

impl Grace {
    pub(super) fn new(maps: &Maps) -> Result<Self, DatapathError> {
        let system = |call| move |source| DatapathError::System { call, source };
        let trie = while_out_of_memory(|| {
            let shape = aya_obj::Map::new_from_params(LPM_TRIE, KEY_BYTES, 1, 1, NO_PREALLOC);
            MapData::create(shape, "netpolicy_grace", None)
        })
        .map_err(DatapathError::map("create", "ALLOW_V6"))?;
        let outer = maps.allow_v6_outer.fd().as_fd().try_clone_to_owned();
        let outer = outer.map_err(system("dup of a map"))?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        thread::Builder::new()
            .name("grace".to_owned())
            .spawn(move || theirs.serve(&outer, &trie))
            .map_err(system("start of a thread"))?;
        Ok(Self { shared })
    }

    /// This moment, to be asked about later.
    pub(super) fn moment(&self) -> Moment {
        let mut state = self.shared.lock();
        state.asked += 1;
        state.failure = None;
        self.shared.changed.notify_all();
        Moment(state.asked)
    }

    /// Whether every program that ran at a moment has ended.
    pub(super) fn is_over(&self, moment: Moment) -> bool {
        self.shared.lock().over >= moment.0
    }

    /// Waits until every program that ran at a moment has ended.
    pub(super) fn wait(&self, moment: Moment) -> Result<(), DatapathError> {
        let mut state = self.shared.lock();
        while state.over < moment.0 {
            if let Some(kind) = state.failure.take() {
                // The thread tries again now; the caller's apply fails.
                self.shared.changed.notify_all();
                return Err(DatapathError::System {
                    call: "waiting for running programs",
                    source: kind.into(),
                });
            }
            state = self
                .shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }
}

impl Drop for Grace {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, GraceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, outer: &OwnedFd, inner: &MapData) {
        loop {
            let mut state = self.lock();
            while !state.stop && (state.asked == state.over || state.failure.is_some()) {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if state.stop {
                return;
            }
            let asked = state.asked;
            drop(state);
            let waited = sys::set_inner_map(outer.as_fd(), 0, inner.fd().as_fd());
            let mut state = self.lock();
            match waited {
                Ok(()) => state.over = asked,
                Err(error) => state.failure = Some(error.kind()),
            }
            drop(state);
            self.changed.notify_all();
        }
    }
}
