//! What is taken from where, and what is refused.

use super::*;
use crate::api::NoticeTopic;

fn load(file: &str, env: &[(&str, &str)], mut flags: Overrides) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, file).unwrap();
    flags.file = Some(path);
    Config::load(&flags, |name| {
        env.iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| OsString::from(v))
    })
}

/// The messages, without the temporary directory's name.
fn problems(file: &str) -> Vec<String> {
    match load(file, &[], Overrides::default()) {
        Err(ConfigError::Invalid(problems)) => problems
            .iter()
            .map(|p| {
                let text = p.to_string();
                text[text.find("config.toml").unwrap_or(0)..].to_owned()
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_key_of_the_file_is_applied() {
    let config = load(
        r#"
socket = "/a/sock"
state_dir = "/a/state"
bpffs_dir = "/a/bpf"
bpffs = "host"
interfaces = ["eth0", "eth1", "eth0"]
unfiltered_interfaces = ["docker0", "br-*"]
xdp_mode = "generic"
engine = "lpm"
events_per_second = 7
resets_per_second = 8
verify_interval = "5m"
geo_databases = ["/a/geo.mmdb"]
fleet_file = "/a/fleet.toml"
[limits]
policies = 3
rules_per_list = 4

[bans]
never = ["192.0.2.0/24", "2001:db8::7"]
burst = 9

[memory]
enabled = false
attempts_per_second = 5000
sources = 1000
days = 7
most_mib = 5

[[notify]]
on = ["fault", "ban-burst"]
run = ["/a/hook", "x"]

[[notify]]
on = ["detach"]
url = "https://a.example/x"
per_hour = 3
timeout = "2s"
"#,
        &[],
        Overrides::default(),
    )
    .unwrap();
    assert_eq!(
        config,
        Config {
            socket: "/a/sock".into(),
            state_dir: "/a/state".into(),
            bpffs_dir: "/a/bpf".into(),
            bpffs: BpffsChoice::Host,
            interfaces: vec!["eth0".into(), "eth1".into()],
            unfiltered_interfaces: vec!["docker0".into(), "br-*".into()],
            hook: HookChoice::Generic,
            engine: EngineChoice::Lpm,
            events_per_second: 7,
            resets_per_second: 8,
            limits: Limits {
                policies: 3,
                rules_per_list: 4
            },
            bans: BansConfig {
                never: vec!["192.0.2.0/24".into(), "2001:db8::7".into()],
                burst: 9,
            },
            memory: MemoryConfig {
                enabled: false,
                attempts_per_second: 5000,
                sources: 1000,
                days: 7,
                most_mib: 5,
            },
            verify_interval: Duration::from_secs(300),
            geo_databases: vec!["/a/geo.mmdb".into()],
            fleet_file: "/a/fleet.toml".into(),
            notify: vec![
                NotifyHook {
                    on: vec![NoticeTopic::Fault, NoticeTopic::BanBurst],
                    run: Some(vec!["/a/hook".into(), "x".into()]),
                    url: None,
                    per_hour: 20,
                    timeout: Duration::from_secs(10),
                },
                NotifyHook {
                    on: vec![NoticeTopic::Detach],
                    run: None,
                    url: Some("https://a.example/x".into()),
                    per_hour: 3,
                    timeout: Duration::from_secs(2),
                },
            ],
        }
    );
    assert_eq!(config.bans.never_banned().len(), 2);
}

#[test]
fn what_is_never_banned_has_to_be_addresses() {
    let found = problems("[bans]\nnever = [\"10.0.0.1\", \"10.0.0.256\"]\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("config.toml:2:"), "{found:?}");
    assert!(found[0].contains("10.0.0.256"), "{found:?}");
}

#[test]
fn bounds_of_the_memory_are_checked_and_all_reported() {
    let found =
        problems("[memory]\nsources = 1\ndays = 0\nattempts_per_second = 10\nmost_mib = 3\n");
    assert_eq!(
        found,
        [
            "config.toml:2:11: 1 is out of range: expected 1000 to 10000000",
            "config.toml:3:8: 0 is out of range: expected 1 to 3650",
            "config.toml:4:23: 10 is out of range: expected 1000 to 100000",
            "config.toml:5:12: 3 is out of range: expected 4 to 4096",
        ]
    );
}

#[test]
fn the_environment_overrides_the_file_and_flags_override_both() {
    let file = "socket = \"/file\"\nstate_dir = \"/file\"\nbpffs_dir = \"/file\"\ninterfaces = [\"eth0\"]\n";
    let env = [
        ("NETPOLICY_SOCKET", "/env"),
        ("NETPOLICY_STATE_DIR", "/env"),
        ("NETPOLICY_BPFFS_DIR", ""),
    ];
    let flags = Overrides {
        socket: Some("/flag".into()),
        interfaces: vec!["eth9".into()],
        hook: Some(HookChoice::Native),
        ..Overrides::default()
    };
    let config = load(file, &env, flags).unwrap();
    assert_eq!(config.socket, Path::new("/flag"));
    assert_eq!(config.state_dir, Path::new("/env"));
    assert_eq!(
        config.bpffs_dir,
        Path::new("/file"),
        "an empty variable says nothing"
    );
    assert_eq!(config.interfaces, ["eth9"]);
    assert_eq!(config.hook, HookChoice::Native);
}

#[test]
fn missing_default_file_is_accepted_and_missing_named_file_refused() {
    let named = Overrides {
        file: Some("/nonexistent/c.toml".into()),
        ..Overrides::default()
    };
    let error = Config::load(&named, |_| None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the configuration file /nonexistent/c.toml"
    );
    let by_variable = Config::load(&Overrides::default(), |name| {
        (name == "NETPOLICY_CONFIG").then(|| "/nonexistent/d.toml".into())
    });
    assert!(
        by_variable
            .unwrap_err()
            .to_string()
            .ends_with("/nonexistent/d.toml")
    );
}

#[test]
fn unknown_key_is_refused_with_its_place() {
    let found = problems("socket = \"/a\"\n\n  interface = [\"eth0\"]\n");
    assert_eq!(found.len(), 1);
    assert!(
        found[0]
            .starts_with("config.toml:3:3: unknown key 'interface'; did you mean 'interfaces'?"),
        "{found:?}"
    );
    let found = problems("[limits]\nrules = 3\n");
    assert!(
        found[0].starts_with("config.toml:2:1: unknown key 'rules' in [limits]; "),
        "{found:?}"
    );
}

#[test]
fn all_invalid_values_are_reported() {
    assert_eq!(
        problems(
            "socket = \"agent.sock\"\ninterfaces = [\"lo\", \"eth 0\", \"\", \"abcdefghijklmnop\"]\nverify_interval = \"0s\"\n[limits]\npolicies = 0\n"
        ),
        [
            "config.toml:1:10: \"agent.sock\" is a relative path: an absolute one was expected",
            "config.toml:2:15: the loopback interface is never filtered",
            "config.toml:2:21: \"eth 0\" is not an interface name: 1 to 15 bytes without spaces, '/' and ':' were expected, as in \"eth0\"",
            "config.toml:2:30: \"\" is not an interface name: 1 to 15 bytes without spaces, '/' and ':' were expected, as in \"eth0\"",
            "config.toml:2:34: \"abcdefghijklmnop\" is not an interface name: 1 to 15 bytes without spaces, '/' and ':' were expected, as in \"eth0\"",
            "config.toml:3:19: \"0s\" is not an interval: expected at least a second, as in \"60s\" or \"5m\"",
            "config.toml:5:12: a limit of 0 would forbid everything: at least 1 was expected",
        ]
    );
}

#[test]
fn all_errors_of_a_file_are_reported_in_its_order() {
    assert_eq!(
        problems(
            "sockets = \"/a\"\ninterfaces = \"eth0\"\nengine = \"trie\"\nstate_dir = \"here\"\nevents_per_second = -1\nbpffs_dir = 7\nlimit = 3\nzebra = true\n[limits]\npolicies = \"many\"\nrules = 3\n[limts]\npolicies = 3\n"
        ),
        [
            "config.toml:1:1: unknown key 'sockets'; did you mean 'socket'?",
            "config.toml:2:14: 'interfaces' is the string \"eth0\"; expected a list of names, as in [\"eth0\"]",
            "config.toml:3:10: 'engine' is \"trie\"; expected \"flat\" or \"lpm\"",
            "config.toml:4:13: \"here\" is a relative path: an absolute one was expected",
            "config.toml:5:21: 'events_per_second' is the integer -1; expected an integer from 0 to 4294967295",
            "config.toml:6:13: 'bpffs_dir' is the integer 7; expected an absolute path, as in \"/run/netpolicy/agent.sock\"",
            "config.toml:7:1: unknown key 'limit'; did you mean 'limits'?",
            "config.toml:8:1: unknown key 'zebra'; expected socket, state_dir, bpffs_dir, interfaces, unfiltered_interfaces, hook, xdp_mode, bpffs, engine, events_per_second, resets_per_second, verify_interval, geo_databases, fleet_file, notify, limits, bans or memory",
            "config.toml:10:12: 'policies' is the string \"many\"; expected an integer of at least 1",
            "config.toml:11:1: unknown key 'rules' in [limits]; did you mean 'rules_per_list'?",
            "config.toml:12:2: unknown section 'limts'; did you mean 'limits'?",
        ]
    );
}

#[test]
fn all_syntax_errors_of_a_file_are_reported() {
    let found = problems("socket = \nengine = lpm\ninterfaces = [\"eth0\"]\n");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("config.toml:1:"), "{found:?}");
    assert!(found[1].starts_with("config.toml:2:"), "{found:?}");
    assert!(!problems("socket = \"/half wri")[0].is_empty());
}

#[test]
fn wrong_type_and_invalid_toml_are_reported_with_their_place() {
    assert!(problems("events_per_second = -1\n")[0].starts_with("config.toml:1:21: "));
    assert!(problems("socket = \n")[0].starts_with("config.toml:1:"));
    assert!(problems("xdp_mode = \"fast\"\n")[0].starts_with(
        "config.toml:1:12: 'xdp_mode' is \"fast\"; expected \"auto\", \"native\", \"generic\", \"tcx\" or \"clsact\""
    ));
}

#[test]
fn invalid_interface_option_is_named() {
    let flags = Overrides {
        interfaces: vec!["lo".into()],
        ..Overrides::default()
    };
    let error = load("", &[], flags).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--interface: the loopback interface is never filtered"
    );
}

#[test]
fn default_file_names_every_key_with_its_default() {
    let config = load(DEFAULT_TEXT, &[], Overrides::default()).unwrap();
    assert_eq!(config, Config::default());
    let File {
        socket,
        state_dir,
        bpffs_dir,
        interfaces,
        unfiltered_interfaces,
        hook,
        xdp_mode,
        bpffs,
        engine,
        events_per_second,
        resets_per_second,
        verify_interval,
        geo_databases,
        fleet_file,
        limits,
        bans,
        memory,
        notify,
    } = toml::from_str(DEFAULT_TEXT).unwrap();
    let FileLimits {
        policies,
        rules_per_list,
    } = limits.unwrap();
    let present = [
        socket.is_some() && state_dir.is_some() && bpffs_dir.is_some(),
        interfaces.is_some() && unfiltered_interfaces.is_some(),
        hook.is_some() && xdp_mode.is_none() && bpffs.is_some() && engine.is_some(),
        events_per_second.is_some() && resets_per_second.is_some(),
        verify_interval.is_some() && bans.is_some() && memory.is_some(),
        policies.is_some() && rules_per_list.is_some(),
        geo_databases.is_some() && fleet_file.is_some() && notify.is_some(),
    ];
    assert_eq!(present, [true; 7]);
}

#[test]
fn commands_use_what_can_be_read_if_it_is_certain_which_agent_is_meant() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let read = |file: &str, socket: Option<&str>, variable: Option<&str>| {
        std::fs::write(&path, file).unwrap();
        let overrides = Overrides {
            file: Some(path.clone()),
            socket: socket.map(PathBuf::from),
            ..Overrides::default()
        };
        Config::for_commands(&overrides, |name| {
            let value = variable.filter(|_| name == "NETPOLICY_SOCKET");
            value.map(OsString::from)
        })
    };
    let slip = "socket = \"/a\"\nengin = \"flat\"\n";
    let (config, problems) = read(slip, None, None).unwrap();
    assert_eq!((config.socket, problems.len()), ("/a".into(), 1));
    // A typo in the socket's own key, or no TOML at all: it could be another agent's.
    for slip in ["sockt = \"/a\"\n", "socket = \"a\"\n", "socket = \"/a\n"] {
        assert!(read(slip, None, None).is_err(), "{slip}");
        assert!(read(slip, Some("/b"), None).is_ok(), "{slip}");
        assert!(read(slip, None, Some("/b")).is_ok(), "{slip}");
    }
    let (_, problems) = read("", None, None).unwrap();
    assert!(problems.is_empty());
}

#[test]
fn wrong_hook_is_reported_with_its_place_and_all_others() {
    let found = problems(
        "[[notify]]\non = [\"fualt\"]\nrun = [\"/a\"]\n\n[[notify]]\non = [\"fault\"]\nurl = \"ftp://a\"\n",
    );
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("config.toml:2:7: 'on' has \"fualt\""),
        "{found:?}"
    );
    assert!(
        found[1].starts_with("config.toml:7:7: 'url' is \"ftp://a\""),
        "{found:?}"
    );
    let found = problems("[[notify]]\non = [\"fault\"]\nexec = [\"/a\"]\n");
    assert!(found[0].contains("unknown key 'exec'"), "{found:?}");
}

#[test]
fn commands_need_not_be_able_to_read_the_default_file_and_the_agent_does() {
    let denied = io::ErrorKind::PermissionDenied;
    assert!(is_optional(denied, false, true));
    assert!(!is_optional(denied, true, true), "it is named");
    assert!(!is_optional(denied, false, false), "the agent");
    assert!(is_optional(io::ErrorKind::NotFound, false, false));
    assert!(!is_optional(io::ErrorKind::NotFound, true, true));
    assert!(!is_optional(io::ErrorKind::InvalidData, false, true));
}
