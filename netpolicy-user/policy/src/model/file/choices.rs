//! Keys of the policy file that take one of a few words.

use super::document::TomlTable;
use crate::model::report::Report;
use crate::model::{Combine, Mode, OnDeny};

impl TomlTable<'_> {
    pub(super) fn mode(&self, report: &mut Report) -> Mode {
        const MODES: &[(&str, Mode)] = &[("enforce", Mode::Enforce), ("observe", Mode::Observe)];
        let found = self.choice("mode", MODES, "\"enforce\" or \"observe\"", report);
        found.unwrap_or_default()
    }

    pub(super) fn combine(&self, report: &mut Report) -> Combine {
        const COMBINE: &[(&str, Combine)] =
            &[("override", Combine::Override), ("and", Combine::And)];
        let found = self.choice("combine", COMBINE, "\"override\" or \"and\"", report);
        found.unwrap_or_default()
    }

    pub(super) fn on_deny(&self, report: &mut Report) -> OnDeny {
        const ON_DENY: &[(&str, OnDeny)] = &[("drop", OnDeny::Drop), ("reset", OnDeny::Reset)];
        let found = self.choice("on_deny", ON_DENY, "\"drop\" or \"reset\"", report);
        found.unwrap_or_default()
    }
}
