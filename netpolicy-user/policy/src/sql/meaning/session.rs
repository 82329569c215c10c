//! What says something of a session alone, and who asks from where.

use super::{Action, Cx, Dialect, ResultTable};
use crate::sql::RequesterFunction;

impl Cx<'_, '_> {
    /// What changes nothing here, as the statement's notes say; its first words.
    pub(super) fn session(&self, what: &str) -> Action {
        let status = match self.dialect() {
            Dialect::Materialize => what,
            _ => "Statement executed successfully.",
        };
        Action::Nothing {
            status: status.to_owned(),
        }
    }

    /// SELECT CURRENT_IP_ADDRESS(), CURRENT_USER(), CURRENT_ROLE()
    pub(super) fn requester(&self, asked: &[RequesterFunction]) -> Action {
        let address = self.scene.address.map(|address| address.to_string());
        let note = match address {
            Some(_) => "the address that SSH or --from tells; lockouts are judged by it",
            None => "you have no address: you are on the machine itself, or --from none was given",
        };
        let cell = |function: &RequesterFunction| match function {
            RequesterFunction::Address => address.clone(),
            RequesterFunction::User | RequesterFunction::Role => Some(self.scene.user.to_owned()),
        };
        let columns: Vec<_> = asked.iter().map(|f| format!("{}()", f.name())).collect();
        let columns: Vec<_> = columns.iter().map(String::as_str).collect();
        let mut table = ResultTable::of(&columns, vec![asked.iter().map(cell).collect()]);
        if asked.contains(&RequesterFunction::Address) {
            table.warnings.push(note.to_owned());
        }
        Action::Table(table)
    }
}
