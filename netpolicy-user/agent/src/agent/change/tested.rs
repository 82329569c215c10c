//! What a change says of policy tests, and of single rules that it edits: judged by the candidate,
//! before anything changes.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use netpolicy_common::{HOST_SCOPE, Reason};

use super::options::ChangeOptions;
use super::situation::{Candidate, Situation};
use crate::agent::error::AgentError;
use crate::compiler::Ruleset;
use crate::model::{Binding, EditedRule, FailedTest, ListKind, State, edited_rules, explain};

impl Situation<'_> {
    /// Refuses a change by which a test fails that is new, or held before. Of one that failed
    /// before there is a warning.
    pub(in crate::agent) fn check_tests(
        &self,
        candidate: &mut Candidate,
        options: ChangeOptions,
    ) -> Result<(), AgentError> {
        let failed = failing(&candidate.state, candidate.compiled.ruleset());
        if failed.is_empty() {
            return Ok(());
        }
        let (old, new): (&State, &State) = (&self.unended, &candidate.state);
        let before = match Arc::ptr_eq(&self.unended, &self.in_force.state) {
            true => failing(old, &self.in_force.ruleset),
            false => {
                let compiled = self.in_force.compiled.next(old, &mut |_, _| {});
                failing(old, compiled.ruleset())
            }
        };
        let failed_before = |failed: &FailedTest| {
            let test = new.tests.get(failed.test);
            let mut before = before.iter().map(|failed| old.tests.get(failed.test));
            test.is_some_and(|test| before.any(|old| old.is_some_and(|old| old.same_words(test))))
        };
        let (known, fresh): (Vec<_>, Vec<_>) = failed.into_iter().partition(failed_before);
        let warnings = &mut candidate.changed.warnings;
        warnings.extend(known.into_iter().map(|failed| failed.message));
        match fresh.is_empty() {
            true => Ok(()),
            false if options.force => {
                let anyway =
                    |failed: FailedTest| format!("{}; applied anyway (--force)", failed.message);
                warnings.extend(fresh.into_iter().map(anyway));
                Ok(())
            }
            false => Err(AgentError::TestsFailed(fresh)),
        }
    }

    /// Says of edited rules that change nothing what decides instead.
    pub(super) fn note_edits(&self, candidate: &mut Candidate) {
        let (old, new): (&State, &State) = (&self.in_force.state, &candidate.state);
        let rules = (&*self.in_force.ruleset, &**candidate.compiled.ruleset());
        let edited = edited_rules(old, new);
        let notes: Vec<_> = edited
            .iter()
            .flat_map(|edited| notes(edited, (old, new), rules))
            .collect();
        candidate.changed.warnings.extend(notes);
    }
}

fn failing(state: &State, rules: &Ruleset) -> Vec<FailedTest> {
    state.failing_tests(|service, source| {
        rules.lookup(service.map_or(HOST_SCOPE, |service| service.id), source)
    })
}

/// One note for each scope in which an edited rule changes nothing for its first address.
fn notes(
    edited: &EditedRule<'_>,
    (old, new): (&State, &State),
    (before, after): (&Ruleset, &Ruleset),
) -> Vec<String> {
    let source = edited.rule.net.addr();
    let of_scope = |scope: &Binding| {
        let (id, port) = match scope {
            Binding::Host => (HOST_SCOPE, None),
            // The database decides, not the scope.
            Binding::User(_) => return None,
            Binding::Service(name) => {
                let service = new.services.iter().find(|service| service.name == *name)?;
                let failsafe = &new.host.failsafe_ports;
                let mut ports = service.ports.iter();
                (
                    service.id,
                    Some(ports.find(|port| !failsafe.contains(*port))?),
                )
            }
        };
        let was = is_denied(before.lookup(id, source));
        let is = is_denied(after.lookup(id, source));
        if was != is {
            return None;
        }
        let EditedRule {
            kind,
            rule,
            is_added,
            policy,
        } = edited;
        // What it is like already is not worth a word, unless another rule is why.
        let closes = matches!(kind, ListKind::Block) == *is_added;
        let state = match closes == is {
            true => old,
            false => new,
        };
        let why = sentence(state, source, port)?;
        let becomes = match (closes == is, is) {
            (true, true) => "was denied already",
            (true, false) => "passed already",
            (false, true) => "stays denied",
            (false, false) => "still passes",
        };
        let done = match is_added {
            true => "added to",
            false => "removed from",
        };
        Some(format!(
            "{} {done} {} of policy '{}': on {scope} {source} {becomes}: {why}",
            rule.text(),
            side(*kind),
            policy.name
        ))
    };
    edited.policy.bindings.iter().filter_map(of_scope).collect()
}

