//! Formats of stored states: the first that has room for what a state holds, so that earlier
//! versions read what they can.

use crate::model::{Mode, NamedList, Policy, State};

/// The format of states without named lists, which earlier versions read as well.
pub(super) const FORMAT: u32 = 1;
/// The format of states with named lists.
const WITH_LISTS: u32 = 2;
/// The format of states with exceptions or policy tests.
const WITH_EXCEPTIONS: u32 = 3;
/// The format of states with feeds, whose content is elsewhere.
const WITH_FEEDS: u32 = 4;
/// The format of states with rules that end, or with limits to how much lists shrink.
const WITH_ENDS: u32 = 5;
/// The format of states with policies that are only observed. An earlier version would enforce
/// them.
const WITH_OBSERVED: u32 = 6;
/// The format of states with databases, to whose users policies may be bound. An earlier version
/// would leave them to the service's policies.
const WITH_DATABASES: u32 = 7;
/// The newest format.
pub(super) const LATEST: u32 = WITH_DATABASES;

/// The first format that has room for what a state holds.
pub(super) fn format_of(state: &State) -> u32 {
    let has = |what: fn(&NamedList) -> bool| state.lists.iter().any(what);
    let mut policies = state.policies.iter();
    let is_observed = |policy: &Policy| policy.mode == Mode::Observe;
    let has_user = |policy: &Policy| policy.bindings.iter().any(|one| one.user().is_some());
    if !state.databases.is_empty() || state.policies.iter().any(has_user) {
        WITH_DATABASES
    } else if state.policies.iter().any(is_observed) {
        WITH_OBSERVED
    } else if state.has_rule_ends() || has(|list| list.max_shrink.is_some()) {
        WITH_ENDS
    } else if has(|list| list.feed.is_some()) {
        WITH_FEEDS
    } else if policies.any(Policy::has_exceptions) || !state.tests.is_empty() {
        WITH_EXCEPTIONS
    } else if state.lists.is_empty() {
        FORMAT
    } else {
        WITH_LISTS
    }
}
