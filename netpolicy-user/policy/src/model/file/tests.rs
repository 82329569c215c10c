use proptest::prelude::*;

use super::*;
use crate::model::arbitrary::{cx, state};
use crate::model::error::ErrorKind;
use crate::model::plan;

fn source(name: &str, text: &str) -> SourceText {
    SourceText {
        name: name.into(),
        text: text.into(),
    }
}

fn read_file(text: &str) -> Applied {
    parse(&source("p.toml", text), &[], false, &cx()).unwrap()
}

fn errors(text: &str) -> Vec<String> {
    parse(&source("p.toml", text), &[], false, &cx())
        .unwrap_err()
        .messages()
}

#[test]
fn answer_to_denials_is_read_and_exported_unless_it_is_the_default() {
    let text = "[host]\non_deny = \"reset\"\n[[service]]\nname = \"pg_\"\nports = [5432]\n\
                [[service]]\nname = \"web\"\nports = [443]\non_deny = \"reset\"\n";
    let state = read_file(text).state;
    let of = |state: &State| {
        let services = state.services.iter().map(|service| service.on_deny);
        [state.host.on_deny]
            .into_iter()
            .chain(services)
            .collect::<Vec<_>>()
    };
    use OnDeny::{Drop, Reset};
    assert_eq!(of(&state), [Reset, Drop, Reset]);
    let exported = export(&state);
    assert_eq!(exported.matches("on_deny").count(), 2, "{exported}");
    assert_eq!(of(&read_file(&exported).state), of(&state));
    let items = plan(&read_file("").state, &state);
    let details: Vec<_> = items.into_iter().flat_map(|item| item.details).collect();
    assert!(
        details.contains(&"on deny: drop -> reset".to_owned()),
        "{details:?}"
    );
    assert!(
        details.contains(&"on deny: reset".to_owned()),
        "{details:?}"
    );
    assert!(!export(&State::empty()).contains("on_deny"));
    let message = &errors("[host]\non_deny = \"reject\"\n")[0];
    assert!(message.starts_with("p.toml:2:11: "), "{message}");
    assert!(message.contains("\"drop\" or \"reset\""), "{message}");
}

#[test]
fn example_file_is_read() {
    let state = read_file(
        r#"
[host]
mode = "observe"
failsafe_ports = [22, "2222"]

[[service]]
name = "Postgres"
ports = ["5432", 6432]
combine = "and"
mode = "observe"
comment = "the cluster"

[[policy]]
name = "office"
allow = ["192.168.1.0/24", { address = "2001:db8::/32", name = "v6", comment = "uplink" }]
block = ["192.168.1.99"]
comment = "head office"
bind = ["host", "POSTGRES"]

[[policy]]
name = "all_"
active = false
"#,
    )
    .state;
    assert_eq!(state.host.mode, Mode::Observe);
    assert_eq!(state.host.failsafe_ports.to_string(), "22,2222");
    let service = &state.services[0];
    assert_eq!((service.name.as_str(), service.id), ("postgres", 1));
    assert_eq!(service.ports.to_string(), "5432,6432");
    assert_eq!(
        (service.combine, service.mode),
        (Combine::And, Mode::Observe)
    );
    let all = &state.policies[0];
    assert_eq!(
        (all.name.as_str(), all.active, &all.allow),
        ("all_", false, &AllowPart::Any)
    );
    assert_eq!(all.bindings, BTreeSet::from([Binding::Host]));
    let office = &state.policies[1];
    let allow = office.allow_list().unwrap();
    assert_eq!(allow.place(&allow[0]).unwrap().to_string(), "p.toml:15");
    assert_eq!(
        (allow[1].name(), allow[1].comment()),
        (Some("v6"), Some("uplink"))
    );
    assert_eq!(office.bindings.len(), 2);
    assert_eq!(office.owner, "tester");
}

#[test]
fn list_files_are_joined_with_inline_rules() {
    let text = "[[policy]]\nname = \"one\"\nallow = [\"10.0.0.1\"]\nallow_file = [\"a.txt\", \"b.txt\"]\nblock_file = \"a.txt\"\n";
    let file = source("p.toml", text);
    assert_eq!(referenced_lists(&file).unwrap(), ["a.txt", "b.txt"]);
    let lists = [
        source("a.txt", "10.0.0.2\n"),
        source("b.txt", "\n10.0.0.3\n"),
    ];
    let state = parse(&file, &lists, false, &cx()).unwrap().state;
    let policy = &state.policies[0];
    let allow = policy.allow_list().unwrap();
    let places: Vec<_> = allow
        .iter()
        .map(|rule| allow.place(rule).unwrap().to_string())
        .collect();
    assert_eq!(places, ["p.toml:3", "a.txt:1", "b.txt:2"]);
    assert_eq!(policy.block.len(), 1);

    let found = parse(&file, &lists[..1], false, &cx())
        .unwrap_err()
        .to_string();
    assert!(
        found.starts_with("p.toml:4:24: the list file 'b.txt' was not sent"),
        "{found}"
    );
}

