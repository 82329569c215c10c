//! Databases into which netpolicy carries nothing: the statements that would express a policy, and
//! what cannot be expressed.

use std::fmt::Write as _;

use ipnet::{IpNet, Ipv4Net};

use super::AddressSet;

/// Networks that one account is restricted by, at most.
const MOST: usize = 1_000;

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherKind {
    /// MariaDB.
    MariaDb,
    /// MySQL, from 8.0.23 on.
    MySql,
    /// ClickHouse.
    ClickHouse,
    /// MongoDB.
    MongoDb,
}

/// Statements for an administrator to read and run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherPlan {
    /// The statements, in their order.
    pub statements: Vec<String>,
    /// What they do not express, and what to know before running them.
    pub notes: Vec<String>,
}

/// The statements by which a user may come from `allowed` alone.
#[must_use]
pub fn statements(kind: OtherKind, user: &str, allowed: &AddressSet) -> OtherPlan {
    match kind {
        OtherKind::MariaDb => locked(user, allowed, dotted, &mariadb_notes()),
        OtherKind::MySql => locked(user, allowed, |net| net.to_string(), &mysql_notes()),
        OtherKind::ClickHouse => clickhouse(user, allowed),
        OtherKind::MongoDb => mongodb(user, allowed),
    }
}

fn too_many(count: usize) -> Option<OtherPlan> {
    (count > MOST).then(|| OtherPlan {
        statements: Vec::new(),
        notes: vec![format!(
            "the policy comes to more than {MOST} networks for one account; bind it to the \
             service instead"
        )],
    })
}

fn mariadb_notes() -> Vec<String> {
    vec![
        "A locked account that is more specific than 'USER'@'%' is chosen before it and denies \
         (error 1045, or 4151 without a password). It has no password and no grants. Remove it with DROP USER."
            .to_owned(),
        "It denies as long as no account of the user is more specific than it, as a literal address \
         or a longer netmask is: SELECT user, host FROM mysql.user shows them."
            .to_owned(),
    ]
}

fn mysql_notes() -> Vec<String> {
    let mut notes = mariadb_notes();
    if let Some(first) = notes.first_mut() {
        *first = first.replace(
            "(error 1045, or 4151 without a password)",
            "(error 1045, or 3118 without a password)",
        );
    }
    notes.push("CIDR notation in account names is from MySQL 8.0.23 on.".to_owned());
    notes
}

/// MariaDB's and MySQL's: accounts from what is not allowed, each locked.
fn locked(
    user: &str,
    allowed: &AddressSet,
    written: fn(Ipv4Net) -> String,
    notes: &[String],
) -> OtherPlan {
    let denied = allowed.around(&AddressSet::all(), MOST);
    let denied_v4: Vec<Ipv4Net> = denied.iter().filter_map(v4).collect();
    if let Some(plan) = too_many(denied_v4.len()) {
        return plan;
    }
    // A /0 matches no source.
    let halves = denied_v4.iter().flat_map(|net| {
        let length = net.prefix_len().max(1);
        net.subnets(length).into_iter().flatten()
    });
    let mut plan = OtherPlan {
        statements: halves
            .map(|net| {
                format!(
                    "CREATE USER IF NOT EXISTS {}@'{}' ACCOUNT LOCK;",
                    quoted(user, '\''),
                    written(net)
                )
            })
            .collect(),
        notes: notes.to_vec(),
    };
    if denied.iter().any(|net| matches!(net, IpNet::V6(_))) {
        plan.notes.push(
            "Not expressed: IPv6. An account's host matches single IPv6 addresses alone, so \
             sources of denied IPv6 networks still reach 'USER'@'%': bind the policy to the \
             service, or let the server listen on IPv4 alone."
                .to_owned(),
        );
    }
    plan
}

fn clickhouse(user: &str, allowed: &AddressSet) -> OtherPlan {
    let nets = networks(allowed);
    if let Some(plan) = too_many(nets.len()) {
        return plan;
    }
    let name = quoted(user, '`');
    // A /0 becomes ANY, which is both families.
    let mut halves = Vec::new();
    let has_every =
        |family: fn(&IpNet) -> bool| nets.iter().any(|net| net.prefix_len() == 0 && family(net));
    let is_any = has_every(|net| matches!(net, IpNet::V4(_)))
        && has_every(|net| matches!(net, IpNet::V6(_)));
    for net in &nets {
        match net.prefix_len() {
            0 => halves.extend(net.subnets(1).into_iter().flatten()),
            _ => halves.push(*net),
        }
    }
    let hosts = match (is_any, halves.is_empty()) {
        (true, _) => "ANY".to_owned(),
        (_, true) => "NONE".to_owned(),
        _ => {
            let hosts: Vec<_> = halves.iter().map(|net| format!("'{net}'")).collect();
            format!("IP {}", hosts.join(", "))
        }
    };
    OtherPlan {
        statements: vec![format!("ALTER USER {name} HOST {hosts};")],
        notes: vec![
            "HOST replaces all that the user had. A user of a configuration file cannot be \
             altered by SQL: write <networks> there."
                .to_owned(),
        ],
    }
}

