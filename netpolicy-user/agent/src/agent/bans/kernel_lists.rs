//! What of a table the kernel is to hold.

use netpolicy_common::ScopeId;

use crate::agent::banned::BanTable;
use crate::datapath::BanLists;
use crate::model::{Name, State};

/// The lists of all scopes of a state.
pub(super) fn lists(table: &mut BanTable, state: &State) -> BanLists {
    table.lists(id_in(state))
}

/// The scopes of a state's services.
pub(super) fn id_in(state: &State) -> impl Fn(&Name) -> Option<ScopeId> {
    |name| state.service(name.as_str()).map(|service| service.id)
}
