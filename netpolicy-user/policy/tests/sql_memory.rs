//! What reading SQL takes in memory. In a file of its own: the allocator counts for
//! the whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use netpolicy_policy::sql::{Dialect, PolicyBody, Statements, Verb};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_large_statement_takes_less_than_four_times_its_text() {
    let mut text = String::from("CREATE NETWORK POLICY big ALLOWED_IP_LIST=(");
    for list in 0..2 {
        for index in 0..100_000_u32 {
            let comma = if index == 0 { "" } else { "," };
            // As short as addresses get, which is the worst.
            let [_, _, high, low] = index.to_be_bytes();
            write!(text, "{comma}'{}.1.{high}.{low}'", list + 1).unwrap();
        }
        text.push_str(if list == 0 { ")BLOCKED_IP_LIST=(" } else { ")" });
    }
    for dialect in [Some(Dialect::Snowflake), Some(Dialect::Lakehouse)] {
        let before = NOW.load(Relaxed);
        PEAK.store(before, Relaxed);
        let mut statements = Statements::new(&text, dialect).unwrap();
        let statement = statements.next().unwrap().unwrap();
        let peak = PEAK.load(Relaxed) - before;
        let Verb::CreatePolicy(create) = &statement.verb else {
            panic!("not a CREATE");
        };
        let PolicyBody::Lists(clauses) = &create.body else {
            panic!("no lists");
        };
        assert_eq!(clauses.allowed.as_ref().unwrap().len(), 100_000);
        assert_eq!(clauses.blocked.as_ref().unwrap().len(), 100_000);
        println!("{} bytes of text, {peak} more at most", text.len());
        // The text itself is one of the four.
        assert!(peak < 3 * text.len(), "{peak} bytes for {}", text.len());
    }
}
