//! Entries of `interfaces` and `unfiltered_interfaces`: names, patterns of names, drivers and
//! addresses.

use std::net::IpAddr;

use ipnet::IpNet;

use super::ConfigProblem;

/// Longest interface name: `IFNAMSIZ` of the kernel's `include/uapi/linux/if.h`, less its NUL.
const INTERFACE_NAME_MAX: usize = 15;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfacePattern {
    /// As it is written.
    text: String,
    is_excluding: bool,
    criterion: Criterion,
}

/// What an interface is selected by.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Criterion {
    /// Its whole name.
    Name(String),
    /// Its name, by a pattern with `*`.
    NamePattern(String),
    /// Its driver, by a pattern.
    Driver(String),
    /// That it carries an address.
    AnyAddress,
    /// That it carries an address in this network.
    AddressIn(IpNet),
}

impl InterfacePattern {
    /// Reads an entry; with `!` in front it excludes.
    ///
    /// # Errors
    /// What is wrong with it, and what was expected.
    pub fn read(text: &str) -> Result<Self, String> {
        let (is_excluding, rest) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let criterion = match rest.split_once(':') {
            None => name(rest, is_excluding)?,
            Some(("driver", driver)) if is_word(driver) => Criterion::Driver(driver.to_owned()),
            Some(("address", "any")) => Criterion::AnyAddress,
            Some(("address", network)) => Criterion::AddressIn(network_of(network)?),
            Some(("driver", _)) => {
                return Err(format!(
                    "\"{}\" names no driver: expected one as in \"driver:virtio_net\"",
                    text.escape_debug()
                ));
            }
            Some(_) => return Err(not_a_name(rest)),
        };
        Ok(Self {
            text: text.to_owned(),
            is_excluding,
            criterion,
        })
    }

    /// An interface by its name alone.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        Self {
            text: name.to_owned(),
            is_excluding: false,
            criterion: Criterion::Name(name.to_owned()),
        }
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it excludes what it matches.
    #[must_use]
    pub fn is_excluding(&self) -> bool {
        self.is_excluding
    }

    /// The name, where it selects one interface by its whole name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.criterion {
            Criterion::Name(name) if !self.is_excluding => Some(name),
            _ => None,
        }
    }

    /// Whether an interface is like that, selected or excluded.
    #[must_use]
    pub fn matches(&self, name: &str, driver: Option<&str>, addresses: &[IpAddr]) -> bool {
        match &self.criterion {
            Criterion::Name(wanted) => name == wanted,
            Criterion::NamePattern(pattern) => is_like(pattern, name),
            Criterion::Driver(pattern) => driver.is_some_and(|driver| is_like(pattern, driver)),
            Criterion::AnyAddress => !addresses.is_empty(),
            Criterion::AddressIn(network) => {
                addresses.iter().any(|address| network.contains(address))
            }
        }
    }
}

/// What is wrong with entries together; `place`: where they begin.
pub(super) fn conflicts(entries: &[String], place: &str) -> Vec<ConfigProblem> {
    let read = entries.iter().map(|text| InterfacePattern::read(text));
    let (excluding, selecting): (Vec<_>, Vec<_>) =
        read.flatten().partition(InterfacePattern::is_excluding);
    let problem = |message| ConfigProblem {
        place: place.to_owned(),
        message,
    };
    if let Some(first) = excluding.first().filter(|_| selecting.is_empty()) {
        return vec![problem(format!(
            "\"{0}\" excludes, and nothing is selected: expected a name or pattern too, as in \
             [\"*\", \"{0}\"]",
            first.text().escape_debug()
        ))];
    }
    let names = selecting.iter().filter_map(InterfacePattern::name);
    let conflicts = names.filter_map(|name| {
        let pattern = excluding.iter().find(|p| p.matches(name, None, &[]))?;
        Some(problem(format!(
            "interface \"{name}\" is named, and excluded by \"{}\": remove one of them",
            pattern.text().escape_debug()
        )))
    });
    conflicts.collect()
}

