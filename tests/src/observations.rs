//! A full memory of sources, written into its file while no agent has it.
//!
//! No clock of this machine runs 400 days ahead. So what the agent wrote of one minute, hour and
//! day is written once more for all others, in the agent's own format; the agent then reads it as
//! its own, or says that it cannot. In the same way sources are written once more with other
//! addresses.

use std::{collections::BTreeSet, path::Path};

use netpolicy_user::store::{ObservationRecord, open_observations};

/// Kinds of records (`netpolicy-user/agent/src/agent/observed/records.rs`).
const SOURCE: u8 = 3;
const BUCKET: u8 = 4;

/// The most that the file may have.
const MOST_BYTES: u64 = 4 << 30;

/// What is kept of each step: minutes of one, how many, and how many rules of each are counted
/// apart (`netpolicy-user/agent/src/agent/observed/rates.rs`).
const STEPS: [(u32, u32, usize); 3] = [(1, 24 * 60, 32), (60, 30 * 24, 64), (24 * 60, 400, 128)];

/// A bucket's key, as far as it is no time: scope, reason and what decided.
type Counted = (u32, u32, u32);

/// Fills all numbers of attempts that are kept, from those of at least 128 rules; returns how many
/// days.
///
/// # Panics
/// The memory in this state directory is none, or has too few rules.
#[must_use]
pub fn fill_rates(dir: &Path) -> usize {
    let mut store = open_observations(dir, MOST_BYTES).expect("open the memory");
    let mut counted = BTreeSet::new();
    let mut newest = 0;
    store
        .load(&mut |kind, key, _| {
            if kind == BUCKET {
                let [_, minute, scope, reason, decider] = read(key);
                newest = newest.max(minute);
                counted.insert((scope, reason, decider));
            }
        })
        .expect("read the memory");
    let counted: Vec<Counted> = counted.into_iter().collect();
    assert!(
        counted.len() >= STEPS[2].2,
        "{} rules decided, too few to fill a day",
        counted.len()
    );
    let mut records = Vec::new();
    for (step, (minutes, times, most)) in (0..).zip(STEPS) {
        let last = newest - newest % minutes;
        // The last is the agent's own.
        for time in 1..times {
            let minute = last - time * minutes;
            for (scope, reason, decider) in counted.iter().take(most) {
                records.push(ObservationRecord {
                    kind: BUCKET,
                    key: write([step, minute, *scope, *reason, *decider]),
                    // 12,345 attempts, none of them estimated.
                    value: Some([write([12_345]), vec![0]].concat()),
                });
            }
        }
    }
    store
        .write(&mut records.into_iter())
        .expect("write the memory");
    STEPS[2].1 as usize
}

/// Writes each source `A.B.0.1` with so many addresses of `A.B.0.0/16` instead of one; returns how
/// many sources there are then.
///
/// # Panics
/// The memory in this state directory is none.
#[must_use]
pub fn fill_sources(dir: &Path, addresses: u16) -> usize {
    let mut store = open_observations(dir, MOST_BYTES).expect("open the memory");
    let mut found = Vec::new();
    store
        .load(&mut |kind, key, value| {
            // The address stands in it as it is, behind the number of its family.
            let is_first = |four: &[u8]| matches!(four, [first, _, 0, 1] if *first > 0);
            let at = key.windows(4).position(is_first);
            if let (SOURCE, Some(at)) = (kind, at) {
                found.push((key.to_vec(), value.to_vec(), at + 2));
            }
        })
        .expect("read the memory");
    let mut records = found.iter().flat_map(|(key, value, at)| {
        (1..=addresses).map(|number| {
            let mut key = key.clone();
            key[*at..*at + 2].copy_from_slice(&number.to_be_bytes());
            ObservationRecord {
                kind: SOURCE,
                key,
                value: Some(value.clone()),
            }
        })
    });
    store.write(&mut records).expect("write the memory");
    found.len() * usize::from(addresses)
}

/// Numbers of 7 bits to a byte, the lowest first: as postcard writes all but single bytes, of which
/// the values here have the same form.
fn read<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut bytes = bytes.iter();
    std::array::from_fn(|_| {
        let (mut number, mut shift) = (0, 0);
        for byte in bytes.by_ref() {
            number |= u32::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    })
}

fn write<const N: usize>(numbers: [u32; N]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for mut number in numbers {
        while number >= 0x80 {
            bytes.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        bytes.push(number.to_le_bytes()[0]);
    }
    bytes
}
