//! Every view as a table and as JSON.

mod changes;
mod explain_view;
mod hostile;
mod lint_view;
mod seen_view;
mod sources_view;
mod status_view;

use super::*;
use crate::api::*;
use crate::model::ListKind;
use crate::model::{Combine, Mode, OnDeny};
use crate::testing::word;

fn options() -> RenderOptions {
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    RenderOptions {
        format: Format::Table,
        colour: false,
        zone: Some(TimeZone::UTC),
        now,
    }
}

fn at(text: &str) -> Timestamp {
    format!("2026-11-20T{text}Z").parse().unwrap()
}

fn table<T: Render + ?Sized>(value: &T) -> String {
    let mut out = Vec::new();
    render(value, &options(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Compares without the first line break, so that tables stand aligned in the source.
#[track_caller]
fn shows<T: Render + ?Sized>(value: &T, expected: &str) {
    let (found, expected) = (table(value), expected.strip_prefix('\n').unwrap());
    assert_eq!(found, expected, "\n{found}");
}

/// JSON is the API's own type: what is printed reads back as the same value.
#[track_caller]
fn reads_back<T>(value: &T)
where
    T: Render + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let mut out = Vec::new();
    render(
        value,
        &RenderOptions {
            format: Format::Json,
            ..options()
        },
        &mut out,
    )
    .unwrap();
    assert!(out.ends_with(b"}\n"));
    assert_eq!(&serde_json::from_slice::<T>(&out).unwrap(), value);
}

fn status() -> Status {
    Status {
        agent: Some(AgentStatus {
            version: "0.1.0".into(),
            pid: 4711,
            started: at("08:00:00"),
            revision: 5,
            policies: 3,
            active_policies: 2,
            services: 1,
            observing: Vec::new(),
            answering: Vec::new(),
            rules: 1024,
            pending: None,
            restart: Vec::new(),
            bypasses: 0,
            bans: BansStatus::default(),
            fleet: None,
            feeds: Vec::new(),
            memory_bytes: 35 * 1024 * 1024,
            scopes: Vec::new(),
            open_ports: Some(Vec::new()),
            without_effect: 0,
        }),
        enforcement: Enforcement {
            state: EnforcementState::Attached,
            detached: None,
            engine: Some(word("lpm")),
            generation: 7,
            revision: 5,
            digest: "6f3a0c1255aa".repeat(5) + "0123",
            entries: 1000,
            abi: 1,
            interfaces: vec![
                Interface {
                    reason: Some("ena keeps its receive offloads under native XDP".into()),
                    ..Interface::new("eth0", 2, Attachment::Native)
                },
                Interface {
                    offloads: vec!["eth1: rx-lro off".into()],
                    ..Interface::new("eth1", 3, Attachment::Generic)
                },
            ],
            others: Vec::new(),
        },
        faults: Vec::new(),
    }
}

fn policy() -> PolicyView {
    PolicyView {
        allow_lists: vec![],
        block_lists: vec![],
        except_count: 0,
        except_lists: vec![],
        except: None,
        name: "office".into(),
        active: true,
        mode: Mode::Enforce,
        bindings: vec!["host".into(), "postgres".into()],
        allow_count: Some(2),
        block_count: 1,
        allow: Some(vec![
            RuleView {
                text: "192.168.1.7/24".into(),
                cidr: "192.168.1.0/24".into(),
                name: None,
                comment: None,
                expires: None,
                place: Some("office.toml:4".into()),
            },
            RuleView {
                text: "2001:db8::/32".into(),
                cidr: "2001:db8::/32".into(),
                name: None,
                comment: Some("lab".into()),
                expires: None,
                place: Some("office.toml:5".into()),
            },
        ]),
        block: Some(vec![RuleView {
            text: "192.168.1.99".into(),
            cidr: "192.168.1.99".into(),
            name: None,
            comment: None,
            expires: None,
            place: Some("--block".into()),
        }]),
        comment: Some("head office\nor so".into()),
        owner: "root".into(),
        created: at("09:00:00"),
        altered: at("09:30:00"),
    }
}

#[test]
fn policy_list_shows_one_line_per_policy() {
    let open = PolicyView {
        allow_lists: vec![],
        block_lists: vec![],
        except_count: 0,
        except_lists: vec![],
        except: None,
        name: "pests".into(),
        active: false,
        bindings: Vec::new(),
        allow_count: None,
        block_count: 100_000,
        comment: None,
        ..policy()
    };
    shows(
        &[policy(), open][..],
        "
NAME     STATUS     SCOPES           ALLOW   BLOCK    OWNER   ALTERED               COMMENT
office   active     host, postgres       2        1   root    2026-11-20 09:30:00   head office\\nor so
pests    inactive   -                  any   100000   root    2026-11-20 09:30:00
",
    );
    assert_eq!(
        table(&[] as &[PolicyView]),
        "no policies: every connection attempt passes\n"
    );
}

#[test]
fn policy_is_shown_with_all_its_rules() {
    shows(
        &policy(),
        "
Name      office
Status    active
Scopes    host, postgres
Allow     only 2 rules
Block     1 rule
Owner     root
Created   2026-11-20 09:00:00
Altered   2026-11-20 09:30:00
Comment   head office\\nor so

LIST    RULE             ENFORCED         COMMENT   PLACE
allow   192.168.1.7/24   192.168.1.0/24             office.toml:4
allow   2001:db8::/32                     lab       office.toml:5
block   192.168.1.99                                --block
",
    );
    reads_back(&policy());
}

#[test]
fn exceptions_are_shown_with_their_lists() {
    let policy = PolicyView {
        except_count: 1,
        except_lists: vec!["our-own".into()],
        except: Some(vec![RuleView {
            text: "192.168.1.100".into(),
            cidr: "192.168.1.100/32".into(),
            name: None,
            comment: None,
            expires: None,
            place: Some("--except".into()),
        }]),
        allow: None,
        allow_count: None,
        block: None,
        ..policy()
    };
    let text = table(&policy);
    assert!(
        text.contains("\nExcept    1 rule and the list @our-own\n"),
        "{text}"
    );
    assert!(text.contains("\nexcept   192.168.1.100"), "{text}");
    let text = table(&[policy][..]);
    assert!(text.contains("1 except 1 @our-own"), "{text}");
}

#[test]
fn empty_allow_list_is_shown_as_denying_every_source() {
    let nothing = PolicyView {
        allow_lists: vec![],
        block_lists: vec![],
        except_count: 0,
        except_lists: vec![],
        except: None,
        allow_count: Some(0),
        allow: Some(Vec::new()),
        ..policy()
    };
    assert!(table(&nothing).contains("Allow     nothing: an empty list denies every source\n"));
}

#[test]
fn services_and_host_are_shown_with_their_settings() {
    let service = ServiceView {
        name: "postgres".into(),
        ports: "5432,7000-7010".into(),
        combine: Combine::And,
        mode: Mode::Observe,
        on_deny: OnDeny::Reset,
        policies: vec!["office".into()],
        comment: None,
    };
    shows(
        std::slice::from_ref(&service),
        "
NAME       PORTS            COMBINE   MODE      ON DENY   POLICIES   COMMENT
postgres   5432,7000-7010   and       observe   reset     office
",
    );
    let host = HostView {
        mode: Mode::Enforce,
        on_deny: OnDeny::Drop,
        failsafe_ports: String::new(),
        policies: vec!["office".into(), "vpn".into()],
    };
    shows(
        &host,
        "
Mode             enforce
On deny          drop
Failsafe ports   none
Policies         office, vpn
",
    );
    reads_back(&host);
}

#[test]
fn bypasses_are_listed_with_the_time_left() {
    let bypass = |scope: &str, expires| BypassView {
        source: "203.0.113.0/24".into(),
        scope: scope.into(),
        granted: at("11:30:00"),
        expires: at(expires),
        granted_by: "root".into(),
    };
    shows(
        &[
            bypass("host", "12:29:30"),
            bypass("postgres", "14:05:00"),
            bypass("ssh", "12:00:00"),
        ][..],
        "
SOURCE           SCOPE      LEFT      EXPIRES               GRANTED BY
203.0.113.0/24   host       29m 30s   2026-11-20 12:29:30   root
203.0.113.0/24   postgres   2h 5m     2026-11-20 14:05:00   root
203.0.113.0/24   ssh        expired   2026-11-20 12:00:00   root
",
    );
    shows(
        &bypass("host", "12:30:00"),
        "
203.0.113.0/24 bypasses host until 2026-11-20 12:30:00, for 30m
",
    );
    reads_back(&bypass("host", "12:30:00"));
}

#[test]
fn counters_are_listed_by_scope_and_reason() {
    let row = |scope: &str, reason: &str, action: &str, packets| CounterRow {
        scope: scope.into(),
        reason: word(reason),
        action: word(action),
        packets,
        since: (scope == "host").then(|| at("08:00:00")),
    };
    let mut counters = Counters {
        rows: vec![
            row("host", "allowed", "pass", 1234),
            row("host", "blocked", "drop", 5),
            row("postgres", "observed-blocked", "pass", 1_000_000),
        ],
        events_sent: 1,
        events_limited: 2,
        events_overflowed: 0,
        resets_sent: 0,
        resets_limited: 0,
        resets_withheld: 0,
        recent: None,
    };
    shows(
        &counters,
        "
SCOPE      REASON             ACTION   PACKETS   SINCE
host       allowed            pass        1234   2026-11-20 08:00:00
host       blocked            drop           5   2026-11-20 08:00:00
postgres   observed-blocked   pass     1000000

1 event reported, 2 rate-limited, 0 lost to a full buffer
",
    );
    reads_back(&counters);
    (counters.resets_sent, counters.resets_limited) = (1, 7);
    assert!(table(&counters).ends_with("\n1 reset sent, 7 rate-limited, 0 withheld\n"));
    reads_back(&counters);
}

fn explanation() -> ExplainView {
    ExplainView {
        source: "203.0.113.9".parse().unwrap(),
        port: Some(5432),
        interface: Some("eth0".into()),
        arrival: Arrival::Route,
        enforced: true,
        scope: "postgres".into(),
        verdict: word("drop"),
        answered: false,
        reason: word("blocked"),
        sentence: "the source is on a block list".into(),
        policies: PoliciesSay {
            verdict: word("drop"),
            reason: word("blocked"),
            sentence: "the source is on a block list".into(),
        },
        ban: None,
        matched: Some(MatchView {
            named_list: None,
            policy: "office".into(),
            list: ListKind::Block,
            rule: RuleView {
                text: "203.0.113.7/24".into(),
                cidr: "203.0.113.0/24".into(),
                name: None,
                comment: Some("seen scanning".into()),
                expires: None,
                place: Some("pests.txt:7".into()),
            },
        }),
        excepted: vec![],
        consulted: vec![
            "office (allow 2, block 1)".into(),
            "vpn (allow any, block 0)".into(),
        ],
        kernel: Some(KernelVerdict {
            verdict: word("drop"),
            reason: word("blocked"),
        }),
        kernel_error: None,
        agrees: true,
        other_rules_in_force: false,
        revision: None,
    }
}
