//! Sequences against plain vectors.

use proptest::prelude::*;

use super::*;
use crate::intervals;

#[test]
fn prefixes_contain_their_first_and_last_address() {
    let set = PrefixSet {
        v4: [
            Prefix4 {
                addr: 0x0a00_0000,
                len: 8,
            },
            Prefix4 {
                addr: u32::MAX,
                len: 32,
            },
        ]
        .into_iter()
        .collect(),
        v6: [Prefix6 { addr: 0, len: 0 }].into_iter().collect(),
    };
    for (address, expected) in [
        ("9.255.255.255", false),
        ("10.0.0.0", true),
        ("10.255.255.255", true),
        ("11.0.0.0", false),
        ("255.255.255.254", false),
        ("255.255.255.255", true),
        ("::", true),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
    ] {
        assert_eq!(
            set.contains(address.parse().unwrap()),
            expected,
            "{address}"
        );
    }
    assert!(!PrefixSet::default().contains("::".parse().unwrap()));
    assert_eq!(set.nets().count(), set.len());
}

/// Few, one, or several chunks of prefixes that lie close to each other: the same
/// for the same `seed`, and nearly the same for nearly the same `seed`s.
fn prefixes<P: Prefix<Address: From<u32>>>(seed: u32, slots: u32, odd: u32) -> Vec<P> {
    let mut found = Vec::new();
    for slot in 0..slots {
        let hash = slot
            .wrapping_mul(0x9e37_79b9)
            .wrapping_add(seed)
            .wrapping_mul(0x85eb_ca6b);
        // One slot in `odd` depends on the seed.
        let kind = if (hash >> 8).is_multiple_of(odd) {
            hash >> 28
        } else {
            slot % 7
        };
        let at = |offset: u32| P::Address::from(slot * 4 + offset);
        let width = P::Address::WIDTH;
        match kind {
            0 => found.push(P::new(at(0), width - 2)),
            1 | 2 => found.push(P::new(at(1), width)),
            3 => found.extend([P::new(at(0), width - 1), P::new(at(3), width)]),
            _ => {}
        }
    }
    found
}

fn sequence<P: Prefix>(prefixes: &[P]) -> Prefixes<P> {
    prefixes.iter().copied().collect()
}

/// Whether it is as if made at once of `expected`, also in its chunks.
fn check<P: Prefix>(found: &Prefixes<P>, expected: &[P]) -> Result<(), TestCaseError> {
    let fresh = sequence(expected);
    prop_assert_eq!(found.iter().copied().collect::<Vec<_>>(), expected);
    prop_assert_eq!(found.len(), expected.len());
    prop_assert_eq!(found.is_empty(), expected.is_empty());
    prop_assert_eq!(found.iter().len(), expected.len());
    prop_assert_eq!(found, &fresh);
    let chunks = |of: &Prefixes<P>| -> Vec<_> { of.chunks().map(|c| *c.hash()).collect() };
    prop_assert_eq!(chunks(found), chunks(&fresh));
    Ok(())
}

fn intersects<P: Prefix>(prefix: P, (first, last): (P::Address, P::Address)) -> bool {
    prefix.first() <= last && first <= prefix.last()
}

/// Disjoint ascending ranges of any places.
fn ranges<A: Address + From<u32>>(places: &[u32]) -> Vec<(A, A)> {
    let mut places: Vec<u32> = places.to_vec();
    places.sort_unstable();
    places.dedup();
    places
        .chunks_exact(2)
        .map(|pair| (pair[0].into(), (pair[1] - 1).into()))
        .collect()
}

