//! `netpolicy find`.

use std::io::{self, Write};

use super::{Render, RenderOptions, line, list, plain, time, write_table};
use crate::api::{FindView, FoundItem, FoundKind};
use crate::model::Containment;

impl Render for FindView {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.items.is_empty() {
            return writeln!(
                out,
                "no policy, list, feed, ban or bypass holds or overlaps {}",
                self.network
            );
        }
        let rows = self.items.iter().map(|item| {
            vec![
                plain(relation(item.relation)),
                plain(what(item)),
                plain(line(&item.rule.text)),
                plain(match item.scopes.is_empty() {
                    true => "nowhere".to_owned(),
                    false => line(&list(&item.scopes)),
                }),
                plain(about(item, options)),
            ]
        });
        write_table(
            options,
            &["RELATION", "IN", "NETWORK", "COUNTS ON", "ABOUT"],
            rows.collect(),
            out,
        )
    }
}

fn relation(relation: Containment) -> &'static str {
    match relation {
        Containment::Equal => "equal",
        Containment::Holds => "holds it",
        Containment::Within => "in it",
    }
}

/// "policy office, block", "list @bad-hosts", "ban".
fn what(item: &FoundItem) -> String {
    let name = item.name.as_deref().unwrap_or_default();
    let side = item.side.map(|side| format!(", {side}"));
    line(&match item.kind {
        FoundKind::Bypass => "bypass".to_owned(),
        FoundKind::Ban => "ban".to_owned(),
        FoundKind::Policy => format!("policy {name}{}", side.unwrap_or_default()),
        FoundKind::List => format!("list @{name}"),
        FoundKind::Feed => format!("feed @{name}"),
    })
}

/// Which policies use it, where it was written, its comment, who made it and until when.
fn about(item: &FoundItem, options: &RenderOptions) -> String {
    let used = (!item.used_by.is_empty()).then(|| format!("used by {}", item.used_by.join(", ")));
    let unused = matches!(item.kind, FoundKind::List | FoundKind::Feed) && item.used_by.is_empty();
    let parts = [
        used,
        unused.then(|| "no policy uses it".to_owned()),
        item.by.as_ref().map(|by| format!("by {by}")),
        item.until
            .map(|until| format!("until {}", time(options, until))),
        item.rule.name.clone(),
        item.rule.place.clone(),
        item.rule.comment.clone(),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    line(&parts.join("; "))
}
