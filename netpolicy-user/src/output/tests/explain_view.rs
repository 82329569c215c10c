//! What a verdict is, and why.

use super::*;
use crate::testing::word;

#[test]
fn explanation_names_its_rule() {
    shows(
        &explanation(),
        "
Source      203.0.113.9
Port        5432
Interface   eth0, by the route to the source; --interface names another
Scope       postgres
Verdict     drop
Reason      blocked: the source is on a block list
Policy      office
List        block
Rule        203.0.113.7/24 (enforced as 203.0.113.0/24)
Place       pests.txt:7
Comment     seen scanning
Consulted   office (allow 2, block 1)
            vpn (allow any, block 0)
Kernel      agrees: drop (blocked)
",
    );
    reads_back(&explanation());
}

#[test]
fn explanation_that_the_kernel_contradicts_is_a_fault() {
    let contradicted = ExplainView {
        port: None,
        scope: "host".into(),
        verdict: word("pass"),
        reason: word("no-policy"),
        sentence: "no active policy governs the host".into(),
        policies: PoliciesSay {
            verdict: word("pass"),
            reason: word("no-policy"),
            sentence: "no active policy governs the host".into(),
        },
        interface: None,
        arrival: Arrival::AnyFiltered,
        matched: None,
        excepted: Vec::new(),
        consulted: Vec::new(),
        agrees: false,
        ..explanation()
    };
    shows(
        &contradicted,
        "
Source      203.0.113.9
Port        any of no service
Interface   any filtered one: no route leads to the source
Scope       host
Verdict     pass
Reason      no-policy: no active policy governs the host
Consulted   none: no policy that governs it is active
Kernel      FAULT: says drop (blocked), the policies say pass (no-policy)
",
    );
    let exempt = ExplainView {
        reason: word("bypass"),
        policies: PoliciesSay {
            reason: word("bypass"),
            ..contradicted.policies.clone()
        },
        ..contradicted.clone()
    };
    assert!(table(&exempt).contains("Consulted   none: this comes before any policy\n"));
    let answered = ExplainView {
        answered: true,
        ..explanation()
    };
    assert!(table(&answered).contains("Verdict     drop, answered by a TCP reset\n"));
    let unasked = ExplainView {
        kernel: None,
        kernel_error: Some("no BTF".into()),
        agrees: true,
        ..contradicted
    };
    assert!(table(&unasked).ends_with("Kernel      not queried: no BTF\n"));
}

#[test]
fn explanation_begins_with_nothing_is_filtered() {
    let detached = ExplainView {
        enforced: false,
        verdict: word("pass"),
        reason: word("not-filtered"),
        sentence: "detached by root: nothing is filtered until `netpolicy attach`".into(),
        matched: None,
        ..explanation()
    };
    shows(
        &detached,
        "
Not filtered   detached by root: nothing is filtered until `netpolicy attach`
Source         203.0.113.9
Port           5432
Interface      eth0, by the route to the source; --interface names another
Scope          postgres
Verdict        pass
Policies       drop (blocked)
Reason         blocked: the source is on a block list
Consulted      office (allow 2, block 1)
               vpn (allow any, block 0)
Kernel         would agree: drop (blocked); not attached there
",
    );
    reads_back(&detached);
    let unknown = ExplainView {
        verdict: word("unknown"),
        reason: word("unknown"),
        sentence: "whether it is filtered cannot be read: too many open files".into(),
        ..detached
    };
    assert!(
        table(&unknown).starts_with("Not known   whether"),
        "{}",
        table(&unknown)
    );
}

#[test]
fn explanation_begins_with_other_rules_in_force() {
    let others = ExplainView {
        enforced: false,
        verdict: word("pass"),
        reason: word("not-blocked"),
        sentence: "the store is older than what is in force".into(),
        kernel: Some(KernelVerdict {
            verdict: word("pass"),
            reason: word("not-blocked"),
        }),
        other_rules_in_force: true,
        ..explanation()
    };
    let text = table(&others);
    assert!(text.starts_with("Other rules"), "{text}");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    for row in [
        "Verdict pass",
        "Policies drop (blocked)",
        "Policies' reason blocked: the source is on a block list",
        "Kernel pass (not-blocked), by the rules in force",
    ] {
        let row: Vec<_> = row.split_whitespace().collect();
        assert!(rows.contains(&row), "{row:?}: {text}");
    }
    reads_back(&others);
}

#[test]
fn explanation_of_an_observed_scope_shows_the_policies_verdict() {
    let observed = ExplainView {
        enforced: false,
        verdict: word("pass"),
        reason: word("observed-blocked"),
        policies: PoliciesSay {
            reason: word("observed-blocked"),
            ..explanation().policies
        },
        ..explanation()
    };
    let text = table(&observed);
    assert!(!text.contains("Not filtered"), "{text}");
    assert!(
        text.contains("Verdict     pass\nPolicies    drop (observed-blocked)\n"),
        "{text}"
    );
}

#[test]
fn explanation_without_an_agent_shows_the_program_s_verdict() {
    let kernel = KernelVerdict {
        verdict: word("drop"),
        reason: word("blocked"),
    };
    let view = ProbeView {
        interface: Some("eth0".into()),
        arrival: Arrival::Asked,
        enforced: true,
        verdict: word("drop"),
        reason: word("blocked"),
        sentence: None,
        kernel,
    };
    shows(
        &view,
        "
Verdict     drop
Reason      blocked
Interface   eth0
",
    );
    let unfiltered = ProbeView {
        enforced: false,
        verdict: word("pass"),
        reason: word("not-filtered"),
        sentence: Some("no interface is filtered".into()),
        ..view
    };
    shows(
        &unfiltered,
        "
Not filtered   no interface is filtered
Verdict        pass
Program        drop (blocked)
Reason         not-filtered
Interface      eth0
",
    );
}