fn mongodb(user: &str, allowed: &AddressSet) -> OtherPlan {
    let nets = networks(allowed);
    if let Some(plan) = too_many(nets.len()) {
        return plan;
    }
    if nets.is_empty() {
        return OtherPlan {
            statements: Vec::new(),
            notes: vec![
                "Not expressed: a user who may come from nowhere. Drop the user, or bind the policy \
                 to the service."
                    .to_owned(),
            ],
        };
    }
    let sources: Vec<_> = nets.iter().map(|net| format!("\"{net}\"")).collect();
    OtherPlan {
        statements: vec![format!(
            "db.updateUser({}, {{ authenticationRestrictions: [ {{ clientSource: [{}] }} ] }})",
            json(user),
            sources.join(", ")
        )],
        notes: vec![
            "Run it in the database in which the user was made. It replaces all restrictions that \
             the user had; a role's restrictions hold in addition."
                .to_owned(),
        ],
    }
}

/// The fewest networks of a set.
fn networks(set: &AddressSet) -> Vec<IpNet> {
    AddressSet::all().without(set).around(set, MOST)
}

fn v4(net: &IpNet) -> Option<Ipv4Net> {
    match net {
        IpNet::V4(net) => Some(*net),
        IpNet::V6(_) => None,
    }
}

/// As MariaDB reads networks: with a dotted netmask, which for a host is left out.
fn dotted(net: Ipv4Net) -> String {
    match net.prefix_len() {
        32 => net.addr().to_string(),
        _ => format!("{}/{}", net.network(), net.netmask()),
    }
}

/// A name in quotes, doubled where it holds them; backslashes too.
pub(super) fn quoted(name: &str, quote: char) -> String {
    let mut out = String::from(quote);
    for c in name.chars() {
        if c == quote || c == '\\' {
            out.push(c);
        }
        out.push(c);
    }
    out.push(quote);
    out
}

/// A JavaScript string.
fn json(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(nets: &[&str]) -> AddressSet {
        let nets: Vec<IpNet> = nets.iter().map(|net| net.parse().unwrap()).collect();
        AddressSet::of(&nets)
    }

    #[test]
    fn mariadb_locks_accounts_from_what_is_denied_and_says_what_ipv6_does() {
        let plan = statements(OtherKind::MariaDb, "o'neil", &set(&["0.0.0.0/1"]));
        assert_eq!(
            plan.statements,
            ["CREATE USER IF NOT EXISTS 'o''neil'@'128.0.0.0/128.0.0.0' ACCOUNT LOCK;"]
        );
        assert!(plan.notes.iter().any(|note| note.contains("IPv6")));
        // A /0 matches no source.
        let plan = statements(OtherKind::MariaDb, "app", &set(&["2001:db8::/32"]));
        assert_eq!(plan.statements.len(), 2);
        let host = statements(OtherKind::MySql, "app", &set(&["10.0.0.1/32"]));
        assert_eq!(host.statements.len(), 32);
        assert!(host.statements[0].contains("'app'@'0.0.0.0/5'"), "{host:?}");
        let many: Vec<_> = (0..250).map(|n| format!("{n}.1.2.3/32")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let plan = statements(OtherKind::MariaDb, "app", &set(&many));
        assert!(plan.statements.is_empty() && plan.notes[0].contains("bind it to the service"));
    }

    #[test]
    fn clickhouse_and_mongodb_list_what_is_allowed() {
        let allowed = set(&["10.0.0.0/8", "2001:db8::/32"]);
        let plan = statements(OtherKind::ClickHouse, "a`b", &allowed);
        assert_eq!(
            plan.statements,
            ["ALTER USER `a``b` HOST IP '10.0.0.0/8', '2001:db8::/32';"]
        );
        let v4 = statements(OtherKind::ClickHouse, "app", &set(&["0.0.0.0/0"]));
        assert_eq!(
            v4.statements,
            ["ALTER USER `app` HOST IP '0.0.0.0/1', '128.0.0.0/1';"]
        );
        let none = statements(OtherKind::ClickHouse, "app", &AddressSet::default());
        assert_eq!(none.statements, ["ALTER USER `app` HOST NONE;"]);
        let any = statements(OtherKind::ClickHouse, "app", &AddressSet::all());
        assert_eq!(any.statements, ["ALTER USER `app` HOST ANY;"]);
        let plan = statements(OtherKind::MongoDb, "a\"b", &allowed);
        assert_eq!(
            plan.statements,
            [
                "db.updateUser(\"a\\\"b\", { authenticationRestrictions: [ { clientSource: \
              [\"10.0.0.0/8\", \"2001:db8::/32\"] } ] })"
            ]
        );
        let none = statements(OtherKind::MongoDb, "app", &AddressSet::default());
        assert!(none.statements.is_empty() && !none.notes.is_empty());
    }
}