#[test]
fn duplicates_within_one_list_file_and_across_files_have_different_hints() {
    let text = "[[policy]]\nname = \"one\"\nblock_file = [\"a.txt\", \"b.txt\"]\n";
    let file = source("p.toml", text);
    let lists = [
        source("a.txt", "10.0.0.2\n10.0.0.3\n10.0.0.3\n"),
        source("b.txt", "10.0.0.2\n"),
    ];
    let errors = parse(&file, &lists, false, &cx()).unwrap_err();
    assert_eq!(
        errors.messages(),
        [
            "a.txt:3: '10.0.0.3' is on the list already, as '10.0.0.3' (a.txt:2); remove one of them",
            "b.txt:1: '10.0.0.2' is on the list already, as '10.0.0.2' (a.txt:1); leave it out, or give each file a policy of its own",
        ]
    );
}

#[test]
fn a_list_file_alone_makes_an_allow_list_and_may_be_tolerant() {
    let file = source(
        "p.toml",
        "[[policy]]\nname = \"one\"\nallow_file = \"a.txt\"\n",
    );
    let lists = [source("a.txt", "nonsense\n10.0.0.1\n")];
    assert!(parse(&file, &lists, false, &cx()).is_err());
    let applied = parse(&file, &lists, true, &cx()).unwrap();
    assert_eq!(
        applied.state.policies[0].allow_list().map(RuleList::len),
        Some(1)
    );
    assert_eq!(applied.warnings.len(), 1);
}

#[test]
fn a_list_file_without_an_address_is_refused_unless_it_may_be_empty() {
    let text = "[[policy]]\nname = \"one\"\nblock_file = [\"a.txt\", \"b.txt\"]\n";
    let good = source("b.txt", "10.0.0.2\n");
    let empty = [
        ("", "; it is empty but for blank lines and comments"),
        ("\u{feff}\n# 10.0.0.1\n ; more\n,\n", "; it begins with ','"),
        (
            "<!DOCTYPE html>\n<p>\n10.0.0.1\n",
            " list, but HTML or XML; it begins with '<!DOCTYPE html>'",
        ),
        (
            "{\"prefixes\": [\n\"10.0.0.0/8\"]}\n",
            " list, but JSON; it begins with '{\"prefixes\": ['",
        ),
        ("0.0.0.0/0\n", "; it begins with '0.0.0.0/0'"),
    ];
    for (content, words) in empty {
        let lists = [source("a.txt", content), good.clone()];
        let errors = parse(&source("p.toml", text), &lists, true, &cx()).unwrap_err();
        let [error] = &errors.messages()[..] else {
            panic!("{errors:?}")
        };
        assert!(error.starts_with("a.txt: holds no address"), "{error}");
        assert!(error.contains(words), "{error}");
        let named = "; it is the block_file at p.toml:3:15 of policy 'one'; ";
        assert!(
            error.contains("--allow-empty") && error.contains(named),
            "{error}"
        );
        let may = format!("{text}allow_empty = true\n");
        let applied = parse(&source("p.toml", &may), &lists, true, &cx()).unwrap();
        let rules = if content.contains("\n10.0.0.1\n") {
            2
        } else {
            1
        };
        assert_eq!(applied.state.policies[0].block.len(), rules, "{content}");
    }
    // Without tolerance each bad line is reported, and nothing is reported twice.
    let lists = [source("a.txt", "gone\n"), good];
    let errors = parse(&source("p.toml", text), &lists, false, &cx()).unwrap_err();
    let messages = errors.messages();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].starts_with("a.txt:1:1: 'gone'"), "{messages:?}");
    let wrong = format!("{text}allow_empty = \"yes\"\n");
    let errors = parse(&source("p.toml", &wrong), &[], false, &cx()).unwrap_err();
    let of_key = errors
        .messages()
        .into_iter()
        .filter(|e| e.contains("'allow_empty' is"));
    assert_eq!(of_key.count(), 1);
}