fn side(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Allow => "the allow list",
        ListKind::Block => "the block list",
        ListKind::Except => "the exceptions",
    }
}

/// Why, where a rule or the lack of one decides.
fn sentence(state: &State, source: IpAddr, port: Option<u16>) -> Option<String> {
    let explanation = explain(state, &[], Timestamp::UNIX_EPOCH, source, port);
    let decided = explanation.rule.is_some()
        || !explanation.excepted.is_empty()
        || matches!(
            explanation.reason,
            Reason::NotAllowed | Reason::ObservedNotAllowed
        );
    decided.then(|| explanation.sentence(state))
}

fn is_denied(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Blocked | Reason::NotAllowed | Reason::ObservedBlocked | Reason::ObservedNotAllowed
    )
}

#[cfg(test)]
mod tests {
    use crate::agent::change::ChangeOptions;
    use crate::agent::error::AgentError;
    use crate::agent::testing::{Bench, DRY, PLAIN, ROOT, apply, create};
    use crate::model::{Change, ListEdit, ListInput};

    const TEST: &str = "[[test]]\nsource = \"10.0.0.1\"\nexpect = \"pass\"\n";

    fn file(block: &str) -> Change {
        apply(&format!(
            "[[policy]]\nname = \"one\"\nblock = [{block}]\n{TEST}"
        ))
    }

    fn block(policy: &str, add: &[&str], remove: &[&str]) -> Change {
        let list = |items: &[&str]| ListInput {
            items: items.iter().map(|&item| item.to_owned()).collect(),
            ..ListInput::default()
        };
        Change::AlterPolicy {
            name: policy.to_owned(),
            allow: ListEdit::Keep,
            block: ListEdit::Edit {
                add: list(add),
                remove: list(remove),
            },
            except: ListEdit::Keep,
            comment: None,
            compat: Default::default(),
        }
    }

    fn fails(bench: &mut Bench, change: Change, options: ChangeOptions) -> bool {
        match bench.writer.change(change, ROOT, options) {
            Err(AgentError::TestsFailed(failed)) => {
                assert_eq!(failed.len(), 1);
                true
            }
            Err(other) => panic!("{other}"),
            Ok(_) => false,
        }
    }

    #[test]
    fn change_by_which_a_test_begins_to_fail_needs_force() {
        let mut bench = Bench::new();
        assert!(fails(&mut bench, file("\"10.0.0.0/8\""), PLAIN));
        assert!(fails(&mut bench, file("\"10.0.0.0/8\""), DRY));
        assert!(!fails(&mut bench, file("\"10.0.0.2\""), PLAIN));
        assert!(fails(&mut bench, block("one", &["10.0.0.1"], &[]), PLAIN));
        let force = ChangeOptions {
            force: true,
            ..PLAIN
        };
        let forced = bench
            .writer
            .change(block("one", &["10.0.0.1"], &[]), ROOT, force);
        let warnings = forced.unwrap().warnings;
        assert!(
            warnings
                .iter()
                .any(|w| w.ends_with("applied anyway (--force)")),
            "{warnings:?}"
        );
        // From now on it is known.
        let other = bench
            .writer
            .change(block("one", &["10.0.0.3"], &[]), ROOT, PLAIN);
        let warnings = other.unwrap().warnings;
        assert!(
            warnings.iter().any(|w| w.contains("policy test failed")),
            "{warnings:?}"
        );
        assert!(!fails(&mut bench, block("one", &[], &["10.0.0.1"]), PLAIN));
        assert!(fails(&mut bench, block("one", &["10.0.0.1"], &[]), PLAIN));
    }

    #[test]
    fn edit_that_changes_no_verdict_names_the_rule_that_decides() {
        let mut bench = Bench::new();
        let mut warned = |change| bench.writer.change(change, ROOT, PLAIN).unwrap().warnings;
        warned(create("one", &[], &["10.0.0.0/8", "192.0.2.1"]));
        warned(create("two", &[], &["192.0.2.0/24"]));
        assert_eq!(
            warned(block("one", &[], &["192.0.2.1"])),
            [
                "192.0.2.1 removed from the block list of policy 'one': on host 192.0.2.1 stays denied: 192.0.2.1 is on the block list, by '192.0.2.0/24' of policy 'two' (--block)"
            ]
        );
        assert_eq!(
            warned(block("two", &["10.0.0.7"], &[])),
            [
                "10.0.0.7 added to the block list of policy 'two': on host 10.0.0.7 was denied already: 10.0.0.7 is on the block list, by '10.0.0.0/8' of policy 'one' (--block)"
            ]
        );
        assert!(warned(block("two", &["203.0.113.1"], &[])).is_empty());
    }
}