fn name(text: &str, is_excluding: bool) -> Result<Criterion, String> {
    if text == "lo" && !is_excluding {
        return Err("the loopback interface is never filtered".to_owned());
    }
    if !is_word(text) || text == "." || text == ".." {
        return Err(not_a_name(text));
    }
    let is_pattern = text.contains('*');
    if text.replace('*', "").len() > INTERFACE_NAME_MAX {
        return Err(not_a_name(text));
    }
    Ok(match is_pattern {
        true => Criterion::NamePattern(text.to_owned()),
        false => Criterion::Name(text.to_owned()),
    })
}

fn is_word(text: &str) -> bool {
    let is_other = |c: char| c == '/' || c == ':' || c == '!' || c.is_whitespace();
    !text.is_empty() && !text.contains(is_other)
}

fn not_a_name(text: &str) -> String {
    let forms = match text.contains([':', '*', '!']) {
        true => {
            "; or a pattern as in \"eth*\", \"driver:NAME\", \"address:any\", each with '!' in \
                 front to exclude"
        }
        false => "",
    };
    format!(
        "\"{}\" is not an interface name: 1 to {INTERFACE_NAME_MAX} bytes without spaces, '/' and \
         ':' were expected, as in \"eth0\"{forms}",
        text.escape_debug()
    )
}

fn network_of(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>();
    let network = network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| {
        format!(
            "\"address:{}\" is no address: expected \"address:any\", or a network as in \
             \"address:192.0.2.0/24\"",
            text.escape_debug()
        )
    })
}

/// Whether a text is like a pattern, in which `*` stands for any text.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let (Some(first), last) = (parts.next(), pattern.rsplit('*').next()) else {
        return false;
    };
    if !pattern.contains('*') {
        return pattern == text;
    }
    let (Some(rest), Some(last)) = (text.strip_prefix(first), last) else {
        return false;
    };
    let Some(mut rest) = rest.strip_suffix(last) else {
        return false;
    };
    let middle: Vec<_> = parts.collect();
    // The last of them is the end.
    for part in middle.iter().take(middle.len().saturating_sub(1)) {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        InterfacePattern::read(pattern)
            .unwrap()
            .matches(name, None, &[])
    }

    #[test]
    fn star_stands_for_any_text_in_a_name() {
        for (pattern, like, unlike) in [
            ("*", &["eth0", "a"][..], &[][..]),
            ("eth*", &["eth", "eth0", "eth0.7"], &["veth0", "et"]),
            ("*0", &["eth0", "0"], &["eth1"]),
            ("en*s*", &["enp3s0", "ens1", "ens"], &["enp3", "s0"]),
            ("a*a", &["aa", "aba"], &["a", "ab"]),
            ("eth0", &["eth0"], &["eth00", "eth"]),
        ] {
            for name in like {
                assert!(matches(pattern, name), "{pattern} {name}");
                assert!(matches(&format!("!{pattern}"), name), "{pattern} {name}");
            }
            for name in unlike {
                assert!(!matches(pattern, name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn drivers_and_addresses_select() {
        let read = |text: &str| InterfacePattern::read(text).unwrap();
        let addresses = ["192.0.2.1".parse().unwrap()];
        let driver = read("driver:virtio*");
        assert!(driver.matches("x", Some("virtio_net"), &[]) && !driver.matches("x", None, &[]));
        let any = read("address:any");
        assert!(any.matches("x", None, &addresses) && !any.matches("x", None, &[]));
        let network = read("address:192.0.2.0/24");
        assert!(network.matches("x", None, &addresses));
        assert!(!read("address:198.51.100.1").matches("x", None, &addresses));
        assert_eq!(read("eth0").name(), Some("eth0"));
        assert_eq!((read("!eth0").name(), read("eth*").name()), (None, None));
        assert!(read("!lo").is_excluding());
    }

    #[test]
    fn what_cannot_be_read_says_what_was_expected() {
        for (text, expected) in [
            ("lo", "loopback"),
            ("", "is not an interface name"),
            ("!", "is not an interface name"),
            ("!!eth0", "'!' in front"),
            ("eth 0", "without spaces"),
            ("driver:", "driver:virtio_net"),
            ("kind:veth", "driver:NAME"),
            ("address:eth0", "address:192.0.2.0/24"),
            ("address:10.0.0.0/33", "address:any"),
            ("averyveryverylongname*", "1 to 15 bytes"),
        ] {
            let error = InterfacePattern::read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
