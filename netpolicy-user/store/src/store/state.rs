//! A state with its lists, as objects.
//!
//! Lists, and chunks of lists, that another state is known to have are neither written nor read
//! again, but shared with it.

use std::collections::HashSet;

use super::StoreError;
use super::document::Document;
use super::list::{self, Known, KnownChunks};
use super::objects::{self, ObjectId, ObjectKind, Objects};
use crate::model::{RuleList, State};

/// Stores a state; its name and lists. Lists that are the very ones of `known` are stored
/// already.
///
/// # Errors
/// Failures to write.
pub(super) fn put(
    objects: &dyn Objects,
    known: &[Known],
    state: &State,
) -> Result<(ObjectId, Vec<Known>), StoreError> {
    let chunks = KnownChunks::of(known);
    let mut lists: Vec<Known> = Vec::new();
    let document = Document::of(state, |list| {
        let same = |other: &&Known| other.list.ptr_eq(list);
        if let Some(same) = lists.iter().find(same) {
            return Ok(same.id);
        }
        let list = match known.iter().find(same) {
            Some(same) => same.clone(),
            None => list::put(objects, list, &chunks)?,
        };
        let id = list.id;
        lists.push(list);
        Ok(id)
    })?;
    let id = objects::put(objects, ObjectKind::State, &document.encode()?)?;
    Ok((id, lists))
}

/// Reads a state, with its lists.
///
/// # Errors
/// [`StoreError::Corrupt`] and failures to read.
pub(super) fn get(
    objects: &dyn Objects,
    known: &[Known],
    id: &ObjectId,
) -> Result<(State, Vec<Known>), StoreError> {
    let document = objects::get(objects, ObjectKind::State, id, Document::decode)?;
    let mut lists: Vec<Known> = Vec::new();
    let mut missing = Vec::new();
    for id in document.lists() {
        if find(&lists, &id).is_some() || missing.contains(&id) {
            continue;
        }
        match find(known, &id) {
            Some(found) => lists.push(found.clone()),
            None => missing.push(id),
        }
    }
    lists.extend(list::get_all(objects, &missing, known)?);
    let state = document
        .into_state(|id| find(&lists, id).map(|known| known.list.clone()))
        .map_err(|detail| objects.corrupt(format!("state {id}: {detail}")))?;
    Ok((state, lists))
}

/// Reads a state and those of its lists that are not in `checked`, to which they are added. How
/// many policies it has.
///
/// # Errors
/// As [`get`].
pub(super) fn check(
    objects: &dyn Objects,
    id: &ObjectId,
    checked: &mut HashSet<ObjectId>,
) -> Result<usize, StoreError> {
    let document = objects::get(objects, ObjectKind::State, id, Document::decode)?;
    for list in document.lists() {
        check_list(objects, list, checked)?;
    }
    let state = document
        .into_state(|_| Some(RuleList::default()))
        .map_err(|detail| objects.corrupt(format!("state {id}: {detail}")))?;
    Ok(state.policies.len())
}

/// Reads a list that is not in `checked`, to which it is added.
///
/// # Errors
/// As [`get`].
pub(super) fn check_list(
    objects: &dyn Objects,
    id: ObjectId,
    checked: &mut HashSet<ObjectId>,
) -> Result<(), StoreError> {
    if checked.insert(id) {
        list::get(objects, &id, &[])?;
    }
    Ok(())
}

/// The names of a state's feeds.
///
/// # Errors
/// As [`get`].
pub(super) fn feeds(objects: &dyn Objects, id: &ObjectId) -> Result<Vec<String>, StoreError> {
    let document = objects::get(objects, ObjectKind::State, id, Document::decode)?;
    Ok(document.feeds().map(str::to_owned).collect())
}

/// Calls `mark` for all that a list consists of.
///
/// # Errors
/// As [`get`].
pub(super) fn mark_list(
    objects: &dyn Objects,
    id: ObjectId,
    mark: &mut impl FnMut(ObjectId) -> bool,
) -> Result<(), StoreError> {
    if mark(id) {
        for chunk in list::chunks(objects, &id)? {
            mark(chunk);
        }
    }
    Ok(())
}

/// Calls `mark` for a state and all objects that it refers to. What these refer to in turn is
/// not looked at where `mark` says `false`: it was marked before.
///
/// # Errors
/// As [`get`].
pub(super) fn mark(
    objects: &dyn Objects,
    id: ObjectId,
    mut mark: impl FnMut(ObjectId) -> bool,
) -> Result<(), StoreError> {
    if !mark(id) {
        return Ok(());
    }
    for list in objects::get(objects, ObjectKind::State, &id, Document::decode)?.lists() {
        mark_list(objects, list, &mut mark)?;
    }
    Ok(())
}

fn find<'a>(lists: &'a [Known], id: &ObjectId) -> Option<&'a Known> {
    lists.iter().find(|other| other.id == *id)
}
