use std::net::IpAddr;

use jiff::Timestamp;
use netpolicy_common::Reason;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::compiler::compile;
use crate::model::arbitrary::{boundaries, cx, service_name, state};
use crate::model::rule::{Note, Spelling};
use crate::model::{
    AllowPart, Binding, Combine, Database, DatabaseKind, DatabaseUser, Mode, Name, Policy, Rule,
    RuleList, SourceText, State, UserBypass, UserKind, evaluate, file,
};

fn parsed(text: &str) -> State {
    let file = SourceText {
        name: "policy.toml".into(),
        text: text.into(),
    };
    file::parse(&file, &[], false, &cx()).unwrap().state
}

fn planned(state: &State) -> Result<DatabasePlan, PlanProblem> {
    let plans = plans(state, &compile(state), Timestamp::UNIX_EPOCH)?;
    Ok(plans.into_iter().next().unwrap())
}

const DATABASE: &str = r#"
[[service]]
name = "postgres"
ports = ["5432"]

[[database]]
name = "orders"
kind = "postgresql"
service = "postgres"
"#;

fn lines_of(policies: &str) -> Vec<String> {
    let plan = planned(&parsed(&format!("{DATABASE}{policies}"))).unwrap();
    plan.lines.iter().map(ToString::to_string).collect()
}

const OFFICE: &str =
    "[[policy]]\nname = \"office\"\nallow = [\"10.0.0.0/8\"]\nbind = [\"postgres\"]\n";

#[test]
fn user_with_a_narrower_policy_is_rejected_from_the_rest() {
    let lines = lines_of(&format!(
        "{OFFICE}[[policy]]\nname = \"desk\"\nallow = [\"10.128.0.0/9\"]\nbind = [\"user:alice@orders\"]\n"
    ));
    // Loopback arrives, too, and the policy does not allow it; the rest never arrives.
    assert_eq!(
        lines,
        [
            "host all,replication \"alice\" 0.0.0.0/5 reject",
            "host all,replication \"alice\" 10.0.0.0/9 reject",
            "host all,replication \"alice\" 64.0.0.0/2 reject",
            "host all,replication \"alice\" ::/0 reject",
        ]
        .into_iter()
        .filter(|line| !line.contains("0.0.0.0/5"))
        .collect::<Vec<_>>()
    );
}

#[test]
fn user_with_a_wider_policy_is_let_in_and_all_others_are_kept_out() {
    let state = parsed(&format!(
        "{DATABASE}{OFFICE}[[policy]]\nname = \"vpn\"\nallow = [\"192.0.2.0/24\"]\nbind = [\"user:alice@orders\"]\n"
    ));
    let ruleset = compile(&state);
    let service = &state.services[0];
    for (source, reason) in [
        ("10.0.0.1", Reason::Allowed),
        ("192.0.2.1", Reason::Allowed),
        ("192.0.3.1", Reason::NotAllowed),
    ] {
        let source = source.parse().unwrap();
        assert_eq!(ruleset.lookup(service.id, source), reason);
    }
    let plan = planned(&state).unwrap();
    assert_eq!(plan.widened_by.as_deref(), Some("vpn"));
    let text = text(&plan.lines);
    assert!(text.contains("\"/^(?!(?:alice)$)\" 192.0.0.0/9 reject") || text.contains("(?:alice)"));
    assert!(read_lines(&text).is_ok(), "{text}");
    for (user, source, passes) in [
        ("alice", "192.0.2.1", true),
        ("alice", "10.0.0.1", false),
        ("bob", "192.0.2.1", false),
        ("bob", "10.0.0.1", true),
    ] {
        let source = source.parse().unwrap();
        assert_eq!(
            !is_rejected(&plan.lines, user, &[], source),
            passes,
            "{user} {source}"
        );
    }
}

#[test]
fn names_are_written_so_that_they_mean_themselves_alone() {
    let line = HbaLine {
        net: "10.0.0.0/8".parse().unwrap(),
        users: vec![
            HbaUser::User("all".into()),
            HbaUser::Role("sales team".into()),
            HbaUser::AllBut(vec!["a.b".into(), "büro".into(), "x|y".into()]),
        ],
    };
    assert_eq!(
        line.to_string(),
        "host all,replication \"all\",+\"sales team\",\"/^(?!(?:a\\.b|büro|x\\|y)$)\" 10.0.0.0/8 reject"
    );
    assert_eq!(read_lines(&format!("{line}\n")).unwrap().len(), 1);
}

