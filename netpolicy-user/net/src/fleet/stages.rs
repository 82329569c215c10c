//! The stages of a roll-out: shares of hosts, and which hosts come first.

use jiff::Timestamp;
use netpolicy_fleet::{ALL, GroupName, bucket};

use super::snapshot::Snapshot;

/// The most salts that are drawn.
const DRAWS: u32 = 200_000;

/// Hundredths of a percent.
pub(super) fn percent(text: &str) -> Result<u16, String> {
    let expected = || format!("'{text}': expected a share in percent, above 0 and up to 100");
    let share: f64 = text.trim_end_matches('%').parse().map_err(|_| expected())?;
    if !(share > 0.0 && share <= 100.0) {
        return Err(expected());
    }
    // Rounded up: no stage of no host.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "above 0 and up to 10,000"
    )]
    let hundredths = (share * 100.0).ceil() as u16;
    Ok(hundredths.min(ALL))
}

/// A salt by which the first stage has a host that is alive, if the group has any.
pub(super) fn drawn(snapshot: &Snapshot, group: &GroupName, number: u64, stage: u16) -> String {
    let alive = snapshot.of_group(group);
    let alive: Vec<_> = alive.filter(|(_, entry)| entry.alive.is_some()).collect();
    let now = Timestamp::now().as_nanosecond();
    let mut salt = format!("{number}/{now}");
    for draw in 1..DRAWS {
        let is_any = alive.iter().any(|(host, _)| bucket(&salt, host) < stage);
        if is_any || alive.is_empty() {
            break;
        }
        salt = format!("{number}/{now}/{draw}");
    }
    salt
}

/// These stages, with the one of all hosts.
///
/// # Errors
/// They do not ascend.
pub(super) fn ascending(stages: &[u16]) -> anyhow::Result<Vec<u16>> {
    anyhow::ensure!(
        stages.is_sorted_by(|a, b| a < b),
        "--stages: expected ascending shares, such as 1,10,50,100"
    );
    let mut stages = stages.to_vec();
    if stages.last() != Some(&ALL) {
        stages.push(ALL);
    }
    Ok(stages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::testing::entry;

    #[test]
    fn stages_are_ascending_shares_up_to_all() {
        assert_eq!(percent("0.01"), Ok(1));
        assert_eq!(percent("0.001"), Ok(1));
        assert_eq!(percent("100%"), Ok(ALL));
        for wrong in ["0", "-1", "101", "x", "", "nan"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
        assert_eq!(ascending(&[100, 5_000]).unwrap(), [100, 5_000, ALL]);
        assert!(ascending(&[100, 100]).is_err());
        assert!(ascending(&[500, 100]).is_err());
    }

    #[test]
    fn first_stage_has_a_host_that_is_alive() {
        let mut snapshot = Snapshot::default();
        for host in ["h1", "h2"] {
            let mut entry = entry("db");
            entry.alive = entry.alive.filter(|_| host == "h2");
            snapshot.hosts.insert(host.parse().unwrap(), entry);
        }
        let of = "db".parse().unwrap();
        for number in 0..20 {
            let salt = drawn(&snapshot, &of, number, 100);
            assert!(bucket(&salt, &"h2".parse().unwrap()) < 100);
        }
    }
}
