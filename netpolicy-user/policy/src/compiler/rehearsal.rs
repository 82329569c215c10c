//! What a candidate makes of a source that came, compared with what is in force.

use ipnet::IpNet;
use netpolicy_common::{Action, HOST_SCOPE, Reason, ScopeId};

use super::Ruleset;

/// What a candidate changes for a source that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rehearsed {
    /// It fares as it did.
    Same,
    /// It got in, and would be denied.
    Denied {
        /// Why.
        reason: Reason,
        /// What is in force drops it as well: it came before that.
        already: bool,
    },
    /// It was denied, and would get in.
    Allowed {
        /// Why.
        reason: Reason,
        /// What is in force lets it in as well.
        already: bool,
    },
}

/// Judges a source in the scope of a service, or in the host's, by two rulesets. In the candidate a
/// scope that only observes counts as if it enforced; what is in force drops nothing there.
#[must_use]
pub fn rehearse(
    source: &IpNet,
    got_in: bool,
    (in_force, in_force_scope): (&Ruleset, ScopeId),
    (candidate, candidate_scope): (&Ruleset, ScopeId),
) -> Rehearsed {
    let reason = reason(candidate, candidate_scope, source);
    let denied = reason.is_denial();
    let denied_now = || is_dropped(in_force, in_force_scope, source);
    match (got_in, denied) {
        (true, true) => Rehearsed::Denied {
            reason,
            already: denied_now(),
        },
        (false, false) => Rehearsed::Allowed {
            reason,
            already: !denied_now(),
        },
        (true, false) | (false, true) => Rehearsed::Same,
    }
}

/// The scope of a name: the host's, where there is no service of this name.
#[must_use]
pub fn scope_of(rules: &Ruleset, name: &str) -> ScopeId {
    let found = rules.scopes.iter().find(|scope| scope.name == name);
    found.map_or(HOST_SCOPE, |scope| scope.id)
}

/// Why a network is judged as it is: of its first and its last address, what denies.
fn reason(rules: &Ruleset, scope: ScopeId, source: &IpNet) -> Reason {
    let first = rules.lookup(scope, source.network());
    if first.is_denial() || source.prefix_len() == source.max_prefix_len() {
        return first;
    }
    rules.lookup(scope, source.broadcast())
}

/// Whether the first or the last address of a network is dropped.
fn is_dropped(rules: &Ruleset, scope: ScopeId, source: &IpNet) -> bool {
    let dropped = |address| rules.lookup(scope, address).action() == Action::Drop;
    dropped(source.network()) || dropped(source.broadcast())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::compile;
    use crate::model::{Change, ChangeContext, Limits, SourceText, State};

    fn rules(text: &str) -> Ruleset {
        let cx = ChangeContext {
            now: jiff::Timestamp::UNIX_EPOCH,
            actor: "tester",
            limits: Limits::default(),
            force: false,
        };
        let file = SourceText {
            name: "p.toml".into(),
            text: text.into(),
        };
        let change = Change::Apply {
            file,
            lists: Vec::new(),
            skip_invalid: false,
            allow_empty: false,
            keep_others: false,
        };
        compile(&State::empty().apply(&change, &cx).unwrap().state)
    }

    #[test]
    fn sources_fare_otherwise_only_where_the_candidate_says_so() {
        let in_force = rules("[[policy]]\nname = \"abuse\"\nblock = [\"192.0.2.0/24\"]\n");
        let candidate = rules("[[policy]]\nname = \"office\"\nallow = [\"192.0.2.7\"]\n");
        let judged = |source: &str, got_in| {
            let source = crate::model::parse_source(source).unwrap();
            rehearse(&source, got_in, (&in_force, 0), (&candidate, 0))
        };
        let denied = |already| Rehearsed::Denied {
            reason: Reason::NotAllowed,
            already,
        };
        let allowed = |already| Rehearsed::Allowed {
            reason: Reason::Allowed,
            already,
        };
        assert_eq!(judged("198.51.100.1", true), denied(false));
        assert_eq!(judged("192.0.2.9", true), denied(true));
        assert_eq!(judged("192.0.2.7", true), Rehearsed::Same);
        assert_eq!(judged("192.0.2.7", false), allowed(false));
        assert_eq!(judged("198.51.100.1", false), Rehearsed::Same);
        assert_eq!(judged("192.0.2.6/31", true), denied(true));
    }

    #[test]
    fn what_is_only_observed_in_force_denies_nothing_already() {
        let block = "[[policy]]\nname = \"abuse\"\nblock = [\"192.0.2.0/24\"]\n";
        let observing = rules(&format!("[host]\nmode = \"observe\"\n{block}"));
        let (enforcing, open) = (rules(block), rules(""));
        let source = crate::model::parse_source("192.0.2.9").unwrap();
        let judged = |got_in, candidate| rehearse(&source, got_in, (&observing, 0), (candidate, 0));
        let denied = Rehearsed::Denied {
            reason: Reason::Blocked,
            already: false,
        };
        assert_eq!(judged(true, &enforcing), denied);
        let Rehearsed::Allowed { already, .. } = judged(false, &open) else {
            panic!("it gets in");
        };
        assert!(already, "since the host only observes");
    }

    #[test]
    fn service_that_is_gone_is_judged_as_the_host() {
        let rules = rules(
            "[[service]]\nname = \"postgres\"\nports = [\"5432\"]\n[[policy]]\nname = \"office\"\nallow = []\n",
        );
        assert_ne!(scope_of(&rules, "postgres"), HOST_SCOPE);
        assert_eq!(scope_of(&rules, "redis"), HOST_SCOPE);
        assert_eq!(scope_of(&rules, "host"), HOST_SCOPE);
    }
}
