//! Accounts of MariaDB and MySQL, and what a policy restricts of them that the database does not.

use ipnet::{IpNet, Ipv4Net};

use super::AddressSet;
use super::other::quoted;

/// An account of MariaDB or MySQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: String,
    /// From where, as the database has it.
    pub host: String,
    /// Whether it is locked: it lets no session in, and keeps sessions from less specific accounts.
    pub is_locked: bool,
}

impl Account {
    /// Accounts out of lines of a user, a host and perhaps whether it is locked, with tabs between
    /// them, as `mysql -N -e 'SELECT user, host, account_locked FROM mysql.user'` prints them.
    ///
    /// # Errors
    /// The first line that is none, by its number from 1.
    pub fn read(text: &str) -> Result<Vec<Self>, usize> {
        let lines = text
            .lines()
            .zip(1_usize..)
            .filter(|(line, _)| !line.is_empty());
        let read = lines.map(|(line, number)| {
            let (user, rest) = line.split_once('\t').ok_or(number)?;
            let (host, locked) = rest.split_once('\t').unwrap_or((rest, ""));
            Ok(Self {
                user: user.to_owned(),
                host: host.trim_end().to_owned(),
                is_locked: matches!(locked.trim_end(), "Y" | "1" | "true"),
            })
        });
        read.collect()
    }
}

/// What is to be said of accounts where a policy allows only `allowed`: those that may come from
/// elsewhere, and those that match no source though they look as if they did.
#[must_use]
pub fn lint_accounts(accounts: &[Account], allowed: &AddressSet) -> Vec<String> {
    let mut findings = Vec::new();
    for account in accounts.iter().filter(|account| !account.is_locked) {
        let name = format!(
            "{}@{}",
            quoted(&account.user, '\''),
            quoted(&account.host, '\'')
        );
        match hosts(&account.host) {
            Hosts::Dead(why) => findings.push(format!("{name} matches no source: {why}")),
            Hosts::Set(set) => {
                let beyond = set
                    .without(allowed)
                    .without(&locked_out(accounts, &account.user));
                if !beyond.is_empty() {
                    let of = match beyond.has_v4() {
                        true => "addresses",
                        false => "IPv6 addresses",
                    };
                    findings.push(format!("{name} may come from {of} that the policy denies"));
                }
            }
            Hosts::Pattern if *allowed != AddressSet::all() => findings.push(format!(
                "{name} may come from any address that the pattern or name fits; the policy allows \
                 only some"
            )),
            _ => {}
        }
    }
    findings
}

/// From where locked accounts keep a user out.
fn locked_out(accounts: &[Account], user: &str) -> AddressSet {
    let locked = accounts
        .iter()
        .filter(|account| account.is_locked && account.user == user);
    let sets = locked.filter_map(|account| match hosts(&account.host) {
        Hosts::Set(set) => Some(set),
        _ => None,
    });
    sets.fold(AddressSet::default(), |all, set| all.with(&set))
}

enum Hosts {
    Set(AddressSet),
    Pattern,
    /// No TCP connection.
    Local,
    Dead(&'static str),
}

/// What MariaDB 10.11 makes of an account's host.
fn hosts(text: &str) -> Hosts {
    if matches!(text, "%" | "") {
        return Hosts::Set(AddressSet::all());
    }
    if matches!(text, "localhost") {
        return Hosts::Local;
    }
    if let Some((address, mask)) = text.split_once('/') {
        let Ok(address) = address.parse::<std::net::Ipv4Addr>() else {
            return Hosts::Dead("netmasks are for IPv4 addresses alone");
        };
        let Ok(mask) = mask.parse::<std::net::Ipv4Addr>() else {
            return Hosts::Dead("a netmask is written with dots, as in 10.0.0.0/255.0.0.0");
        };
        if u32::from(address) & !u32::from(mask) != 0 {
            return Hosts::Dead("its address has bits outside of its netmask");
        }
        return match Ipv4Net::with_netmask(address, mask) {
            Ok(net) => Hosts::Set(AddressSet::of(&[IpNet::V4(net)])),
            Err(_) => Hosts::Pattern,
        };
    }
    match text.parse::<std::net::IpAddr>() {
        Ok(address) if address.to_string() == text => {
            Hosts::Set(AddressSet::of(&[IpNet::from(address)]))
        }
        Ok(_) => Hosts::Dead("an IPv6 address is compared as text, in its shortest form"),
        Err(_) if text.contains(':') => Hosts::Dead("it is no IPv6 address"),
        Err(_) if text.contains(['%', '_']) => Hosts::Pattern,
        Err(_) if looks_like_ipv4(text) => Hosts::Dead("it is no IPv4 address"),
        Err(_) => Hosts::Pattern,
    }
}

fn looks_like_ipv4(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(nets: &[&str]) -> AddressSet {
        let nets: Vec<IpNet> = nets.iter().map(|net| net.parse().unwrap()).collect();
        AddressSet::of(&nets)
    }

    #[test]
    fn accounts_from_anywhere_and_those_that_match_no_source_are_named() {
        let text = "app\t%\napp\t10.1.0.0/255.255.0.0\nroot\tlocalhost\napp\t10.0.0.0/8\n\
                    app\t10.0.0.1/255.0.0.0\napp\t2001:DB8::1\napp\t10.%\napp\t010.0.0.1\n\
                    app\t10.2.0.1\napp\t192.0.2.1\n";
        let accounts = Account::read(text).unwrap();
        let findings = lint_accounts(&accounts, &set(&["10.0.0.0/8"]));
        let has = |index: usize, what: &str| {
            assert!(findings[index].contains(what), "{findings:?}");
        };
        has(
            0,
            "'app'@'%' may come from addresses that the policy denies",
        );
        has(
            1,
            "'10.0.0.0/8' matches no source: a netmask is written with dots",
        );
        has(2, "bits outside of its netmask");
        has(3, "'2001:DB8::1' matches no source");
        has(4, "'10.%' may come from any address that the pattern");
        has(5, "'010.0.0.1' matches no source");
        has(6, "'192.0.2.1' may come from addresses");
        assert_eq!(findings.len(), 7);
        let locked = "app\t%\tN\napp\t0.0.0.0/128.0.0.0\tY\napp\t128.0.0.0/128.0.0.0\ttrue\n";
        let accounts = Account::read(locked).unwrap();
        let findings = lint_accounts(&accounts, &AddressSet::default());
        assert_eq!(
            findings,
            ["'app'@'%' may come from IPv6 addresses that the policy denies"]
        );
        assert_eq!(Account::read("app %\n"), Err(1));
    }
}
