//! States as objects for what keeps or sends them elsewhere than in the store.
//!
//! Objects are the store's own, so that whoever has one of a state has it for the store, too.

use super::StoreError;
use super::document::Document;
use super::list;
use super::objects::{ObjectId, ObjectKind, Objects};
use super::state;
use crate::model::State;

/// Writes a state and all that it consists of; its name.
///
/// # Errors
/// Those of [`Objects::write`].
pub fn write_state(objects: &dyn Objects, of: &State) -> Result<ObjectId, StoreError> {
    state::put(objects, &[], of).map(|(id, _)| id)
}

/// Reads a state.
///
/// # Errors
/// What [`Objects::corrupt`] makes of an object that is missing, altered or malformed; those of
/// [`Objects::read`].
pub fn read_state(objects: &dyn Objects, id: &ObjectId) -> Result<State, StoreError> {
    state::get(objects, &[], id).map(|(state, _)| state)
}

/// The objects that an object names.
///
/// # Errors
/// In words, when the body is malformed or of a format that this version does not know.
pub fn references(kind: ObjectKind, body: &[u8]) -> Result<Vec<(ObjectKind, ObjectId)>, String> {
    Ok(match kind {
        ObjectKind::Chunk => Vec::new(),
        ObjectKind::List => {
            let chunks = list::chunks_in(body)?;
            let chunks = chunks.into_iter().map(|id| (ObjectKind::Chunk, id));
            chunks.collect()
        }
        ObjectKind::State => {
            let lists = Document::decode(body)?;
            let lists = lists.lists().map(|id| (ObjectKind::List, id));
            lists.collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::state;
    use crate::store::objects;
    use crate::store::objects::memory::Memory;

    proptest! {
        #[test]
        fn state_is_read_from_the_objects_that_references_lead_to(state in state()) {
            let all = Memory::default();
            let root = write_state(&all, &state).unwrap();
            let reached = Memory::default();
            let mut open = vec![(ObjectKind::State, root)];
            let mut seen = BTreeSet::new();
            while let Some((kind, id)) = open.pop() {
                if !seen.insert(id) {
                    continue;
                }
                let body = all.0.borrow().get(&id).unwrap().clone();
                prop_assert_eq!(kind.id(&body), id);
                open.extend(references(kind, &body).unwrap());
                objects::put(&reached, kind, &body).unwrap();
            }
            prop_assert_eq!(seen.len(), all.0.borrow().len());
            let found = read_state(&reached, &root).unwrap();
            prop_assert_eq!(found.policies.len(), state.policies.len());
            prop_assert_eq!(write_state(&Memory::default(), &found).unwrap(), root);
        }
    }
}
