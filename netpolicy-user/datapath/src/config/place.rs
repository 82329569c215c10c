//! Places in a configuration file, and when there need be none.

use std::io;
use std::path::Path;

/// Whether there is a configuration without the file, which cannot be read: the default one may be
/// absent, and may be one that a command's caller may not read.
pub(super) fn is_optional(why: io::ErrorKind, is_named: bool, for_command: bool) -> bool {
    match why {
        io::ErrorKind::NotFound => !is_named,
        io::ErrorKind::PermissionDenied => !is_named && for_command,
        _ => false,
    }
}

/// `path:line:column`, both counted from 1, the column in characters.
pub(super) fn place(path: &Path, text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    let column = before[start..].chars().count() + 1;
    format!("{}:{line}:{column}", path.display())
}
