//! Commands that ask, and those that do without the agent.

use super::*;

#[test]
fn detach_requires_yes() {
    let ran = run(&["detach"]);
    assert_eq!(ran.exit, Exit::Failed);
    assert_eq!(
        ran.err,
        "error: detaching opens the host to every source\nhint: --yes\n"
    );
    let ran = run(&["detach", "-y"]);
    assert_eq!(ran.exit, Exit::Done);
    assert_eq!(
        ran.out,
        "detached from eth0: nothing is filtered until `netpolicy attach`\n"
    );
}

#[test]
fn status_exit_code_shows_faults() {
    assert_eq!(run(&["status"]).exit, Exit::Done);
    for answer in [
        status("attached", &["drift"]),
        status("partial", &[]),
        status("detached", &[]),
    ] {
        let router = Router::new().route("/v1/status", get(async move || Json(answer)));
        assert_eq!(run_against(Some(router), &["status"]).exit, Exit::Failed);
    }
}

#[test]
fn explain_fails_if_the_kernel_disagrees() {
    assert_eq!(run(&["explain", "::ffff:10.0.0.1"]).exit, Exit::Done);
    let ran = run_against(Some(agent(FakeAgent::default())), &["explain", "10.0.0.1"]);
    assert_eq!(ran.exit, Exit::Failed);
    assert!(ran.out.contains("FAULT"), "{ran:?}");
}

#[test]
fn refusals_are_printed_with_their_hint() {
    let ran = run(&["policy", "show", "nope"]);
    assert_eq!(ran.exit, Exit::Failed);
    assert_eq!(ran.err, "error: there is no policy nope\nhint: look\n");
}

#[test]
fn missing_agent_gives_exit_code_3() {
    for line in [
        &["policy", "list"][..],
        &["export"],
        &["monitor"],
        &["bind", "office"],
    ] {
        let ran = run_against(None, line);
        assert_eq!(ran.exit, Exit::NoAgent, "{line:?}");
        assert!(
            ran.err
                .starts_with("error: no agent answers on DIR/agent.sock: "),
            "{ran:?}"
        );
        assert!(ran.err.contains("\nhint: start it as root"), "{ran:?}");
    }
}

#[test]
fn missing_agent_and_pins_are_both_reported() {
    for line in [&["status"][..], &["counters"], &["explain", "10.0.0.1"]] {
        let ran = run_against(None, line);
        assert_eq!(ran.exit, Exit::NoAgent, "{line:?}: {ran:?}");
        assert!(
            ran.err
                .starts_with("error: no agent answers on DIR/agent.sock"),
            "{ran:?}"
        );
        assert!(
            ran.err
                .contains("; and the kernel cannot be read without it: "),
            "{ran:?}"
        );
    }
}

#[test]
fn export_is_the_file_itself() {
    assert_eq!(run(&["export"]).out, "[[policy]]\nname = \"office\"\n");
    assert_eq!(
        run(&["export", "-o", "json"]).out,
        "\"[[policy]]\\nname = \\\"office\\\"\\n\"\n"
    );
}

#[test]
fn equal_revisions_do_not_differ() {
    let ran = run(&["diff", "1", "2", "--exit-code"]);
    assert_eq!(
        (ran.exit, ran.out.as_str()),
        (
            Exit::Done,
            "no difference between revision 1 and revision 2\n"
        )
    );
}

#[test]
fn monitor_counts_denied_attempts_and_ends_with_the_agent() {
    let ran = run(&["monitor", "--count", "2"]);
    assert_eq!(ran.exit, Exit::Done);
    assert_eq!(ran.out.lines().count(), 3);
    assert!(ran.out.contains("-- 2 events not reported\n"), "{ran:?}");
    let ran = run(&["monitor", "-o", "json"]);
    assert_eq!(ran.exit, Exit::Failed);
    assert_eq!(ran.out.lines().count(), 4);
    let error: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(
        error["error"]["message"],
        "the agent ended the stream of events"
    );
}

#[test]
fn bypasses_are_granted_and_revoked() {
    let ran = run(&["bypass", "grant", "10.0.0.0/8"]);
    assert!(
        ran.out
            .starts_with("10.0.0.0/8 bypasses host until 2026-11-20 "),
        "{ran:?}"
    );
    assert!(ran.out.ends_with(", for 30m\n"), "{ran:?}");
    let ran = run(&["bypass", "revoke", "10.0.0.0/8", "--service", "pg"]);
    assert_eq!(ran.out, "10.0.0.0/8 no longer bypasses pg\n");
    assert_eq!(
        run(&["bypass", "revoke", "10.0.0.0/8", "-o", "json"]).out,
        "[]\n"
    );
}

#[test]
fn completion_script_asks_netpolicy_itself() {
    let cli = Cli::try_parse_from(["netpolicy", "completions", "bash"]).unwrap();
    let Command::Completions(args) = cli.command else {
        panic!()
    };
    let mut out = Vec::new();
    completions::run(&args, &mut out).unwrap();
    assert!(
        String::from_utf8(out)
            .unwrap()
            .contains("NETPOLICY_COMPLETE")
    );
}

#[test]
fn detach_without_an_agent_requires_yes_unless_already_detached() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run_in(&dir, None, &["detach"]);
    assert_eq!(ran.exit, Exit::Failed);
    assert_eq!(
        ran.err,
        "error: Detach from all interfaces, so that nothing is filtered? There is no terminal to ask on: nothing was changed\nhint: repeat it with --yes if that is intended\n"
    );
    assert!(!crate::local::is_detached(dir.path()));
    assert_eq!(run_in(&dir, None, &["detach", "--yes"]).exit, Exit::Done);
    assert_eq!(run_in(&dir, None, &["detach"]).exit, Exit::Done);
}

#[test]
fn detach_without_agent_and_pins_leaves_a_marker_that_attach_removes() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run_in(&dir, None, &["detach", "--yes"]);
    assert_eq!(ran.exit, Exit::Done);
    assert_eq!(
        ran.out,
        "note: done without the agent: no agent answers on DIR/agent.sock: there is no such socket\nwas attached to no interface: nothing is filtered until `netpolicy attach`\n"
    );
    let marker = dir.path().join(crate::config::DETACHED_MARKER);
    assert!(marker.exists());
    let noted = || std::fs::read_to_string(dir.path().join("unrecorded-actions")).unwrap();
    assert!(noted().contains("\"action\":\"detach\""), "{}", noted());
    let ran = run_in(&dir, None, &["attach"]);
    assert_eq!(ran.exit, Exit::NoAgent);
    assert_eq!(
        ran.err.lines().next(),
        Some(
            "error: no agent answers on DIR/agent.sock: there is no such socket: the next one to start attaches, nothing is attached yet"
        )
    );
    assert!(!marker.exists());
    assert!(noted().contains("\"action\":\"attach\""), "{}", noted());
}
