//! The texts that changes bring: of files, and how much of it.

use super::{Change, ListEdit, ListInput, SourceText};

impl Change {
    /// The texts of the files that it holds, in the order of its fields.
    pub fn texts_mut(&mut self) -> Vec<&mut String> {
        fn of(files: &mut [SourceText]) -> impl Iterator<Item = &mut String> {
            files.iter_mut().map(|file| &mut file.text)
        }
        fn edited(edit: &mut ListEdit) -> Vec<&mut String> {
            match edit {
                ListEdit::Keep | ListEdit::Any => Vec::new(),
                ListEdit::Set { list } => of(&mut list.files).collect(),
                ListEdit::Edit { add, remove } => {
                    of(&mut add.files).chain(of(&mut remove.files)).collect()
                }
            }
        }
        match self {
            Self::Apply { file, lists, .. } => {
                std::iter::once(&mut file.text).chain(of(lists)).collect()
            }
            Self::CreatePolicy { allow, block, .. } => {
                let allow = allow.iter_mut().flat_map(|list| of(&mut list.files));
                allow.chain(of(&mut block.files)).collect()
            }
            Self::AlterPolicy { allow, block, .. } => {
                let allow = edited(allow).into_iter();
                allow.chain(edited(block)).collect()
            }
            Self::CreateList { entries, .. } => of(&mut entries.files).collect(),
            Self::AlterList { entries, .. } => edited(entries),
            _ => Vec::new(),
        }
    }

    /// Whether whole files take the place of lists: one may have been cut short on its way.
    #[must_use]
    pub fn replaces_by_files(&self) -> bool {
        let is_set = |edit: &ListEdit| match edit {
            ListEdit::Set { list } => !list.files.is_empty(),
            ListEdit::Keep | ListEdit::Any | ListEdit::Edit { .. } => false,
        };
        match self {
            Self::Apply { .. } => true,
            Self::CreatePolicy { allow, block, .. } => {
                !block.files.is_empty() || allow.as_ref().is_some_and(|list| !list.files.is_empty())
            }
            Self::AlterPolicy { allow, block, .. } => is_set(allow) || is_set(block),
            Self::CreateList { entries, .. } => !entries.files.is_empty(),
            Self::AlterList { entries, .. } => is_set(entries),
            _ => false,
        }
    }

    /// Bytes of text that it holds, about.
    #[must_use]
    pub fn text_len(&self) -> usize {
        let files = |files: &[SourceText]| -> usize { files.iter().map(|f| f.text.len()).sum() };
        let list = |list: &ListInput| -> usize {
            let items: usize = list.items.iter().map(String::len).sum();
            items + files(&list.files)
        };
        let edit = |edit: &ListEdit| match edit {
            ListEdit::Keep | ListEdit::Any => 0,
            ListEdit::Set { list: set } => list(set),
            ListEdit::Edit { add, remove } => list(add) + list(remove),
        };
        match self {
            Self::Apply { file, lists, .. } => file.text.len() + files(lists),
            Self::CreatePolicy { allow, block, .. } => allow.as_ref().map_or(0, list) + list(block),
            Self::AlterPolicy { allow, block, .. } => edit(allow) + edit(block),
            Self::CreateList { entries, .. } => list(entries),
            Self::AlterList { entries, .. } => edit(entries),
            _ => 0,
        }
    }
}
