//! The status, with and without faults.

use super::*;

#[test]
fn status_without_faults() {
    shows(
        &status(),
        "
Agent         netpolicy 0.1.0, pid 4711, since 2026-11-20 08:00:00, 35 MiB
Enforcement   attached
Interfaces    eth0 (native XDP: ena keeps its receive offloads under native XDP)
              eth1 (generic XDP)
Offloads      eth1: rx-lro off
In force      revision 5, generation 7, 1000 entries, engine lpm, digest 6f3a0c1255aa
Desired       revision 5, 3 policies (2 active), 1024 rules, 1 service, 0 bypasses
Faults        none
",
    );
    reads_back(&status());
}

#[test]
fn status_names_scopes_in_observe_mode() {
    let mut status = status();
    if let Some(agent) = &mut status.agent {
        agent.observing = vec!["host".into(), "pg1".into()];
    }
    let line = "Observing     host, pg1: judged, counted and reported, but not dropped\n";
    assert!(table(&status).contains(line), "{}", table(&status));
}

#[test]
fn status_names_scopes_that_answer_and_interfaces_that_cannot() {
    let mut status = status();
    if let Some(agent) = &mut status.agent {
        agent.answering = vec!["host".into(), "pg1".into()];
    }
    let line = "Answering     host, pg1: denied attempts get a TCP reset\n";
    assert!(table(&status).contains(line), "{}", table(&status));
    status.enforcement.interfaces[1].unanswered = Some("for a reason".into());
    let lines =
        line.to_owned() + "              not on eth1, where they are dropped: for a reason\n";
    assert!(table(&status).contains(&lines), "{}", table(&status));
    reads_back(&status);
}

#[test]
fn no_line_ends_with_spaces_in_colour_either() {
    assert_eq!(
        trim_end("a \u{1b}[31m\u{1b}[1mdrop   \u{1b}[0m  "),
        "a \u{1b}[31m\u{1b}[1mdrop\u{1b}[0m"
    );
    assert_eq!(trim_end("[1m plain m "), "[1m plain m");
    let options = RenderOptions {
        colour: true,
        ..options()
    };
    let mut out = Vec::new();
    render(&explanation(), &options, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("drop\u{1b}["), "{text:?}");
}

#[test]
fn status_from_the_kernel_with_faults() {
    let mut status = status();
    status.agent = None;
    status.enforcement.state = EnforcementState::Partial;
    status.enforcement.interfaces[1].attachment = Attachment::None;
    status.enforcement.interfaces[1].index = 0;
    status.faults = vec!["eth1: no such interface".into(), "drift\u{7} found".into()];
    shows(
        &status,
        "
Agent         not reached: see Faults
Enforcement   attached to some interfaces only
Interfaces    eth0 (native XDP: ena keeps its receive offloads under native XDP)
              eth1 (does not exist)
Offloads      eth1: rx-lro off
In force      revision 5, generation 7, 1000 entries, engine lpm, digest 6f3a0c1255aa
Desired       not known without the agent
Unconfirmed   not known without the agent
Faults        eth1: no such interface
              drift\\u{7} found
",
    );
}

#[test]
fn status_names_who_detached_on_its_first_line() {
    let mut status = status();
    status.enforcement.state = EnforcementState::Detached;
    status.enforcement.detached = Some(Detached {
        actor: Some("alice\u{202e}".into()),
        time: Some("2026-11-20T09:00:00Z".parse().unwrap()),
    });
    let text = table(&status);
    assert!(
        text.starts_with(
            "DETACHED      detached by alice\\u{202e} at 2026-11-20 09:00:00 UTC: nothing is filtered until `netpolicy attach`\n"
        ),
        "{text}"
    );
    reads_back(&status);
}

#[test]
fn status_reports_where_attached_interfaces_drop_nothing() {
    let mut status = status();
    if let Some(agent) = &mut status.agent {
        agent.observing = vec!["host".into()];
    }
    let line = "Enforcement   attached; the host is only observed: its policies drop nothing\n";
    assert!(table(&status).contains(line), "{}", table(&status));
    if let Some(agent) = &mut status.agent {
        agent.active_policies = 0;
    }
    let line = "Enforcement   attached; no policy is active: every source may connect\n";
    assert!(table(&status).contains(line), "{}", table(&status));
    status.enforcement.state = EnforcementState::Unknown;
    for interface in &mut status.enforcement.interfaces {
        *interface = Interface::new(&interface.name, 2, Attachment::Unknown);
    }
    let lines = "Enforcement   unknown: the kernel cannot be read\n\
                 Interfaces    eth0 (not known)\n              eth1 (not known)\n";
    assert!(table(&status).contains(lines), "{}", table(&status));
}

#[test]
fn status_reports_unreadable_values_as_unknown() {
    let mut status = status();
    status.enforcement.generation = 0;
    assert!(table(&status).contains("In force      none yet\n"));
    status.enforcement.engine = None;
    assert!(table(&status).contains("In force      not known\n"));
}

#[test]
fn status_from_another_network_namespace_names_where_it_is_attached() {
    let mut status = status();
    status.enforcement.state = EnforcementState::NotAttached;
    status.enforcement.interfaces.truncate(1);
    status.enforcement.interfaces[0].elsewhere = true;
    let elsewhere = "attached only in another network namespace: nothing is filtered in this one";
    let line = format!("Enforcement   {elsewhere}\n");
    assert!(table(&status).contains(&line), "{}", table(&status));
    assert_eq!(status.enforcement.gap().as_deref(), Some(elsewhere));
    status.enforcement.interfaces.clear();
    let line = "Enforcement   not attached: nothing is filtered\n";
    assert!(table(&status).contains(line), "{}", table(&status));
}
