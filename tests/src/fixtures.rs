//! Packets with the reasons that the program must give, and what governs them.

use netpolicy_common::Reason;
use netpolicy_user::model::change::Change;
use netpolicy_user::model::{Combine, Mode};

use crate::rules::{self, Loaded};

/// A sentence, a packet, and the reason that it must be given.
pub type Fixture = (&'static str, Vec<u8>, Reason);

/// On the host's allow list.
pub const ALLOWED: &str = "10.0.0.1";
/// On the host's allow and block lists.
pub const BLOCKED: &str = "10.66.0.1";
/// On no list of the host.
pub const UNLISTED: &str = "8.8.8.8";
/// As [`ALLOWED`].
pub const ALLOWED6: &str = "fd00::1";
/// As [`BLOCKED`].
pub const BLOCKED6: &str = "fd00:bad::1";
/// As [`UNLISTED`].
pub const UNLISTED6: &str = "2001:db8::1";

/// Of no service.
pub const HOST_PORT: u16 = 3306;
/// Never judged.
pub const FAILSAFE: u16 = 22;
/// Of a service whose policy replaces the host's.
pub const POSTGRES: u16 = 5432;
/// Of a service without a policy of its own.
pub const BARE: u16 = 6432;
/// Of a service whose policy combines with the host's, in the middle of its range.
pub const METRICS: u16 = 7005;
/// Of a service that only observes.
pub const LAB: u16 = 8080;

/// A policy file: a service, a policy of the host and one of the service.
pub const POLICY_FILE: &str = r#"# The whole state.
[[service]]
name = "postgres"
ports = ["5432", "6432"]

[[policy]]
name = "office"
allow = ["10.0.0.0/8", "192.168.1.0/24"]
block = ["192.168.1.99"]
comment = "head office"
bind = ["host"]

[[policy]]
name = "dba"
allow = ["192.168.1.7/28"]
bind = ["postgres"]
"#;

/// What governs the constants above.
#[must_use]
pub fn example() -> Vec<Change> {
    let host_allow = ["10.0.0.0/8", "192.168.0.0/16", "fd00::/8"];
    let host_block = ["10.66.0.0/16", "203.0.113.7", "fd00:bad::/32"];
    vec![
        rules::service("postgres", &["5432"], Combine::Override, Mode::Enforce),
        rules::service("bare", &["6432"], Combine::Override, Mode::Enforce),
        rules::service("metrics", &["7000-7010"], Combine::And, Mode::Enforce),
        rules::service("lab", &["8080"], Combine::Override, Mode::Observe),
        rules::policy("office", Some(&host_allow), &host_block, &[]),
        rules::policy(
            "dba",
            Some(&["8.8.8.0/24", "fd00:1::/32"]),
            &["8.8.8.99"],
            &["postgres"],
        ),
        rules::policy(
            "scrape",
            Some(&["10.1.0.0/16", "10.66.1.0/24", "172.16.0.0/12"]),
            &[],
            &["metrics"],
        ),
        rules::policy("trial", None, &["10.0.0.0/24"], &["lab"]),
    ]
}

/// Fails with every fixture that is given another reason.
///
/// # Panics
/// When there is one.
#[track_caller]
pub fn check(loaded: &mut Loaded, fixtures: Vec<Fixture>) {
    let wrong: Vec<String> = fixtures
        .into_iter()
        .filter_map(|(sentence, packet, expected)| {
            let said = loaded.judge(&packet);
            let frame = || {
                packet
                    .iter()
                    .map(|b| format!("{b:02x}"))
                    .collect::<String>()
            };
            (said != expected).then(|| {
                format!(
                    "{sentence}: expected {expected:?}, got {said:?}: {}",
                    frame()
                )
            })
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The same, under [`example`].
#[track_caller]
pub fn check_example(fixtures: Vec<Fixture>) {
    check(&mut Loaded::new(&rules::ruleset(&example())), fixtures);
}
