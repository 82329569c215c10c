//! What an operator should know of a change although it is made: that nothing filters, and
//! that a whole address family is blocked.

use crate::agent::snapshot::Snapshot;
use crate::compiler::effect::Effects;
use crate::model::effect::{Becomes, Effect, SourcesKind};
use crate::model::{AllowPart, Binding, State};

/// Warnings of a change to `state`, by its effects and by where the program is attached.
pub(in crate::agent) fn of(state: &State, effects: &Effects, now: &Snapshot) -> Vec<String> {
    let mut warnings = Vec::new();
    if now.detached.is_some() || !now.unfiltered.is_empty() || now.interfaces.is_empty() {
        warnings.push(now.filtering());
    }
    let found = &effects.found;
    warnings.extend(found.iter().filter_map(|effect| closed(state, effect)));
    if effects.is_cut && !found.iter().any(|effect| effect.sources.at_least) {
        warnings.push(
            "the lists differ in more places than are compared: other sources than those listed \
             may become denied or allowed as well"
                .to_owned(),
        );
    }
    warnings
}

/// A family that blocks deny whole. An allow list leaves out what it is meant to leave
/// out: of that there is no warning.
fn closed(state: &State, effect: &Effect) -> Option<String> {
    let sources = &effect.sources;
    let has_exceptions = !sources.networks.is_empty() || sources.more > 0;
    if effect.becomes != Becomes::Denied || has_exceptions {
        return None;
    }
    let family = match sources.kind {
        SourcesKind::Networks => return None,
        SourcesKind::All => "IPv4 or IPv6",
        SourcesKind::AllIpv4 => "IPv4",
        SourcesKind::AllIpv6 => "IPv6",
    };
    let service = state.services.iter().find(|s| s.id == effect.scope);
    let scopes = service.map(|service| Binding::Service(service.name.clone()));
    let scopes: Vec<Binding> = scopes.into_iter().chain([Binding::Host]).collect();
    let governs = |scope| state.governing(scope);
    let mut governing = scopes.iter().flat_map(governs);
    if governing.any(|policy| matches!(policy.allow, AllowPart::Only(_))) {
        return None;
    }
    Some(format!(
        "the blocks cover all of {family} together: no such source passes on {} any more",
        effect.scope_name
    ))
}

#[cfg(test)]
mod tests {
    use crate::agent::testing::{Bench, DRY, PLAIN, ROOT, create};

    fn warned(bench: &mut Bench, allow: &[&str], block: &[&str]) -> Vec<String> {
        let change = create("office", allow, block);
        bench.writer.change(change, ROOT, DRY).unwrap().warnings
    }

    #[test]
    fn blocks_that_cover_a_family_are_warned_of_and_allow_lists_are_not() {
        let mut bench = Bench::new();
        assert_eq!(
            warned(&mut bench, &[], &["0.0.0.0/1", "128.0.0.0/1"]),
            ["the blocks cover all of IPv4 together: no such source passes on host any more"]
        );
        assert_eq!(
            warned(&mut bench, &[], &["::/1", "8000::/1"]),
            ["the blocks cover all of IPv6 together: no such source passes on host any more"]
        );
        assert!(warned(&mut bench, &[], &["0.0.0.0/1"]).is_empty());
        assert!(warned(&mut bench, &["10.0.0.0/8"], &[]).is_empty());
    }

    #[test]
    fn change_while_detached_says_that_nothing_is_filtered() {
        let mut bench = Bench::new();
        let marker = bench.dir.path().join(crate::config::DETACHED_MARKER);
        crate::detach_marker::write(&marker, "alice", jiff::Timestamp::UNIX_EPOCH).unwrap();
        bench.writer.reconcile();
        let change = create("office", &[], &["10.0.0.9"]);
        let warnings = bench.writer.change(change, ROOT, PLAIN).unwrap().warnings;
        assert_eq!(
            warnings,
            [
                "detached by alice at 1970-01-01 00:00:00 UTC: nothing is filtered until `netpolicy attach`"
            ]
        );
    }
}
