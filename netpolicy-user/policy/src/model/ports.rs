//! TCP ports and port ranges.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::{Excerpt, Problem};

/// Ports from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// The lowest port, at least 1.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

/// A set of ports: ranges that are sorted and neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSet(Vec<PortRange>);

impl PortSet {
    /// Reads items such as "5432", "7000-7010" and "5432,6432".
    ///
    /// # Errors
    /// A [`Problem::Port`] for each bad item.
    pub fn parse<T: AsRef<str>>(items: &[T]) -> Result<Self, Vec<Problem>> {
        let mut ranges = Vec::new();
        let mut problems = Vec::new();
        for item in items.iter().flat_map(|item| item.as_ref().split(',')) {
            match range(item.trim()) {
                Ok(range) => ranges.push(range),
                Err(why) => problems.push(Problem::Port {
                    text: Excerpt::new(item.trim()),
                    why,
                }),
            }
        }
        if problems.is_empty() {
            Ok(Self::from_ranges(ranges))
        } else {
            Err(problems)
        }
    }

    /// One port.
    #[must_use]
    pub fn single(port: u16) -> Self {
        Self(vec![PortRange {
            first: port,
            last: port,
        }])
    }

    fn from_ranges(mut ranges: Vec<PortRange>) -> Self {
        ranges.sort_unstable_by_key(|range| range.first);
        ranges.dedup_by(|next, kept| {
            let joined = u32::from(next.first) <= u32::from(kept.last) + 1;
            if joined {
                kept.last = kept.last.max(next.last);
            }
            joined
        });
        Self(ranges)
    }

    /// The ranges, ascending.
    #[must_use]
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }

    /// Whether it holds no port.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `port` is in it.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.0
            .iter()
            .any(|range| (range.first..=range.last).contains(&port))
    }

    /// Every port, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().flat_map(|range| range.first..=range.last)
    }

    /// The ports that are in both.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> Self {
        let pairs = self
            .0
            .iter()
            .flat_map(|a| other.0.iter().map(move |b| (a, b)));
        let common = pairs.map(|(a, b)| PortRange {
            first: a.first.max(b.first),
            last: a.last.min(b.last),
        });
        Self::from_ranges(common.filter(|range| range.first <= range.last).collect())
    }

    /// The ports that are not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut left = self.0.clone();
        for gone in &other.0 {
            let parts = |range: PortRange| {
                let below = gone.first.checked_sub(1).map(|last| PortRange {
                    last: range.last.min(last),
                    ..range
                });
                let above = gone.last.checked_add(1).map(|first| PortRange {
                    first: range.first.max(first),
                    ..range
                });
                let parts = [below, above].into_iter().flatten();
                parts.filter(|range| range.first <= range.last)
            };
            left = left.into_iter().flat_map(parts).collect();
        }
        Self::from_ranges(left)
    }
}

/// Reads "5432" or "7000-7010".
fn range(text: &str) -> Result<PortRange, &'static str> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first.trim())?, port(last.trim())?);
    if first > last {
        return Err("the range ends before it begins; write the lower port first");
    }
    Ok(PortRange { first, last })
}

/// Why a number is no port.
pub(crate) const NO_PORT: &str = "ports are 1 to 65535";

fn port(text: &str) -> Result<u16, &'static str> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("expected a number, as in 5432 or 7000-7010");
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(NO_PORT),
        Ok(port) => Ok(port),
    }
}

impl fmt::Display for PortSet {
    /// As in "5432,7000-7010"; nothing for the empty set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            if range.first == range.last {
                write!(f, "{}", range.first)?;
            } else {
                write!(f, "{}-{}", range.first, range.last)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> PortSet {
        PortSet::parse(&[text]).unwrap()
    }

    #[test]
    fn ports_are_sorted_and_merged() {
        let ports = PortSet::parse(&["7000-7010", " 5432 , 6432", "7005-7011", "6433"]).unwrap();
        assert_eq!(ports.to_string(), "5432,6432-6433,7000-7011");
        assert!(ports.contains(7011) && !ports.contains(7012));
        assert_eq!(set("1-65535").iter().count(), 65535);
        assert_eq!(PortSet::parse::<&str>(&[]).unwrap(), PortSet::default());
    }

    #[test]
    fn overlapping_ports_are_named() {
        assert_eq!(set("1-10,20").overlap(&set("5-30")).to_string(), "5-10,20");
        assert!(set("1-10").overlap(&set("11")).is_empty());
    }

    #[test]
    fn ports_of_another_set_are_taken_out() {
        let left = |ports: &str, other: &str| set(ports).without(&set(other)).to_string();
        assert_eq!(left("1-10,20", "5-7,20,30"), "1-4,8-10");
        assert_eq!(left("1-65535", "1,22,65535"), "2-21,23-65534");
        assert_eq!(left("5432", "22"), "5432");
        assert!(set("22").without(&set("20-30")).is_empty());
    }

    #[test]
    fn every_invalid_port_is_reported() {
        for text in [
            "0",
            "70000",
            "99999999999999999999",
            "",
            "x",
            "5-",
            "-5",
            "9-8",
            "+5",
            "5 6",
            "0-5",
        ] {
            assert_eq!(PortSet::parse(&[text]).unwrap_err().len(), 1, "{text}");
        }
        assert_eq!(PortSet::parse(&["0,5432", "x"]).unwrap_err().len(), 2);
    }
}
