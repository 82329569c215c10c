//! Takes addresses out of a text.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The text with every IPv4, IPv6 and MAC address replaced by a name, the same for the same
/// address; what is like an address goes too, such as a version number of four parts. `hosts`:
/// names of the host, each as it is and without its domain.
#[must_use]
pub fn redact(text: &str, hosts: &[&str]) -> String {
    let mut text = text.to_owned();
    for (name, replacement) in names(hosts) {
        text = replace_word(&text, &name, replacement);
    }
    let mut known = Pseudonyms::default();
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let end = rest.find(|c| !may_be_in_address(c)).unwrap_or(rest.len());
        if end == 0 {
            let first = rest.chars().next().map_or(1, char::len_utf8);
            redacted += &rest[..first];
            rest = &rest[first..];
            continue;
        }
        let is_letter = |c: char| c.is_alphanumeric() || c == '_';
        let glued = [
            redacted.chars().next_back().is_some_and(is_letter),
            rest[end..].starts_with(is_letter),
        ];
        redacted += &known.replace_in(&rest[..end], glued);
        rest = &rest[end..];
    }
    redacted
}

/// What is replaced for the names of the host: whole names before their parts.
fn names(hosts: &[&str]) -> Vec<(String, &'static str)> {
    let mut names = Vec::new();
    for host in hosts.iter().map(|host| host.trim().trim_end_matches('.')) {
        names.push((host.to_owned(), "[host]"));
        if let Some((short, domain)) = host.split_once('.') {
            names.push((short.to_owned(), "[host]"));
            if domain.contains('.') {
                names.push((domain.to_owned(), "[domain]"));
            }
        }
    }
    // Every host has that name.
    names.retain(|(name, _)| !name.is_empty() && !name.eq_ignore_ascii_case("localhost"));
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    names.dedup();
    names
}

/// Replaces a name, in whatever case, where it is not a part of a longer word.
fn replace_word(text: &str, name: &str, replacement: &str) -> String {
    // Of the same length, byte by byte.
    let (lower, name) = (text.to_ascii_lowercase(), name.to_ascii_lowercase());
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    let mut replaced = String::with_capacity(text.len());
    let mut done = 0;
    for (at, _) in lower.match_indices(&name) {
        let end = at + name.len();
        let is_inside = text[..at].chars().next_back().is_some_and(is_letter)
            || text[end..].chars().next().is_some_and(is_letter);
        if !is_inside {
            replaced += &text[done..at];
            replaced += replacement;
            done = end;
        }
    }
    replaced + &text[done..]
}

/// Bytes of the longest address that is looked for: more than an IPv6 address that embeds an IPv4
/// one has. A line of a thousand dashes would take minutes otherwise.
const LONGEST: usize = 64;

fn may_be_in_address(c: char) -> bool {
    c.is_ascii_hexdigit() || c == '.' || c == ':' || c == '-'
}

/// Names by what they stand for.
#[derive(Default)]
struct Pseudonyms(BTreeMap<String, String>);

impl Pseudonyms {
    /// A run of characters of addresses: the longest address at each place goes. `glued`: whether
    /// a letter stands before it, and behind it.
    fn replace_in(&mut self, run: &str, glued: [bool; 2]) -> String {
        let mut replaced = String::new();
        let mut at = 0;
        while at < run.len() {
            let is_inside = at > 0 && run.as_bytes()[at - 1].is_ascii_hexdigit();
            let longest = run.len().min(at + LONGEST);
            let found = (at + 1..=longest).rev().find_map(|end| {
                let is_cut = run.as_bytes().get(end).is_some_and(u8::is_ascii_hexdigit)
                    && run.as_bytes()[end - 1].is_ascii_hexdigit();
                let kind = (!is_inside && !is_cut).then(|| kind_of(&run[at..end]))??;
                // As in `std::fs`.
                let in_word = (at == 0 && glued[0]) || (end == run.len() && glued[1]);
                let has_digit = run[at..end].contains(|c: char| c.is_ascii_digit());
                (has_digit || !in_word).then_some((kind, end))
            });
            match found {
                Some((kind, end)) => {
                    replaced += &self.name(kind, &run[at..end]);
                    at = end;
                }
                None => {
                    replaced += &run[at..=at];
                    at += 1;
                }
            }
        }
        replaced
    }

