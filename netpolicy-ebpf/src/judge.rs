//! From a source and a scope to a reason.

use netpolicy_common::{Action, HOST_SCOPE, Listing, Reason, ScopeConfig, ScopeFlags, ScopeId};

/// What one generation's lists say of one source.
pub trait SourceLists {
    /// What the lists of a scope, whose configuration this is, say, a block first. Where no
    /// allow list is in force (`only` says no), they need not be asked for one.
    fn listed(&self, config: &ScopeConfig, scope: ScopeId, only: impl Fn() -> bool) -> Listing;
}

/// What one scope's lists say.
enum Said {
    Blocked,
    NotAllowed,
    Allowed,
    NotBlocked,
}

/// Judges a connection attempt in `scope`, which `config` governs.
///
/// A service's own lists come first, then, if the configuration says so, the
/// host's; a denial by either decides. It drops if the scope that denied and the
/// scope that was asked both enforce. `host` finds the host's configuration, only then.
#[inline(always)]
pub fn judge<'a, L: SourceLists>(
    lists: &L,
    config: &ScopeConfig,
    host: impl FnOnce() -> &'a ScopeConfig,
    scope: ScopeId,
) -> Reason {
    // Flags are read again where they are needed: kept meanwhile, they would be written to
    // the stack and read from there.
    let has = |flag| config.flags.has(flag);
    let mut reason = Reason::NoPolicy;
    if has(ScopeFlags::OWN_LISTS) {
        match ask(lists, config, scope, || has(ScopeFlags::OWN_ONLY)) {
            Said::Allowed => reason = Reason::Allowed,
            Said::NotBlocked => reason = Reason::NotBlocked,
            denial => return deny(&denial, has(ScopeFlags::OWN_ENFORCE)),
        }
    }
    if has(ScopeFlags::HOST_LISTS) {
        match ask(lists, host(), HOST_SCOPE, || has(ScopeFlags::HOST_ONLY)) {
            Said::Allowed => reason = Reason::Allowed,
            Said::NotBlocked => {
                if reason as u8 == Reason::NoPolicy as u8 {
                    reason = Reason::NotBlocked;
                }
            }
            denial => return deny(&denial, has(ScopeFlags::HOST_ENFORCE)),
        }
    }
    reason
}

/// What comes of what the lists of a scope say that enforces them and is the only one asked.
/// `only`: an allow list is in force.
#[inline(always)]
pub fn enforced(listed: Listing, only: impl Fn() -> bool) -> Reason {
    match listed {
        Listing::Blocked => Reason::Blocked,
        _ if !only() => Reason::NotBlocked,
        Listing::Allowed => Reason::Allowed,
        Listing::Neither => Reason::NotAllowed,
    }
}

/// What comes of a ban in a scope with these flags. It stands before the lists, and whatever
/// they say.
#[inline(always)]
#[must_use]
pub const fn banned(flags: ScopeFlags) -> Reason {
    if flags.has(ScopeFlags::BANS_OBSERVED) {
        Reason::ObservedBanned
    } else {
        Reason::Banned
    }
}

/// What is said of a packet that could not be classified, whose source a scope judged like
/// that of an attempt.
#[inline(always)]
pub const fn unclassified(judged: Reason) -> Reason {
    match judged {
        Reason::Blocked | Reason::NotAllowed | Reason::Banned => Reason::UnclassifiedDropped,
        Reason::ObservedBlocked | Reason::ObservedNotAllowed | Reason::ObservedBanned => {
            Reason::ObservedUnclassified
        }
        Reason::Bypass => Reason::Bypass,
        _ => Reason::UnclassifiedPassed,
    }
}

/// Whether the second verdict on a frame is stricter than the first: it drops what that passes,
/// or would but for observe mode.
#[inline(always)]
#[must_use]
pub const fn is_stricter(first: Reason, second: Reason) -> bool {
    strictness(second) > strictness(first)
}

