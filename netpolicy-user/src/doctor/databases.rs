//! Databases whose users have policies: whether a helper runs, what the server makes of the lines,
//! and where these stand.

use std::path::{Path, PathBuf};

use super::{ExaminedHost, Lines};
use crate::api::{DatabaseCondition, DatabaseView};
use crate::model::DatabaseKind;

/// The first version whose `pg_hba.conf` includes directories and knows regular expressions.
const WITH_INCLUDES: u32 = 16;

/// What Patroni leaves in a server's data directory.
const PATRONI: [&str; 2] = ["patroni.dynamic.json", "patroni.yml"];

pub(super) fn check(host: &ExaminedHost<'_>, lines: &mut Lines) {
    for database in host.databases {
        one(host, database, lines);
    }
}

fn one(host: &ExaminedHost<'_>, database: &DatabaseView, lines: &mut Lines) {
    let name = &database.name;
    let check = format!("database {name}");
    let message = || database.message.clone().unwrap_or_default();
    let start = format!("systemctl enable --now netpolicy-db@{name}");
    match database.condition {
        DatabaseCondition::Unknown if database.users.is_empty() => {
            return lines.ok(check, "no policy is bound to a user of it");
        }
        DatabaseCondition::Unknown => {
            let found = "no helper runs: its users' policies are not looked after";
            return lines.fail(check, found, start);
        }
        DatabaseCondition::Waiting => {
            let found = "its helper has not reported yet";
            return lines.warn(
                check,
                found,
                format!("if it lasts: journalctl -u netpolicy-db@{name}"),
            );
        }
        DatabaseCondition::Unreachable => {
            let advice = "start the server; where its socket is elsewhere: `netpolicy db add \
                          --replace --socket-dir`";
            return lines.fail(check, format!("does not answer: {}", message()), advice);
        }
        DatabaseCondition::Refused => {
            let advice = "correct what it names; the helper tries again every 10 s";
            return lines.fail(
                check,
                format!("does not take its lines: {}", message()),
                advice,
            );
        }
        DatabaseCondition::InForce => {}
    }
    let version = database.version.as_deref().unwrap_or("of unknown version");
    let product = match database.kind {
        DatabaseKind::PostgreSql => format!("PostgreSQL {version}"),
        DatabaseKind::PgBouncer => version.to_owned(),
    };
    if let Some(message) = &database.message {
        let advice = "`netpolicy db list` shows whether it lasts";
        return lines.warn(check, message.clone(), advice);
    }
    let file = database.file.as_deref().map(Path::new);
    let is_head = file.is_some_and(|file| !file.ends_with("50-netpolicy.conf"));
    if is_head && database.hba_conf.is_none() && major(version) >= Some(WITH_INCLUDES) {
        let shown = file.unwrap_or(Path::new("pg_hba.conf")).display();
        let patroni = file
            .and_then(Path::parent)
            .and_then(|dir| patroni(host, dir));
        let (found, advice) = match patroni {
            Some(sign) => (
                format!(
                    "{product}: its lines stand in {shown}, which Patroni writes ({} is \
                     there)",
                    sign.display()
                ),
                "make the directory netpolicy.d next to it as postgres, and put `- include_dir \
                 netpolicy.d` first in postgresql.pg_hba of Patroni's configuration",
            ),
            None => (
                format!("{product}: its lines stand in {shown} itself"),
                "make the directory netpolicy.d next to it as postgres, put `include_dir \
                 netpolicy.d` at its head and let the server reload; they move there by themselves",
            ),
        };
        return lines.warn(check, found, advice);
    }
    let lines_in_force = match database.lines {
        1 => "1 line".to_owned(),
        n => format!("{n} lines"),
    };
    let widens =
        match database.kind == DatabaseKind::PgBouncer || major(version) >= Some(WITH_INCLUDES) {
            true => "",
            false => "; users' policies can only narrow: to allow more takes version 16",
        };
    lines.ok(
        check,
        format!("{product}: {lines_in_force} in force{widens}"),
    );
}

fn major(version: &str) -> Option<u32> {
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// What says that Patroni runs the server of a data directory.
fn patroni(host: &ExaminedHost<'_>, directory: &Path) -> Option<PathBuf> {
    let relative = directory.strip_prefix("/").unwrap_or(directory);
    let mut signs = PATRONI.iter().map(|name| relative.join(name));
    let found = signs.find(|path| host.root.join(path).exists());
    found.map(|path| Path::new("/").join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_whatever_follows_it() {
        assert_eq!(major("15.14 (Debian 15.14-0+deb12u1)"), Some(15));
        assert_eq!(major("18beta1"), Some(18));
        assert_eq!(major("of unknown version"), None);
        assert!(major("16.1") >= Some(WITH_INCLUDES) && major("x") < Some(WITH_INCLUDES));
    }
}
