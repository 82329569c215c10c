//! Names of scopes, policies and lists, each as a small number.

use std::collections::HashMap;

/// The number of a name.
pub(super) type NameId = u16;

/// What stands for no name, and for names beyond the most that are kept.
pub(super) const NO_NAME: NameId = 0;

/// Names by number.
#[derive(Debug)]
pub(super) struct NameTable {
    texts: Vec<String>,
    ids: HashMap<String, NameId>,
    /// How many of them are kept by the store.
    pub(super) written: usize,
}

impl Default for NameTable {
    fn default() -> Self {
        Self {
            texts: vec![String::new()],
            ids: HashMap::new(),
            written: 1,
        }
    }
}

impl NameTable {
    /// The number of a name.
    pub(super) fn id(&mut self, text: &str) -> NameId {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let Ok(id) = NameId::try_from(self.texts.len()) else {
            return NO_NAME;
        };
        self.texts.push(text.to_owned());
        self.ids.insert(text.to_owned(), id);
        id
    }

    /// The number of a name that has one.
    pub(super) fn known(&self, text: &str) -> Option<NameId> {
        self.ids.get(text).copied()
    }

    /// The name; `None`: there is none.
    pub(super) fn text(&self, id: NameId) -> Option<&str> {
        let text = self.texts.get(usize::from(id)).filter(|_| id != NO_NAME)?;
        Some(text)
    }

    /// The names that the store does not keep yet.
    pub(super) fn unwritten(&self) -> impl Iterator<Item = (NameId, &str)> {
        let from = self.written;
        let rest = self.texts.get(from..).unwrap_or_default();
        (from..).zip(rest).filter_map(|(id, text)| {
            let id = NameId::try_from(id).ok()?;
            Some((id, text.as_str()))
        })
    }

    /// Takes note that the store keeps all names.
    pub(super) fn all_written(&mut self) {
        self.written = self.texts.len();
    }

    /// Puts in a name that the store kept; they come in the order of their numbers.
    pub(super) fn restore(&mut self, id: NameId, text: String) {
        if usize::from(id) == self.texts.len() {
            self.ids.insert(text.clone(), id);
            self.texts.push(text);
            self.written = self.texts.len();
        }
    }
}