#[inline(always)]
const fn strictness(reason: Reason) -> u8 {
    match (reason.action(), reason.is_denial()) {
        (Action::Drop, _) => 2,
        (Action::Pass, true) => 1,
        (Action::Pass, false) => 0,
    }
}

/// Deny-first: the block lists, then, where an allow list is in force, that.
#[inline(always)]
fn ask<L: SourceLists>(
    lists: &L,
    config: &ScopeConfig,
    scope: ScopeId,
    only: impl Fn() -> bool,
) -> Said {
    match lists.listed(config, scope, &only) {
        Listing::Blocked => Said::Blocked,
        _ if !only() => Said::NotBlocked,
        Listing::Allowed => Said::Allowed,
        Listing::Neither => Said::NotAllowed,
    }
}

#[inline(always)]
fn deny(said: &Said, enforce: bool) -> Reason {
    match (said, enforce) {
        (Said::Blocked, true) => Reason::Blocked,
        (Said::Blocked, false) => Reason::ObservedBlocked,
        (_, true) => Reason::NotAllowed,
        (_, false) => Reason::ObservedNotAllowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: ScopeId = 3;

    /// Lists that hold every address of a scope, or none.
    #[derive(Default)]
    struct Fake {
        block: &'static [ScopeId],
        allow: &'static [ScopeId],
    }

    impl SourceLists for Fake {
        fn listed(&self, _: &ScopeConfig, scope: ScopeId, only: impl Fn() -> bool) -> Listing {
            if self.block.contains(&scope) {
                Listing::Blocked
            } else if only() && self.allow.contains(&scope) {
                Listing::Allowed
            } else {
                Listing::Neither
            }
        }
    }

    fn judge<L: SourceLists>(lists: &L, flags: ScopeFlags, scope: ScopeId) -> Reason {
        let config = ScopeConfig {
            flags,
            ..ScopeConfig::default()
        };
        let host = ScopeConfig::default();
        super::judge(lists, &config, || &host, scope)
    }

    fn config(flags: &[ScopeFlags]) -> ScopeFlags {
        flags
            .iter()
            .fold(ScopeFlags::default(), |all, flag| all.with(*flag))
    }

    use ScopeFlags as F;

    #[test]
    fn no_policy_passes_whatever_the_lists_hold() {
        let lists = Fake {
            block: &[0, SERVICE],
            allow: &[],
        };
        assert_eq!(judge(&lists, config(&[]), SERVICE), Reason::NoPolicy);
        assert_eq!(judge(&lists, config(&[]), HOST_SCOPE), Reason::NoPolicy);
    }

    #[test]
    fn a_block_wins_over_an_allow() {
        let lists = Fake {
            block: &[0],
            allow: &[0],
        };
        let config = config(&[F::OWN_LISTS, F::OWN_ONLY, F::OWN_ENFORCE]);
        assert_eq!(judge(&lists, config, HOST_SCOPE), Reason::Blocked);
    }

    #[test]
    fn without_an_allow_list_what_is_not_blocked_passes() {
        let config = config(&[F::OWN_LISTS, F::OWN_ENFORCE]);
        assert_eq!(
            judge(&Fake::default(), config, HOST_SCOPE),
            Reason::NotBlocked
        );
    }

    #[test]
    fn with_an_allow_list_what_is_on_none_is_denied() {
        let config = config(&[F::OWN_LISTS, F::OWN_ONLY, F::OWN_ENFORCE]);
        assert_eq!(
            judge(&Fake::default(), config, HOST_SCOPE),
            Reason::NotAllowed
        );
    }

    #[test]
    fn override_asks_the_service_alone_and_a_bare_service_the_host() {
        let lists = Fake {
            block: &[HOST_SCOPE],
            allow: &[SERVICE],
        };
        let own = config(&[F::OWN_LISTS, F::OWN_ONLY, F::OWN_ENFORCE, F::HOST_ENFORCE]);
        assert_eq!(judge(&lists, own, SERVICE), Reason::Allowed);
        let bare = config(&[F::HOST_LISTS, F::HOST_ENFORCE]);
        assert_eq!(judge(&lists, bare, SERVICE), Reason::Blocked);
    }

    #[test]
    fn and_needs_both() {
        let and = config(&[
            F::OWN_LISTS,
            F::OWN_ONLY,
            F::OWN_ENFORCE,
            F::HOST_LISTS,
            F::HOST_ONLY,
            F::HOST_ENFORCE,
        ]);
        let both = Fake {
            block: &[],
            allow: &[HOST_SCOPE, SERVICE],
        };
        assert_eq!(judge(&both, and, SERVICE), Reason::Allowed);
        let one = Fake {
            block: &[],
            allow: &[SERVICE],
        };
        assert_eq!(judge(&one, and, SERVICE), Reason::NotAllowed);
        let other = Fake {
            block: &[],
            allow: &[HOST_SCOPE],
        };
        assert_eq!(judge(&other, and, SERVICE), Reason::NotAllowed);
    }

    #[test]
    fn a_scope_that_enforces_and_is_asked_alone_is_judged_as_any() {
        let flags = [F::OWN_LISTS, F::OWN_ENFORCE];
        for only in [false, true] {
            let config = if only {
                config(&flags).with(F::OWN_ONLY)
            } else {
                config(&flags)
            };
            for (block, allow) in [(true, true), (true, false), (false, true), (false, false)] {
                let lists = Fake {
                    block: if block { &[0] } else { &[] },
                    allow: if allow { &[0] } else { &[] },
                };
                let listed = lists.listed(&ScopeConfig::default(), HOST_SCOPE, || only);
                assert_eq!(
                    enforced(listed, || only),
                    judge(&lists, config, HOST_SCOPE),
                    "{only} {block} {allow}"
                );
            }
        }
    }

    #[test]
    fn an_observing_scope_denies_nothing() {
        let lists = Fake {
            block: &[0],
            allow: &[],
        };
        let observe = config(&[F::OWN_LISTS]);
        assert_eq!(judge(&lists, observe, HOST_SCOPE), Reason::ObservedBlocked);
        assert_eq!(
            unclassified(judge(&lists, observe, HOST_SCOPE)),
            Reason::ObservedUnclassified
        );
    }

    #[test]
    fn ban_drops_unless_the_scope_observes() {
        assert_eq!(banned(F::default()), Reason::Banned);
        assert_eq!(banned(F::OWN_ENFORCE), Reason::Banned);
        assert_eq!(banned(F::BANS_OBSERVED), Reason::ObservedBanned);
        assert_eq!(unclassified(Reason::Banned), Reason::UnclassifiedDropped);
        assert_eq!(
            unclassified(Reason::ObservedBanned),
            Reason::ObservedUnclassified
        );
    }

    #[test]
    fn drop_is_stricter_than_observed_denial_and_that_than_pass() {
        let order = [Reason::Allowed, Reason::ObservedBlocked, Reason::Blocked];
        for (i, first) in order.into_iter().enumerate() {
            for (j, second) in order.into_iter().enumerate() {
                assert_eq!(is_stricter(first, second), j > i, "{first:?}, {second:?}");
            }
        }
        assert!(!is_stricter(Reason::NotBlocked, Reason::Bypass));
    }

    #[test]
    fn the_unclassified_are_judged_by_their_source() {
        let enforce = config(&[F::OWN_LISTS, F::OWN_ENFORCE]);
        let lists = Fake {
            block: &[0],
            allow: &[],
        };
        assert_eq!(
            unclassified(judge(&lists, enforce, HOST_SCOPE)),
            Reason::UnclassifiedDropped
        );
        assert_eq!(
            unclassified(judge(&Fake::default(), enforce, HOST_SCOPE)),
            Reason::UnclassifiedPassed
        );
    }
}