#[test]
fn text_with_a_line_that_does_not_reject_is_refused_by_its_number() {
    let good = "host all,replication \"a\" 10.0.0.0/8 reject";
    for bad in [
        "host all,replication \"a\" 10.0.0.0/8 trust",
        "host all,replication \"a\",all 10.0.0.0/8 reject",
        "host all,replication \"a\" 10.0.0.1/8 reject",
        "host all,replication \"a\"\",\" 10.0.0.0/8 reject",
        "host all,replication \"\" 10.0.0.0/8 reject",
        "local all,replication \"a\" 10.0.0.0/8 reject",
        "host all,replication \"a\" 10.0.0.0/8 trust # reject",
        "host all,replication \"a\" 10.0.0.0/8 trust\u{b} reject",
        "include_if_exists /etc/x",
        "",
    ] {
        assert_eq!(read_lines(&format!("{good}\n{bad}\n")), Err(2), "{bad}");
    }
    let all = read_lines("host all,replication all 10.0.0.0/8 reject\n").unwrap();
    assert!(all[0].users.is_empty(), "{all:?}");
}

#[test]
fn limits_are_refused_with_what_to_do() {
    let hosts: Vec<_> = (0..40_u32)
        .map(|n| format!("\"{}.1.2.{}\"", 20 + 3 * n, n))
        .collect();
    let open = format!(
        "{DATABASE}[[policy]]\nname = \"many\"\nallow = [{}]\nbind = [\"user:alice@orders\"]\n",
        hosts.join(", ")
    );
    let refused = planned(&parsed(&open)).unwrap_err().to_string();
    assert!(refused.contains("user:alice@orders"), "{refused}");
    assert!(
        refused.contains("bind them to the service instead"),
        "{refused}"
    );

    // Each allowed host is one that all others are kept out of.
    let hosts: Vec<_> = (0..101_u32).map(|n| format!("\"192.{n}.2.1\"")).collect();
    let list = hosts.join(", ");
    let among = format!(
        "{DATABASE}[[policy]]\nname = \"office\"\nallow = [\"10.0.0.0/8\", {}]\nbind = [\"postgres\"]\n\
         [[policy]]\nname = \"many\"\nallow = [{list}]\nbind = [\"user:alice@orders\"]\n",
        list.replace(".2.1", ".2.2")
    );
    let refused = planned(&parsed(&among)).unwrap_err().to_string();
    assert!(
        refused.contains("regular expression, which costs"),
        "{refused}"
    );

    let widening = format!(
        "{DATABASE}{OFFICE}[[policy]]\nname = \"vpn\"\nallow = [\"192.0.2.0/24\"]\nbind = [\"role:staff@orders\"]\n"
    );
    let refused = planned(&parsed(&widening)).unwrap_err().to_string();
    assert!(
        refused.contains("policy 'vpn' allows members of role:staff@orders"),
        "{refused}"
    );
}

#[test]
fn plan_beyond_what_can_be_expressed_rejects_more_and_stays_bounded() {
    let closed = |text: &str| {
        let state = parsed(text);
        let now = Timestamp::UNIX_EPOCH;
        closed_plan(&state, &compile(&state), &state.databases[0], now)
    };
    let (plan, problem) = closed(&format!(
        "{DATABASE}{OFFICE}[[policy]]\nname = \"vpn\"\nallow = [\"192.0.2.0/24\"]\nbind = [\"role:staff@orders\"]\n"
    ));
    assert!(matches!(problem, Some(PlanProblem::RoleWidens { .. })));
    let source = "10.0.0.1".parse().unwrap();
    assert!(is_rejected(&plan.lines, "dave", &["staff"], source));
    assert!(!is_rejected(&plan.lines, "carol", &[], source));

    let hosts: Vec<_> = (0..40_u32)
        .map(|n| format!("\"{}.1.2.{}\"", 20 + 3 * n, n))
        .collect();
    let (plan, problem) = closed(&format!(
        "{DATABASE}[[policy]]\nname = \"many\"\nallow = [{}]\nbind = [\"user:alice@orders\"]\n",
        hosts.join(", ")
    ));
    assert!(matches!(problem, Some(PlanProblem::UserLines { .. })));
    assert!(plan.lines.len() <= LINES_OF_USER);
    for source in ["20.1.2.1", "198.51.100.1", "2001:db8::1"] {
        let source = source.parse().unwrap();
        assert!(is_rejected(&plan.lines, "alice", &[], source), "{source}");
    }
}