#[test]
fn every_error_has_its_place() {
    let found = errors(
        r#"
[hosts]
[host]
mode = "off"
failsafe_ports = ["0", "22"]
[[service]]
name = "p"
port = ["5432"]
[[service]]
name = "host"
ports = ["70000"]
[[policy]]
name = "office"
alow = ["10.0.0.0/8"]
allow = ["10.0.0.0/33", "10.0.0.1", 7, { adress = "10.0.0.2" }]
bind = ["hots"]
active = "yes"
[[policy]]
name = "Office"
comment = 1
[[policy]]
block = ["0.0.0.0/0"]
"#,
    );
    let expected = [
        "p.toml:2:2: unknown key 'hosts' in the policy file; did you mean 'host'?",
        "p.toml:4:8: 'mode' is 'off'; expected \"enforce\" or \"observe\"",
        "p.toml:5:19: invalid port or port range '0': ports are 1 to 65535",
        "p.toml:8:1: unknown key 'port' in [[service]]; did you mean 'ports'?",
        "p.toml:7:8: the name 'p' has 1 character",
        "p.toml:6:1: [[service]] without 'ports'; add ports = [\"5432\"]",
        "p.toml:10:8: a service cannot be named 'host'",
        "p.toml:11:10: invalid port or port range '70000'",
        "p.toml:14:1: unknown key 'alow' in [[policy]]; did you mean 'allow'?",
        "p.toml:15:10: '10.0.0.0/33' is not an address or CIDR: the prefix length 33 is more than 32",
        "p.toml:15:37: 'allow' is an integer; expected a string or {",
        "p.toml:15:42: unknown key 'adress' in a rule; did you mean 'address'?",
        "p.toml:15:40: a rule without 'address'",
        "p.toml:16:9: 'bind' names 'hots', but this file has no such [[service]]; did you mean 'host'?",
        "p.toml:17:10: 'active' is a string; expected true or false",
        "p.toml:20:11: 'comment' is an integer; expected a string",
        "p.toml:19:8: a second policy 'office' (p.toml:13:8)",
        "p.toml:21:1: [[policy]] without 'name'; add name = \"office\"",
        "p.toml:22:10: a blocked 0.0.0.0/0 denies every IPv4 source",
    ];
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            found.starts_with(expected),
            "\nfound    {found}\nexpected {expected}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn services_cannot_share_ports_or_have_failsafe_ports() {
    let text = "[[service]]\nname = \"one\"\nports = [\"22-30\"]\n[[service]]\nname = \"two\"\nports = [\"25\"]\n[[service]]\nname = \"three\"\nports = []\n";
    let found = errors(text);
    assert!(found[0].starts_with("p.toml:2:8: port 22 of service 'one' is a failsafe port"));
    assert!(found[1].starts_with("p.toml:5:8: port 25 of service 'two' belongs to service 'one'"));
    assert!(found[2].starts_with("p.toml:8:8: service 'three' has no ports"));
    assert_eq!(found.len(), 3);
}

#[test]
fn syntax_errors_have_places_and_plain_words() {
    let found = errors("[[policy]]\nname = “office”\nallow = [\"10.0.0.0/8\"\n");
    assert!(
        found[0].starts_with("p.toml:2:8: not valid TOML: “ (U+201C) is a typographic quote"),
        "{found:?}"
    );
    assert!(found.len() > 1, "{found:?}");
    let found = errors("[policy]\nname = \"one\"\n");
    assert!(
        found[0].contains("'policy' is a table; expected [[policy]]"),
        "{found:?}"
    );
    let found = errors("[[policy]]\nname = \"one\"\nname = \"two\"\n");
    assert!(
        found[0].contains("p.toml:3:1: not valid TOML: duplicate key"),
        "{found:?}"
    );
}

#[test]
fn random_input_fails_early() {
    assert_eq!(
        errors("\0\u{1}binary"),
        ["p.toml: not a text file: it holds a zero byte"]
    );
    let found = errors(&"x!! =\n".repeat(2_000_000));
    assert_eq!(found.len(), 21);
    assert!(found[20].ends_with("the rest was not read"), "{found:?}");
    assert!(!errors(&"x".repeat(3_000_000)).is_empty());
}

#[test]
fn a_file_over_a_limit_is_refused() {
    let text: String = (0..21)
        .map(|i| format!("[[policy]]\nname = \"pol{i}\"\n"))
        .collect();
    assert!(errors(&text)[0].starts_with("p.toml: 21 policies, but the limit is 20"));
    let text: String = (0..256)
        .map(|i| format!("[[service]]\nname = \"svc{i}\"\nports = [{}]\n", 1000 + i))
        .collect();
    assert!(errors(&text)[0].starts_with("more than 255 services"));
}

