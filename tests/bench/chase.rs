//! What one cold cache line costs, which bounds every look-up: each needs at least one
//! line that depends on the packet.

use std::{
    hint::black_box,
    ptr,
    time::{Duration, Instant},
};

use crate::{
    generator::pin_to_last_cpu,
    random::Random,
    report::{Figure, Report, median},
};

const LINE: usize = 64;
const MIB: usize = 1 << 20;

/// Loads in a row, each of which tells where the next one is.
const STEPS: usize = 1 << 20;

/// Chases pointers through 1 to 256 MiB, on pages of 4 KiB: the kernel lays large BPF
/// arrays out on such.
pub(crate) fn run(report: &mut Report) {
    pin_to_last_cpu();
    for size in [1, 2, 4, 16, 64, 128, 256] {
        let memory = Memory::new(size * MIB);
        report.figure(Figure {
            bench: "cache-line",
            engine: "",
            family: "",
            sources: "",
            entries: size * MIB / LINE,
            value: memory.chase(),
            unit: "ns",
        });
    }
}

/// What a line takes out of so many bytes of memory, if its address is told by the one
/// before, in nanoseconds.
pub(crate) fn cold_line(bytes: usize) -> f64 {
    pin_to_last_cpu();
    Memory::new(bytes.max(2 * LINE)).chase()
}

/// Lines of memory, each of which holds the number of another.
struct Memory {
    start: *mut u64,
    lines: usize,
}

impl Memory {
    fn new(bytes: usize) -> Self {
        use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};

        // SAFETY: a new mapping, at an address of the kernel's choice.
        let start = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }
        .expect("map memory");
        // SAFETY: the mapping just made. A kernel without huge pages refuses.
        let _ = unsafe { madvise(start, bytes, Advice::LinuxNoHugepage) };
        let memory = Self {
            start: start.cast(),
            lines: bytes / LINE,
        };
        memory.link();
        memory
    }

    /// Links the lines into one circle in random order (Sattolo's algorithm).
    fn link(&self) {
        let mut random = Random(self.lines as u64);
        let mut order: Vec<usize> = (0..self.lines).collect();
        for last in (1..self.lines).rev() {
            order.swap(last, random.below(last));
        }
        for (line, next) in order.into_iter().enumerate() {
            // SAFETY: a line of the mapping, which nothing else reads or writes.
            unsafe { self.line(line).write(next as u64) };
        }
    }

    fn line(&self, number: usize) -> *mut u64 {
        assert!(number < self.lines);
        // SAFETY: within the mapping.
        unsafe { self.start.byte_add(number * LINE) }
    }

    /// Nanoseconds a step: the median of some walks.
    fn chase(&self) -> f64 {
        let mut at = 0;
        let mut walk = || {
            let start = Instant::now();
            for _ in 0..STEPS {
                // SAFETY: a line of the mapping, which holds the number of another.
                at = unsafe { self.line(at).read() } as usize;
            }
            black_box(at);
            start.elapsed()
        };
        let deadline = Instant::now() + Duration::from_millis(500);
        let mut times = vec![walk().as_secs_f64()];
        while times.len() < 3 || Instant::now() < deadline {
            times.push(walk().as_secs_f64());
        }
        median(&times) / STEPS as f64 * 1e9
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, to which no reference is left.
        let _ = unsafe { rustix::mm::munmap(self.start.cast(), self.lines * LINE) };
    }
}