#[test]
fn end_of_a_bypass_brings_no_problem_that_was_not_there() {
    let hosts: Vec<_> = (0..40_u32)
        .map(|n| format!("\"{}.1.2.{}\"", 20 + 3 * n, n))
        .collect();
    let mut state = parsed(&format!(
        "{DATABASE}[[policy]]\nname = \"many\"\nallow = [{}]\nbind = [\"user:alice@orders\"]\n",
        hosts.join(", ")
    ));
    state.databases[0].bypasses.push(UserBypass {
        kind: UserKind::User,
        name: "alice".into(),
        until: Timestamp::MAX,
    });
    assert!(planned(&state).is_err(), "as without the bypass");
}

/// What PostgreSQL does with the lines before the administrator's: the first that fits decides.
fn is_rejected(lines: &[HbaLine], user: &str, roles: &[&str], source: IpAddr) -> bool {
    let fits = |one: &HbaUser| match one {
        HbaUser::User(name) => name == user,
        HbaUser::Role(name) => name == user || roles.contains(&name.as_str()),
        HbaUser::AllBut(names) => names.iter().all(|name| name != user),
        HbaUser::Everyone => true,
    };
    let mut lines = lines.iter();
    lines.any(|line| line.net.contains(&source) && line.users.iter().any(fits))
}

fn is_loopback(source: IpAddr) -> bool {
    source.is_loopback()
}

/// Whether policies alone let a source through.
fn lets_through(state: &State, policies: Vec<Policy>, source: IpAddr) -> bool {
    let policies = policies.into_iter().map(|policy| Policy {
        bindings: [Binding::Host].into(),
        ..policy
    });
    let alone = State {
        lists: state.lists.clone(),
        policies: policies.collect(),
        ..State::empty()
    };
    !evaluate(&alone, None, source).reason.is_denial()
}

/// A state with a database behind its first service, and policies bound to users of it.
fn with_users() -> impl Strategy<Value = State> {
    let bound = vec((0_usize..6, 0_usize..3), 0..5);
    (state(), bound).prop_filter_map("services", |(mut state, bound)| {
        let service = state.services.first_mut()?;
        service.combine = Combine::Override;
        state.databases.push(Database {
            name: Name::new("orders").unwrap(),
            kind: DatabaseKind::PostgreSql,
            service: service_name(1),
            socket: None,
            hba_dir: None,
            hba_conf: None,
            comment: None,
            bypasses: Vec::new(),
        });
        for (policy, user) in bound {
            let policy = state.policies.get_mut(policy)?;
            let (kind, name) = [
                (UserKind::User, "alice"),
                (UserKind::User, "bob"),
                (UserKind::Role, "staff"),
            ][user];
            policy.bindings.insert(Binding::User(DatabaseUser {
                database: Name::new("orders").unwrap(),
                kind,
                name: name.into(),
            }));
        }
        Some(state)
    })
}

