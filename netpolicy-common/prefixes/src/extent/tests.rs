//! Parts are adjacent, and consecutive numbers select consecutive parts.

use super::*;
use crate::{Prefix4, PrefixesBuilder};

fn list(count: u32) -> Prefixes<Prefix4> {
    let mut list = PrefixesBuilder::default();
    for n in 0..count {
        list.push(Prefix4::new(1000 + n * 4, 30));
    }
    list.finish()
}

#[test]
fn short_lists_are_one_part() {
    for extent in [Extent::Full, Extent::Sample(0), Extent::Sample(7)] {
        for list in [list(0), list(1000)] {
            assert_eq!(extent.part(&[&list]), Part::all(), "{extent:?}");
        }
    }
}

#[test]
fn parts_are_adjacent_and_repeat() {
    let lists = [list(10), list(u32::try_from(SAMPLE).unwrap() * 4)];
    let lists: Vec<_> = lists.iter().collect();
    assert_eq!(Extent::Full.part(&lists), Part::all());
    let of = Extent::Sample(0).part(&lists).of;
    assert!((3..=8).contains(&of), "{of}");
    let mut next = Some(0);
    for number in 0..of {
        let part = Extent::Sample(number.into()).part(&lists);
        assert_eq!((Some(part.first), part.number, part.of), (next, number, of));
        next = part.last.next();
    }
    assert_eq!(next, None, "the last part ends with the last address");
    let round = Extent::Sample(u64::from(of) + 1).part(&lists);
    assert_eq!(round, Extent::Sample(1).part(&lists));
}

#[test]
fn every_prefix_is_in_exactly_one_share() {
    for count in [0, 1, 2, 7, 1000, u32::MAX] {
        let share = |number| {
            let part = Part::<u32> {
                number,
                of: 3,
                ..Part::all()
            };
            part.share(count)
        };
        assert_eq!((share(0).start, share(2).end), (0, count));
        assert_eq!(
            (share(0).end, share(1).end),
            (share(1).start, share(2).start)
        );
    }
}