#[test]
fn file_without_policies_gives_a_warning() {
    assert_eq!(
        read_file("").warnings,
        ["p.toml holds no policy: nothing will be denied"]
    );
}

#[test]
fn second_apply_changes_nothing_and_an_edit_keeps_the_rest() {
    let text = "[[service]]\nname = \"pg_\"\nports = [5432]\n[[service]]\nname = \"web\"\nports = [80]\n[[policy]]\nname = \"one\"\nallow = [\"10.0.0.1/8\"]\n[[policy]]\nname = \"two\"\n";
    let apply = |state: &State, text: &str, cx: &ChangeContext<'_>| {
        let change = Change::Apply {
            file: source("p.toml", text),
            lists: vec![],
            skip_invalid: false,
            allow_empty: false,
            keep_others: false,
        };
        state.apply(&change, cx).unwrap().state
    };
    let first = apply(&State::empty(), text, &cx());
    let later = ChangeContext {
        now: "2026-01-01T00:00:00Z".parse().unwrap(),
        actor: "else",
        ..cx()
    };
    let second = apply(&first, text, &later);
    assert_eq!(first, second);
    assert_eq!(plan(&first, &second), []);

    // Another line, another service gone, one more policy changed.
    let edited = text
        .replace("[[service]]\nname = \"pg_\"\nports = [5432]\n", "")
        .replace("name = \"two\"", "name = \"two\"\ncomment = \"x\"");
    let third = apply(&first, &edited, &later);
    assert_eq!(third.services[0].id, 2, "a service keeps its number");
    assert_eq!(third.policies[0].altered, first.policies[0].altered);
    assert_ne!(
        third.policies[0], first.policies[0],
        "its rules moved to another line"
    );
    assert_eq!(third.policies[1].altered, later.now);
    assert_eq!(third.policies[1].created, first.policies[1].created);
    assert_eq!(third.policies[1].owner, "tester");
    let subjects: Vec<_> = plan(&first, &third)
        .into_iter()
        .map(|item| item.subject)
        .collect();
    assert_eq!(subjects, ["service pg_", "policy two"]);
}

#[test]
fn errors_have_their_kind() {
    let kind = |text: &str| {
        parse(&source("p.toml", text), &[], false, &cx())
            .unwrap_err()
            .kind()
    };
    assert_eq!(kind("x"), ErrorKind::Invalid);
    let twice = "[[policy]]\nname = \"one\"\n[[policy]]\nname = \"one\"\n";
    assert_eq!(kind(twice), ErrorKind::Conflict);
}

#[test]
fn long_lists_are_exported_one_rule_a_line() {
    let text = "[[policy]]\nname = \"one\"\nallow = [\"10.0.0.1\", \"10.0.0.2/32\", \"10.0.0.3\", \"10.0.1.9/24\"]\nblock = [\"::0\"]\nbind = []\n";
    let text = export(&read_file(text).state);
    let expected = "[host]\nmode = \"enforce\"\nfailsafe_ports = [\"22\"]\n\n[[policy]]\nname = \"one\"\nbind = []\nallow = [\n  \"10.0.0.1\",\n  \"10.0.0.2/32\",\n  \"10.0.0.3\",\n  \"10.0.1.9/24\",\n]\nblock = [\"::0\"]\n";
    assert_eq!(text, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn export_reads_back_as_the_same_state(state in state()) {
        let text = export(&state);
        let change = Change::Apply { file: source("p.toml", &text), lists: vec![], skip_invalid: false, allow_empty: false,
        keep_others: false };
        let again = state.apply(&change, &cx()).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        prop_assert_eq!(plan(&state, &again.state), vec![]);
        prop_assert_eq!(export(&again.state), text);
        // And on an untouched host.
        let fresh = State::empty().apply(&change, &cx()).unwrap();
        prop_assert_eq!(plan(&state, &fresh.state), vec![]);
    }

    #[test]
    fn any_text_gives_a_state_or_errors(
        text in "(\\[\\[policy\\]\\]|\\[host\\]|name|allow|=|\"|\n|10\\.0\\.0\\.1|[\\[\\]{},.]|\\PC){0,30}"
    ) {
        if let Err(errors) = parse(&source("p.toml", &text), &[], false, &cx()) {
            prop_assert!(!errors.messages().is_empty());
            prop_assert!(errors.messages().iter().all(|message| !message.contains('\n')));
        }
    }
}
