//! What says something of a session alone, and the requester's address.

use super::{Action, Cx, Dialect, ResultTable};

impl Cx<'_, '_> {
    /// USE, ALTER SESSION: statements have no session here, as the statement's notes say.
    pub(super) fn session(&self) -> Action {
        let status = match self.dialect() {
            Dialect::Materialize => "ALTER SYSTEM",
            _ => "Statement executed successfully.",
        };
        Action::Nothing {
            status: status.to_owned(),
        }
    }

    /// SELECT CURRENT_IP_ADDRESS()
    pub(super) fn requester_address(&self) -> Action {
        let address = self.scene.address.map(|address| address.to_string());
        let note = match address {
            Some(_) => "the address that SSH or --from tells; lockouts are judged by it",
            None => "you have no address: you are on the machine itself, or --from none was given",
        };
        let mut table = ResultTable::of(&["CURRENT_IP_ADDRESS()"], vec![vec![address]]);
        table.warnings.push(note.to_owned());
        Action::Table(table)
    }
}
