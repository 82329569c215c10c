//! A change in a few words, for logs and the list of revisions.

use crate::model::{Change, ListEdit};

/// The change as its command is called: "policy create office".
#[must_use]
pub(super) fn describe(change: &Change) -> String {
    match change {
        Change::CreatePolicy { name, .. } => with_name("policy create", name),
        Change::AlterPolicy { name, .. } => with_name("policy alter", name),
        Change::RenamePolicy { name, to } => {
            format!("{} to {}", with_name("policy rename", name), shown(to))
        }
        Change::DropPolicy { name } => with_name("policy drop", name),
        Change::SetActive { name, active: true } => with_name("policy activate", name),
        Change::SetActive {
            name,
            active: false,
        } => with_name("policy deactivate", name),
        Change::SetMode { policy, mode } => {
            format!("{} {mode}", with_name("policy mode", policy))
        }
        Change::Bind { policy, service } => scoped("bind", policy, service.as_deref()),
        Change::Unbind { policy, service } => scoped("unbind", policy, service.as_deref()),
        Change::SetOwner { policy, owner } => {
            format!("{} to {}", with_name("policy owner", policy), shown(owner))
        }
        Change::Govern { policy, service } => {
            let policy = policy.as_deref().unwrap_or("no policy");
            scoped("govern by", policy, service.as_deref())
        }
        Change::AlterReferences { policy, list, .. } => {
            format!("{} ({list} lists)", with_name("policy alter", policy))
        }
        Change::CreateList { name, .. } => with_name("list create", name),
        Change::AlterList { name, entries, .. } => with_name(
            match entries {
                ListEdit::Edit { remove, .. } if remove.is_empty() => "list add",
                ListEdit::Edit { add, .. } if add.is_empty() => "list remove",
                _ => "list alter",
            },
            name,
        ),
        Change::CreateFeed { name, .. } => with_name("feed create", name),
        Change::AlterFeed { name, .. } => with_name("feed alter", name),
        Change::SetListOwner { list, owner } => {
            format!("{} to {}", with_name("list owner", list), shown(owner))
        }
        Change::RenameList { name, to } => {
            format!("{} to {}", with_name("list rename", name), shown(to))
        }
        Change::DropList { name } => with_name("list drop", name),
        Change::DropDefault => "policy drop default".to_owned(),
        Change::AddService { name, .. } => with_name("service add", name),
        Change::AlterService { name, .. } => with_name("service alter", name),
        Change::RemoveService { name } => with_name("service remove", name),
        Change::AddDatabase { name, .. } => with_name("db add", name),
        Change::RemoveDatabase { name } => with_name("db remove", name),
        Change::BypassUser { user, minutes } => {
            format!("{} for {minutes} min", with_name("db bypass", user))
        }
        Change::SetTest {
            source, service, ..
        } => tested("policy test set", source, service.as_deref()),
        Change::RemoveTest {
            source, service, ..
        } => tested("policy test remove", source, service.as_deref()),
        Change::SetHost { .. } => "host set".to_owned(),
        Change::Apply { file, .. } => with_name("apply", &file.name),
    }
}

fn with_name(what: &str, name: &str) -> String {
    format!("{what} {}", shown(name))
}

fn scoped(what: &str, policy: &str, service: Option<&str>) -> String {
    let scope = match service {
        None => "host".to_owned(),
        Some(user) if user.starts_with("user:") || user.starts_with("role:") => shown(user),
        Some(service) => format!("service {}", shown(service)),
    };
    format!("{what} {} ({scope})", shown(policy))
}

fn tested(what: &str, source: &str, service: Option<&str>) -> String {
    let to = service.map(|service| format!(" to {}", shown(service)));
    format!("{}{}", with_name(what, source), to.unwrap_or_default())
}

/// A name that is not checked yet: without control characters, and cut when long.
fn shown(name: &str) -> String {
    const MOST: usize = 100;
    let mut text = name.escape_debug().take(MOST).collect::<String>();
    if name.chars().count() > MOST {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_read_like_commands() {
        let change = Change::RenamePolicy {
            name: "office".into(),
            to: "branch".into(),
        };
        assert_eq!(describe(&change), "policy rename office to branch");
        let change = Change::Bind {
            policy: "office".into(),
            service: None,
        };
        assert_eq!(describe(&change), "bind office (host)");
    }

    #[test]
    fn a_hostile_name_cannot_write_log_lines() {
        let change = Change::DropPolicy {
            name: format!("x\ny{}", "z".repeat(1000)),
        };
        let text = describe(&change);
        assert!(text.starts_with("policy drop x\\ny"));
        assert!(!text.contains('\n'));
        assert!(text.len() < 200);
    }
}
