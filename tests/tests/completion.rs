//! Completion in the shells: names as the agent knows them, and silence without one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netpolicy_tests::{DatabaseHost, binary};

/// Longest answer without an agent.
const QUICK: Duration = Duration::from_secs(2);

/// A shell in the host's namespace, which finds `netpolicy`.
fn shell(host: &DatabaseHost, program: &str, script: &str) -> (String, String) {
    let mut command: Command = host.db().command(program);
    for (name, value) in host.command().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let directory = binary::netpolicy();
    let directory = directory.parent().unwrap().display().to_string();
    let path = std::env::var("PATH").unwrap();
    let output = command
        .args(["-c", script])
        .env("PATH", format!("{directory}:{path}"))
        .env("HOME", host.file(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{program}: {}",
        text(&output.stderr)
    );
    (text(&output.stdout), text(&output.stderr))
}

/// What bash offers behind these words, the last of which is being typed.
fn bash(host: &DatabaseHost, words: &str) -> Vec<String> {
    bash_behind(host, words, words)
}

/// The same, where the words are those into which bash splits the line.
fn bash_behind(host: &DatabaseHost, words: &str, line: &str) -> Vec<String> {
    let words: Vec<_> = words.split(' ').collect();
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let (last, at) = (quoted.last().unwrap(), words.len() - 1);
    let script = format!(
        "source <(netpolicy completions bash)
         COMP_WORDS=({}); COMP_CWORD={at}; COMP_TYPE=9
         COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}
         COMP_WORDBREAKS=$' \\t\\n\"\\'@><=;|&(:'
         _netpolicy netpolicy {last} ''
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" ")
    );
    let (offered, said) = shell(host, "bash", &script);
    // It has no line to change outside of an interactive shell.
    let said: Vec<_> = said
        .lines()
        .filter(|line| !line.contains("compopt"))
        .collect();
    assert!(said.is_empty(), "{said:?}");
    let lines = offered.lines().filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

#[test]
fn names_are_completed_as_the_agent_knows_them() {
    let host = DatabaseHost::start();
    host.ok("service add postgres --port 5432");
    host.ok("service add pooler --port 6432");
    host.ok("policy create office --allow 10.0.0.0/16,192.0.2.7 --service postgres");
    host.ok("policy create offsite --block 203.0.113.9,198.51.100.0/24");
    host.ok("bypass grant 203.0.113.77 --service postgres");

    assert_eq!(
        bash(&host, "netpolicy policy show of"),
        ["office", "offsite"]
    );
    assert_eq!(bash(&host, "netpolicy policy drop offi"), ["office"]);
    assert_eq!(
        bash(&host, "netpolicy bind office --service po"),
        ["pooler", "postgres"]
    );
    assert_eq!(bash(&host, "netpolicy service remove pos"), ["postgres"]);
    assert_eq!(bash(&host, "netpolicy rollback 2"), ["2"]);
    let list = "netpolicy policy alter office --remove-allow 192";
    assert_eq!(bash(&host, list), ["192.0.2.7"]);
    let list = "netpolicy policy alter offsite --remove-block 203.0.113.9,198";
    assert_eq!(bash(&host, list), ["203.0.113.9,198.51.100.0/24"]);
    let bypass = bash(&host, "netpolicy bypass revoke 203");
    assert_eq!(bypass, ["203.0.113.77/32"]);
    // Lists that addresses stand with; bash makes a word of an `@`.
    host.ok("list create bad-hosts 203.0.113.0/24");
    host.ok("policy alter offsite --add-block @bad-hosts");
    let create = "netpolicy policy create new --block";
    assert_eq!(
        bash_behind(&host, &format!("{create} @ ba"), &format!("{create} @ba")),
        ["bad-hosts"]
    );
    assert_eq!(
        bash_behind(
            &host,
            &format!("{create} 10.0.0.1, @ b"),
            &format!("{create} 10.0.0.1,@b")
        ),
        ["bad-hosts"]
    );
    let remove = "netpolicy policy alter offsite --remove-block";
    assert_eq!(
        bash_behind(&host, &format!("{remove} @"), &format!("{remove} @")),
        ["bad-hosts"]
    );
    assert_eq!(bash(&host, "netpolicy policy activ"), ["activate"]);
    assert_eq!(bash(&host, "netpolicy policy create off"), [""; 0]);

    let script = "netpolicy completions fish | source; complete -C 'netpolicy policy show of'";
    let (offered, _) = shell(&host, "fish", script);
    let names: Vec<_> = offered
        .lines()
        .map(|line| line.split('\t').next().unwrap())
        .collect();
    assert_eq!(names, ["office", "offsite"]);
    // zsh completes in a terminal alone: here it reads the script, and asks as that does.
    let script = "netpolicy completions zsh > $HOME/script && zsh -n $HOME/script && \
                  NETPOLICY_COMPLETE=zsh _CLAP_COMPLETE_INDEX=3 netpolicy -- netpolicy policy show of";
    let (offered, _) = shell(&host, "zsh", script);
    assert!(
        offered.contains("office") && offered.contains("offsite"),
        "{offered}"
    );
}

#[test]
fn completion_without_an_agent_is_silent_and_quick() {
    let host = DatabaseHost::without_agent();
    let begin = Instant::now();
    assert_eq!(bash(&host, "netpolicy policy show of"), [""; 0]);
    assert!(begin.elapsed() < QUICK, "{:?}", begin.elapsed());
    // A socket on which no process answers is like none.
    let _silent = std::os::unix::net::UnixListener::bind(host.socket()).unwrap();
    let begin = Instant::now();
    assert_eq!(bash(&host, "netpolicy policy show of"), [""; 0]);
    assert!(begin.elapsed() < QUICK, "{:?}", begin.elapsed());
    let socket = host.file("other.sock");
    let line = format!("netpolicy --socket {} policy show of", socket.display());
    assert_eq!(bash(&host, &line), [""; 0]);
}
