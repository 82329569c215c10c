//! What changes write, and what they leave behind.

use super::*;

/// So many networks of /18 to /49 in one /16, four in five of them blocked.
fn networks_of(seed: u64, count: usize) -> Rules {
    let net = |index: usize| {
        let bits = (seed | 1)
            .wrapping_mul(index as u64 * 2 + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let len = if index.is_multiple_of(50) { 18 } else { 33 } + (bits % 17) as u8;
        (0x2001 << 112 | u128::from(bits) << 48, len)
    };
    let list = |is_blocked: bool| {
        let nets = (0..count).filter(|i| i.is_multiple_of(5) != is_blocked);
        set(Vec::new(), nets.map(net).collect())
    };
    Rules(vec![scope(0, list(true), &list(false))])
}

#[test]
fn a_part_of_the_trie_that_holds_much_has_a_table() {
    let mut held = networks_of(7, 9000);
    let mut flat = held.memory(0);
    check(&flat, &held).unwrap();
    for (step, count) in [9000, 9040, 8000, 40, 9000].into_iter().enumerate() {
        let next = mixed(&held, &networks_of(7 + step as u64, count), 30 * step);
        change(&mut flat, &held, &next);
        check(&flat, &next).unwrap();
        held = next;
    }
    let empty = Rules(Vec::new());
    let pages = flat.arena().pages().len();
    change(&mut flat, &held, &empty);
    change(&mut flat, &empty, &held);
    check(&flat, &held).unwrap();
    assert!(flat.arena().pages().len() <= pages, "memory leaks");
}

/// Each part with a table takes 65,536 steps to read: what is left of a list must not be
/// taken for damage because many such parts were emptied one change at a time.
#[test]
fn tables_do_not_outlive_what_they_were_made_for() {
    const PARTS: usize = 20;
    const PREFIXES: usize = 4200;
    // One after the other from each part.
    let net = |index: usize| {
        let (part, at) = (index % PARTS, index / PARTS);
        ((0x2001 + part as u128) << 112 | (at as u128) << 64, 64)
    };
    let left = |count: usize| {
        let nets = set(Vec::new(), (0..count).map(net).collect());
        Rules(vec![scope(0, nets, &PrefixSet::default())])
    };
    let mut count = PARTS * PREFIXES;
    let mut held = left(count);
    let mut flat = held.memory(0);
    while count > 50 {
        count -= count.div_ceil(20);
        let next = left(count);
        flat.update(&held.lists(), &next.lists());
        let page = |number: u32| Some(flat.arena().page(number));
        let found = differences(next.0[0].lists(), &flat.roots(0), Extent::Full, &page);
        assert_eq!(found, Vec::<String>::new(), "{count} left");
        let retired = flat.take_retired();
        flat.reclaim(retired);
        held = next;
    }
}

#[test]
fn a_change_writes_few_pages() {
    let hosts = |count: u32| -> Vec<(u128, u8)> {
        (0..count)
            .map(|i| (u128::from(i.wrapping_mul(0x9e37_79b9)) << 96, 32))
            .collect()
    };
    let old = Rules(vec![scope(
        0,
        set(hosts(100_010), Vec::new()),
        &PrefixSet::default(),
    )]);
    let new = Rules(vec![scope(
        0,
        set(hosts(100_011), Vec::new()),
        &PrefixSet::default(),
    )]);
    let mut flat = old.memory(3);
    flat.take_written();
    flat.update(&old.lists(), &new.lists());
    let written = flat.take_written().len();
    assert!(written < 10, "{written} pages");
    check(&flat, &new).unwrap();
}

/// A change that empties parts of a trie leaves nothing of their nodes.
#[test]
fn a_scope_that_goes_leaves_nothing() {
    let nets = set(
        Vec::new(),
        vec![
            (0, 5),
            (0x0a00_0000 << 96 | 1, 128),
            (0x0a00_0012 << 96, 32),
        ],
    );
    let alone = Rules(vec![scope(0, PrefixSet::default(), &PrefixSet::default())]);
    let both = Rules(vec![
        scope(0, PrefixSet::default(), &PrefixSet::default()),
        scope(1, nets, &PrefixSet::default()),
    ]);
    let mut flat = alone.memory(0);
    let before = flat.arena().units_in_use();
    change(&mut flat, &alone, &both);
    change(&mut flat, &both, &alone);
    assert_eq!(flat.arena().units_in_use(), before);
}