fn check_all<P: Prefix<Address: From<u32>>>(
    (seeds, slots, odd): ([u32; 2], u32, u32),
    places: &[u32],
) -> Result<(), TestCaseError> {
    let [old, other] = seeds.map(|seed| prefixes::<P>(seed, slots, odd));
    let (held, wanted) = (sequence(&old), sequence(&other));
    check(&held, &old)?;

    // Questions.
    for place in places {
        let address = P::Address::from(*place);
        let expected = old
            .iter()
            .find(|prefix| intersects(**prefix, (address, address)));
        prop_assert_eq!(held.covering(address), expected.copied());
    }
    let ranges = ranges::<P::Address>(places);
    for range in &ranges {
        let found: Vec<P> = held.range(range.0..=range.1).collect();
        let expected: Vec<P> = old
            .iter()
            .copied()
            .filter(|prefix| intersects(*prefix, *range))
            .collect();
        prop_assert_eq!(found, expected);
    }

    // Edits.
    let touched = |prefix: &P| ranges.iter().any(|range| intersects(*prefix, *range));
    let inside = |p: &P| {
        ranges
            .iter()
            .any(|range| range.0 <= p.first() && p.last() <= range.1)
    };
    let with: Vec<P> = other.iter().copied().filter(inside).collect();
    let mut expected: Vec<P> = old.iter().copied().filter(|p| !touched(p)).collect();
    expected.extend(&with);
    expected.sort_unstable();
    let spliced = held.splice(&ranges, &with);
    check(&spliced, &expected)?;
    prop_assert_eq!(held.splice(&ranges, &[]).splice(&ranges, &with), spliced);

    // Differences.
    let mut differing: Vec<(P::Address, P::Address)> = old
        .iter()
        .filter(|p| other.binary_search(p).is_err())
        .chain(other.iter().filter(|p| old.binary_search(p).is_err()))
        .map(|p| (p.first(), p.last()))
        .collect();
    intervals::merge(&mut differing);
    let changed = held.changed(&wanted);
    prop_assert_eq!(&changed, &differing);
    prop_assert_eq!(&wanted.changed(&held), &differing);
    prop_assert_eq!(differing.is_empty(), held == wanted);
    let with: Vec<P> = changed
        .iter()
        .flat_map(|r| wanted.range(r.0..=r.1))
        .collect();
    check(&held.splice(&changed, &with), &other)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn sequences_behave_like_vectors(
        seeds in any::<[u32; 2]>(),
        slots in prop_oneof![0u32..40, 0u32..30_000],
        odd in prop_oneof![Just(1u32), Just(50), Just(5_000)],
        places in proptest::collection::vec(0u32..130_000, 0..12),
        near in proptest::collection::vec(0u32..170, 0..12),
    ) {
        let places = [places, near].concat();
        check_all::<Prefix4>((seeds, slots, odd), &places)?;
        check_all::<Prefix6>((seeds, slots, odd), &places)?;
    }
}

#[test]
fn whole_address_space_can_be_replaced() {
    let all = [Prefix4 { addr: 0, len: 0 }];
    let hosts: Vec<Prefix4> = prefixes(1, 9_000, 1);
    let held = sequence(&hosts);
    let whole = [(0, u32::MAX)];
    assert_eq!(held.splice(&whole, &all), sequence(&all));
    assert_eq!(sequence(&all).splice(&whole, &hosts), held);
    assert_eq!(held.changed(&sequence(&all)), whole);
    assert_eq!(held.splice(&whole, &[]), Prefixes::default());
    assert_eq!(Prefixes::default().splice(&whole, &hosts), held);
}

#[test]
fn an_edit_shares_all_chunks_but_those_it_touches() {
    let hosts: Vec<Prefix4> = (0..100_000)
        .map(|i| Prefix4 {
            addr: i * 5,
            len: 32,
        })
        .collect();
    let held = sequence(&hosts);
    assert!(
        (50..200).contains(&held.chunks().len()),
        "{}",
        held.chunks().len()
    );
    for host in hosts.iter().step_by(97) {
        let fewer = held.splice(&[(host.addr, host.addr)], &[]);
        let shared = |chunk| {
            held.chunks()
                .any(|other| std::sync::Arc::ptr_eq(chunk, other))
        };
        let own = fewer.chunks().filter(|chunk| !shared(chunk)).count();
        // Also if it ended one, which then runs on into the next.
        assert!(own <= 1, "{own} chunks");
        let same = held.splice(&[(host.addr, host.addr)], &[*host]);
        assert!(same.chunks().all(shared), "what is as it was is shared");
        assert_eq!(fewer.changed(&held), [(host.addr, host.addr)]);
    }
}
