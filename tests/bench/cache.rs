//! A simulated cache: which lines a cache of a given size would hold.

const LINE: usize = 64;

/// Places of a set, as in most second-level caches.
const WAYS: usize = 16;

/// A set-associative cache that forgets what was used longest ago.
pub(crate) struct Cache {
    /// Number of a line and the time of its last use; 0: nothing.
    sets: Vec<[(u32, u64); WAYS]>,
    now: u64,
}

impl Cache {
    /// One of so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let sets = (bytes / LINE / WAYS).max(1);
        Self {
            sets: vec![[(0, 0); WAYS]; sets],
            now: 0,
        }
    }

    /// Uses a line, and tells whether the cache held it.
    pub(crate) fn touch(&mut self, line: u32) -> bool {
        self.now += 1;
        // Pages lie anywhere in the machine's memory, so lines in any set.
        let mixed = line.wrapping_mul(0x9e37_79b1);
        let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca6b);
        let set = (u64::from(mixed) * self.sets.len() as u64) >> 32;
        let set = &mut self.sets[set as usize];
        let found = set
            .iter()
            .position(|(held, used)| *used > 0 && *held == line);
        let oldest = || (0..WAYS).min_by_key(|at| set[*at].1).unwrap_or(0);
        let at = found.unwrap_or_else(oldest);
        set[at] = (line, self.now);
        found.is_some()
    }
}