    fn name(&mut self, kind: &str, address: &str) -> String {
        let next = self.0.len() + 1;
        let name = self.0.entry(address.to_lowercase());
        name.or_insert_with(|| format!("[{kind} {next}]")).clone()
    }
}

/// What kind of address a text is, if it is one.
fn kind_of(text: &str) -> Option<&'static str> {
    let numbers = |separator| {
        let parts: Vec<_> = text.split(separator).collect();
        let is_number = |part: &&str| {
            (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        parts.len() == 4 && parts.iter().all(is_number)
    };
    if numbers('.') || text.parse::<Ipv4Addr>().is_ok() {
        return Some("IPv4");
    }
    // As cloud providers name hosts: ip-10-0-0-5.
    if numbers('-') {
        return Some("IPv4");
    }
    let pairs: Vec<_> = text.split([':', '-']).collect();
    if pairs.len() == 6 && pairs.iter().all(|pair| pair.len() == 2) {
        return Some("MAC");
    }
    // "::" alone is no client's, and separates words elsewhere.
    let is_ipv6 = text.len() > 2 && text.parse::<Ipv6Addr>().is_ok();
    is_ipv6.then_some("IPv6")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_replaced_in_whatever_surrounds_them() {
        let text = "10.0.0.1:5432 [2001:db8::1]:80 10.0.0.1/24 10.0.0.1-10.0.0.6 \
                    ::ffff:203.0.113.9, fe80::1%eth0 from=198.51.100.7; 02:00:00:00:00:0a \
                    ip-10-0-0-5.internal 010.001.000.009 2001:0db8:0:0:0:0:0:2 \
                    fromfd00:1::2x dead::beef";
        let redacted = redact(text, &[]);
        assert_eq!(
            redacted,
            "[IPv4 1]:5432 [[IPv6 2]]:80 [IPv4 1]/24 [IPv4 1]-[IPv4 3] \
             [IPv6 4], [IPv6 5]%eth0 from=[IPv4 6]; [MAC 7] \
             ip-[IPv4 8].internal [IPv4 9] [IPv6 10] \
             from[IPv6 11]x [IPv6 12]"
        );
    }

    #[test]
    fn long_runs_are_read_in_no_time() {
        let line = "-".repeat(2_000);
        assert_eq!(redact(&line, &[]), line);
        let text = format!("{line}10.0.0.1{line}");
        assert_eq!(redact(&text, &[]), format!("{line}[IPv4 1]{line}"));
    }

    #[test]
    fn other_words_stay() {
        for text in [
            "Linux 6.18.0-12-amd64",
            "2026-11-30T12:34:56Z",
            "12:34:56.789",
            "std::fs::read, crate::api",
            "feed, beef, cafe: dead-beef",
            "netpolicy_user::agent",
        ] {
            assert_eq!(redact(text, &[]), text);
        }
    }

    #[test]
    fn name_of_the_host_is_replaced_with_and_without_its_domain() {
        let names = ["db7.prod.example.com", "db7"];
        for (text, expected) in [
            ("on db7: ok", "on [host]: ok"),
            (
                "DB7.Prod.Example.com, db8.prod.example.com",
                "[host], db8.[domain]",
            ),
            (
                "2026-11-30 db7 netpolicy[9]: x",
                "2026-11-30 [host] netpolicy[9]: x",
            ),
            (
                "db70 mydb7 db7_old db7-backup",
                "db70 mydb7 db7_old [host]-backup",
            ),
            ("äDB7 db7.", "äDB7 [host]."),
        ] {
            assert_eq!(redact(text, &names), expected);
        }
        // Without a domain, and with one that is no more than a word.
        assert_eq!(redact("db7.lan of lan", &["db7.lan"]), "[host] of lan");
        assert_eq!(redact("localhost", &["localhost.localdomain"]), "localhost");
        assert_eq!(redact("a b", &["", "."]), "a b");
    }
}
