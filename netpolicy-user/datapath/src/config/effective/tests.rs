//! Which values are in effect, and what is said of where they come from.

use super::*;
use crate::config::Overrides;

const FILE: &str =
    "# first\nsocket = \"/file.sock\"\nstate_dir = \"/state\"\n\n[limits]\n  policies = 7\n";

fn found(environment: &[(&str, &str)], options: &[(&'static str, &'static str)]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    std::fs::write(&path, FILE).unwrap();
    let variable = |name: &str| {
        let found = environment.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| OsString::from(value))
    };
    let overrides = Overrides {
        file: Some(path.clone()),
        socket: options.first().map(|_| "/option.sock".into()),
        ..Overrides::default()
    };
    let config = Config::load(&overrides, variable).unwrap();
    let settings = settings(
        &config,
        Some((Path::new("c.toml"), FILE)),
        variable,
        options,
    );
    let line = |s: &Setting| format!("{} = {} ({})", s.key, s.value, s.origin);
    settings.iter().map(line).collect()
}

#[test]
fn every_key_of_the_default_file_is_shown_in_its_order() {
    let all = settings(&Config::default(), None, |_| None, &[]);
    let (table, _) = DeTable::parse_recoverable(DEFAULT_TEXT);
    let mut expected = places(Path::new(""), DEFAULT_TEXT)
        .into_iter()
        .map(|(key, (offset, _))| (offset, key))
        .collect::<Vec<_>>();
    expected.sort();
    assert!(expected.len() > table.get_ref().len());
    let expected: Vec<_> = expected.into_iter().map(|(_, key)| key).collect();
    let keys: Vec<_> = all.iter().map(|s| s.key.clone()).collect();
    assert_eq!(keys, expected);
    assert!(all.iter().all(|s| s.origin == ValueOrigin::Default));
}

#[test]
fn origin_is_the_source_that_wins() {
    let lines = found(&[], &[]);
    for line in [
        "socket = \"/file.sock\" (c.toml:2:1)",
        "state_dir = \"/state\" (c.toml:3:1)",
        "bpffs_dir = \"/sys/fs/bpf/netpolicy\" (default)",
        "limits.policies = 7 (c.toml:6:3)",
        "limits.rules_per_list = 100000 (default)",
        "verify_interval = \"1m\" (default)",
    ] {
        assert!(lines.contains(&line.to_owned()), "{line}: {lines:#?}");
    }
    let environment = [
        ("NETPOLICY_SOCKET", "/env.sock"),
        ("NETPOLICY_STATE_DIR", ""),
    ];
    let lines = found(&environment, &[]);
    assert_eq!(
        lines[0],
        "socket = \"/env.sock\" (environment NETPOLICY_SOCKET)"
    );
    assert_eq!(lines[1], "state_dir = \"/state\" (c.toml:3:1)");
    let lines = found(&environment, &[("socket", "--socket")]);
    assert_eq!(lines[0], "socket = \"/option.sock\" (option --socket)");
}

#[test]
fn differing_keys_are_those_with_another_value() {
    let one = Config::default();
    assert!(differing_keys(&one, &one).is_empty());
    let mut other = one.clone();
    other.interfaces = vec!["eth0".into()];
    other.limits.policies = 3;
    other.verify_interval = Duration::from_secs(5);
    assert_eq!(
        differing_keys(&one, &other),
        ["interfaces", "limits.policies", "verify_interval"]
    );
}

#[test]
fn key_under_its_former_name_has_its_place() {
    let text = "xdp_mode = \"generic\"\n";
    let file = Some((Path::new("c.toml"), text));
    let all = settings(&Config::default(), file, |_| None, &[]);
    let hook = all.iter().find(|s| s.key == "hook").unwrap();
    assert_eq!(hook.origin, ValueOrigin::File("c.toml:1:1".into()));
}
