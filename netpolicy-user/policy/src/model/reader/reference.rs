//! References to named lists among rules.

use super::{ListReader, RuleSpot, place};
use crate::model::error::{Excerpt, ListProblem, Place};

/// What a reference to a named list begins with.
pub(super) const REFERENCE: char = '@';

/// A reference to a named list among rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::model) struct Reference {
    /// The list's name as written, without `@`.
    pub(in crate::model) name: Box<str>,
    /// Where it stands.
    pub(in crate::model) place: Place,
}

impl ListReader<'_> {
    /// The named lists that were referred to so far.
    pub(in crate::model) fn take_references(&mut self) -> Vec<Reference> {
        std::mem::take(&mut self.references)
    }

    /// Takes a reference to a named list. A named list refers to no other.
    pub(super) fn reference(&mut self, spot: RuleSpot, name: &str, has_note: bool) {
        let place = place(&self.sources, spot);
        let found = || Excerpt::new(&format!("{REFERENCE}{name}"));
        if self.kind.is_none() {
            let problem = ListProblem::NestedReference { name: found() };
            self.report.error_at(Some(place), problem.into());
        } else if has_note {
            let problem = ListProblem::ReferenceNoted { name: found() };
            self.report.error_at(Some(place), problem.into());
        } else if let Some(first) = self.references.iter().find(|first| *first.name == *name) {
            let problem = ListProblem::ReferenceTwice {
                name: found(),
                first: Some(first.place.clone()),
            };
            self.report.error_at(Some(place), problem.into());
        } else {
            self.references.push(Reference {
                name: name.into(),
                place,
            });
        }
    }
}
