use super::*;
use crate::model::{Binding, Feed, Limits, Name, NamedList, PortSet, RuleList};

fn file(text: &str) -> Change {
    Change::Apply {
        file: SourceText {
            name: "fleet.toml".into(),
            text: text.into(),
        },
        lists: vec![],
        skip_invalid: false,
        allow_empty: false,
        keep_others: false,
    }
}

fn failsafe(ports: &[&str]) -> Change {
    Change::SetHost {
        mode: None,
        on_deny: None,
        failsafe_ports: Some(ports.iter().map(|&port| port.to_owned()).collect()),
    }
}

const FLEET: &str = r#"
[host]
mode = "observe"
failsafe_ports = []

[[service]]
name = "postgres"
ports = ["5432"]

[[service]]
name = "pooler"
ports = ["6432"]

[[policy]]
name = "office"
allow = ["10.0.0.0/8"]
bind = ["postgres", "host"]

[[test]]
source = "10.0.0.1"
service = "pooler"
expect = "pass"
"#;

#[test]
fn host_keeps_its_failsafe_ports_and_numbers_and_the_rest_is_the_fleets() {
    let own = after(&[
        service("other", &["5432"]),
        service("postgres", &["5433"]),
        create("local", None, &["192.0.2.1"]),
        failsafe(&["22", "6432"]),
    ]);
    let number = own.service("postgres").unwrap().id;
    let fleet = after(&[file(FLEET)]);
    let applied = own.with_fleet(&fleet, Limits::default()).unwrap();
    let state = applied.state;
    assert_eq!(state.host.failsafe_ports.to_string(), "22,6432");
    assert_eq!(state.host.mode, Mode::Observe);
    let names: Vec<_> = state.services.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(
        names,
        ["postgres"],
        "all ports of the other are failsafe here"
    );
    assert_eq!(state.services[0].id, number);
    assert_eq!(state.services[0].ports, PortSet::single(5432));
    let office = state.policy("office").unwrap();
    assert_eq!((office.owner.as_str(), office.bindings.len()), ("root", 2));
    assert!(state.policy("local").is_none());
    assert!(state.tests.is_empty());
    let told = applied.warnings.join("\n");
    for text in [
        "service 'pooler' of the fleet is not judged on port 6432",
        "the test 10.0.0.1 to pooler of the fleet is left out",
    ] {
        assert!(told.contains(text), "{told}");
    }
    // The same again changes nothing.
    let again = state.with_fleet(&fleet, Limits::default()).unwrap().state;
    assert!(plan(&state, &again).is_empty());
}

#[test]
fn service_that_the_host_lacks_is_reported_and_not_refused() {
    let own = after(&[service("postgres", &["5433"])]);
    let mut fleet = after(&[file(FLEET)]);
    fleet.services.clear();
    let office = fleet.policies.iter_mut().next().unwrap();
    let pooler = Binding::Service(Name::new("pooler").unwrap());
    office.bindings.insert(pooler);
    let applied = own.with_fleet(&fleet, Limits::default()).unwrap();
    let state = applied.state;
    assert_eq!(state.services, own.services);
    let office = state.policy("office").unwrap();
    let bound: Vec<_> = office.bindings.iter().map(ToString::to_string).collect();
    assert_eq!(bound, ["host", "postgres"]);
    let told = applied.warnings.join("\n");
    let text =
        "policy 'office' of the fleet is not bound to service 'pooler', which this host lacks";
    assert!(told.contains(text), "{told}");
}

#[test]
fn content_of_a_feed_stays_the_hosts() {
    let feed = |entries: &[&str]| {
        let mut state = after(&[create("other", None, entries)]);
        let policy = state.policies.pop().unwrap();
        state.lists.push(NamedList {
            name: Name::new("drop").unwrap(),
            entries: policy.block,
            every: RuleList::default(),
            rule: None,
            feed: Some(Box::new(Feed::new("https://example.org/drop"))),
            max_shrink: None,
            comment: None,
            owner: "alice".into(),
            created: policy.created,
            altered: policy.altered,
        });
        state
    };
    let own = feed(&["192.0.2.1", "192.0.2.2"]);
    let state = own.with_fleet(&feed(&[]), Limits::default()).unwrap().state;
    assert_eq!(
        (state.lists[0].len(), state.lists[0].owner.as_str()),
        (2, "root")
    );
}

#[test]
fn state_that_no_change_could_make_is_refused_with_all_that_is_wrong() {
    let mut fleet = after(&[
        file(FLEET),
        create("more", None, &["192.0.2.0/25", "192.0.2.128/25"]),
    ]);
    let mut twice = fleet.policies[0].clone();
    twice.name = Name::exact("MORE").unwrap();
    fleet.policies.push(twice);
    fleet.services[0].ports = fleet.services[1].ports.clone();
    let limits = Limits {
        policies: 2,
        rules_per_list: 1,
    };
    let errors = State::empty().with_fleet(&fleet, limits).unwrap_err();
    let told = errors.to_string();
    for text in [
        "a second policy",
        "port 5432",
        "3 policies",
        "the block list has more than 1 rule",
    ] {
        assert!(told.contains(text), "{text}: {told}");
    }
}

#[test]
fn only_what_is_the_fleets_counts_as_altered() {
    let state = after(&[file(FLEET)]);
    let with = |change: &Change| state.apply(change, &cx()).unwrap().state;
    assert!(!state.alters_fleet(&with(&failsafe(&["22"])), true));
    assert!(state.alters_fleet(&with(&create("more", None, &[])), true));
    let services = with(&service("other", &["8080"]));
    assert!(state.alters_fleet(&services, true));
    assert!(!state.alters_fleet(&services, false));
}