proptest! {
    #[test]
    fn oracle_and_compiler_agree_where_users_have_policies(state in with_users()) {
        let ruleset = compile(&state);
        for source in boundaries(&state) {
            for service in [None].into_iter().chain(state.services.iter().map(Some)) {
                let id = service.map_or(0, |service| service.id);
                let expected = evaluate(&state, service, source).reason;
                prop_assert_eq!(ruleset.lookup(id, source), expected, "{} {}", id, source);
                let drops = matches!(expected, Reason::Blocked | Reason::NotAllowed);
                let reaching = AddressSet::reaching(&ruleset, id);
                prop_assert_eq!(reaching.contains(source), !drops, "{} {}", id, source);
            }
        }
    }

    #[test]
    fn lines_and_filter_together_mean_the_policies(state in with_users()) {
        let Ok(plan) = planned(&state) else { return Ok(()) };
        let text = text(&plan.lines);
        prop_assert!(read_lines(&text).is_ok(), "{}", text);
        let service = &state.services[0];
        let plain = State {
            policies: state.policies.iter().map(|policy| Policy {
                bindings: policy.bindings.iter().filter(|one| one.user().is_none()).cloned().collect(),
                ..policy.clone()
            }).collect(),
            ..state.clone()
        };
        let governs = |scope| plain.governing(&scope).next().is_some();
        let by_host = governs(Binding::Host) && !governs(Binding::Service(service.name.clone()));
        let observes = service.mode == Mode::Observe || by_host && state.host.mode == Mode::Observe;
        let database = Name::new("orders").unwrap();
        let bound = |kind, name: &str| -> Vec<Policy> {
            let user = DatabaseUser { database: database.clone(), kind, name: name.into() };
            state.governing(&Binding::User(user)).cloned().collect()
        };
        let mut sources = boundaries(&state);
        sources.extend(["127.0.0.1", "127.255.255.255", "::1", "::2", "126.0.0.1"].map(|s| s.parse::<IpAddr>().unwrap()));
        let staff = bound(UserKind::Role, "staff");
        for source in sources {
            let arrives = is_loopback(source) || !evaluate(&state, Some(service), source).reason.is_denial();
            let by_service = is_loopback(source) || !evaluate(&plain, Some(service), source).reason.is_denial();
            for (user, roles) in [("alice", &[][..]), ("bob", &["staff"]), ("carol", &[]), ("dave", &["staff"])] {
                let policies = bound(UserKind::User, user);
                let mut may = match policies.is_empty() {
                    true => by_service,
                    false => {
                        // What the service blocks, no policy of a user lets in.
                        lets_through(&state, policies, source)
                    }
                };
                if roles.contains(&"staff") && !staff.is_empty() {
                    may &= lets_through(&state, staff.clone(), source);
                }
                let may = observes || may;
                let passes = arrives && !is_rejected(&plan.lines, user, roles, source);
                prop_assert_eq!(passes, arrives && may, "{} {}\n{}", user, source, text);
            }
        }
    }

    #[test]
    fn networks_around_a_set_are_the_fewest(nets in vec(crate::model::arbitrary::net(), 0..6), needed in vec(crate::model::arbitrary::net(), 0..6)) {
        let set = |nets: &[ipnet::IpNet]| {
            let rules = rules(nets);
            let policy = Policy { allow: AllowPart::Only(rules), ..bare() };
            AddressSet::allowed_by(&State::empty(), std::iter::once(&policy))
        };
        let (allowed, needed) = (set(&nets), set(&needed));
        let around = allowed.around(&needed, 1_000);
        let covered = set(&around);
        prop_assert!(needed.without(&allowed).without(&covered).is_empty(), "all that is needed");
        prop_assert_eq!(covered.without(&allowed), covered, "nothing that is allowed");
        for (index, net) in around.iter().enumerate() {
            // Each is needed, and its parent would hold what is allowed.
            let mut rest = around.clone();
            rest.remove(index);
            prop_assert!(!needed.without(&allowed).without(&set(&rest)).is_empty(), "{}", net);
            if let Some(parent) = net.supernet() {
                let parent = set(&[parent]);
                prop_assert!(parent.without(&allowed) != parent, "{}", net);
            }
        }
    }
}

fn rules(nets: &[ipnet::IpNet]) -> RuleList {
    let unique: std::collections::BTreeSet<_> = nets.iter().copied().collect();
    let rule = |net| Rule {
        net,
        source: 0,
        line: 0,
        note: Note {
            spelling: Spelling::Canonical,
            name: None,
            comment: None,
            expires: None,
        }
        .share(),
    };
    RuleList::from_parts(
        unique.into_iter().map(rule).collect(),
        vec!["--allow".into()],
    )
}

fn bare() -> Policy {
    let text = format!("{DATABASE}{OFFICE}");
    parsed(&text).policies.remove(0)
}
