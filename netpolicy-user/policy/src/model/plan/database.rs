//! How databases differ.

use super::{comment, field};
use crate::model::Database;

pub(super) fn database_details(old: Option<&Database>, new: Option<&Database>) -> Vec<String> {
    let mut details = Vec::new();
    let of = |value: fn(&Database) -> Option<String>| {
        let text = |database| value(database).unwrap_or_else(|| "as the server says".to_owned());
        (old.map(text), new.map(text))
    };
    for (name, (old, new)) in [
        ("kind", of(|one| Some(one.kind.to_string()))),
        ("service", of(|one| Some(one.service.to_string()))),
        ("socket", of(|one| one.socket.clone())),
        ("hba_dir", of(|one| one.hba_dir.clone())),
        ("hba_conf", of(|one| one.hba_conf.clone())),
    ] {
        field(&mut details, name, old, new);
    }
    let bypasses = |database: Option<&Database>| {
        let bypasses = database.map(|one| one.bypasses.clone());
        bypasses.unwrap_or_default()
    };
    let (before, after) = (bypasses(old), bypasses(new));
    for (sign, these, others) in [("-", &before, &after), ("+", &after, &before)] {
        let differing = these.iter().filter(|one| !others.contains(one));
        details.extend(differing.map(|one| {
            format!(
                "{sign} {} {} bypasses its policies until {}",
                one.kind, one.name, one.until
            )
        }));
    }
    comment(
        &mut details,
        old.and_then(|database| database.comment.as_deref()),
        new.and_then(|database| database.comment.as_deref()),
    );
    details
}
