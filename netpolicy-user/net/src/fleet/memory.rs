//! Objects of a state in memory: those that a push makes, and those that its parent has.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use netpolicy_fleet::{ObjectId, ObjectKind, Objects, references};
use netpolicy_store::store::StoreError;

use super::objects::Body;

/// Objects in memory.
#[derive(Default)]
pub(crate) struct Memory(RefCell<BTreeMap<ObjectId, Vec<u8>>>);

impl Objects for Memory {
    fn read(&self, id: &ObjectId, read: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let bodies = self.0.borrow();
        let body = bodies.get(id);
        body.inspect(|body| read(body));
        Ok(body.is_some())
    }

    fn write(&self, id: &ObjectId, body: &[u8]) -> Result<(), StoreError> {
        let mut bodies = self.0.borrow_mut();
        bodies.entry(*id).or_insert_with(|| body.to_vec());
        Ok(())
    }

    fn corrupt(&self, detail: String) -> StoreError {
        StoreError::Unstorable { detail }
    }
}

impl Memory {
    /// Takes objects of etcd up.
    pub(crate) fn of(bodies: BTreeMap<ObjectId, Body>) -> Self {
        let bodies = bodies.into_iter().map(|(id, body)| (id, body.bytes));
        Self(RefCell::new(bodies.collect()))
    }

    /// Its objects that another has not, each before those that name it.
    pub(super) fn beyond(
        &self,
        other: &Self,
        root: ObjectId,
    ) -> anyhow::Result<Vec<(ObjectKind, ObjectId, Vec<u8>)>> {
        let (own, other) = (self.0.borrow(), other.0.borrow());
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open = vec![(ObjectKind::State, root)];
        while let Some((kind, id)) = open.pop() {
            if other.contains_key(&id) || !seen.insert(id) {
                continue;
            }
            let body = own.get(&id).context("an object is missing")?;
            open.extend(references(kind, body).map_err(anyhow::Error::msg)?);
            found.push((kind, id, body.clone()));
        }
        found.reverse();
        Ok(found)
    }
}
