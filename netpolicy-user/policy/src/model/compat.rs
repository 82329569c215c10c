//! Properties of a policy or of the host that only a SQL dialect needs.
//!
//! Opaque to everything but `sql::meaning`. The rest keeps it, compares it and writes it
//! into files and messages by these methods, and does not ask what it says.

use serde::{Deserialize, Serialize};

use super::change::ListEdit;
use super::error::Excerpt;
use super::{AllowPart, Problem, RuleList, parse_source};

/// What only a SQL dialect has to know of a policy. Travels, and is stored, as
/// `blocked_rest`: text or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyCompat {
    /// A `/0` that Snowflake's dialect put on the block list, as written. There it stands
    /// for all sources that are not allowed, which the allow part says already: shown, and
    /// not enforced. Only with [`AllowPart::Only`].
    blocked_rest: Option<Box<str>>,
}

/// What only a SQL dialect has to know of the host. Is stored as `default_dropped`: true or
/// false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostCompat {
    /// Whether the policy `default`, which Materialize's dialect has from the start, was
    /// dropped. It allows all and so stands in no state until it is altered.
    default_dropped: bool,
}

impl PolicyCompat {
    /// Its key in policy files.
    pub(super) const KEY: &str = "blocked_rest";

    /// Of a policy on whose block list there is a `/0`, as written.
    #[must_use]
    pub fn with_blocked_rest(text: Option<String>) -> Self {
        Self {
            blocked_rest: text.map(Into::into),
        }
    }

    /// The `/0` on the block list, as written.
    #[must_use]
    pub fn blocked_rest(&self) -> Option<&str> {
        self.blocked_rest.as_deref()
    }

    /// Whether it says nothing: no dialect needs anything of this policy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocked_rest.is_none()
    }

    /// Refuses what no dialect says.
    pub(super) fn check(&self) -> Result<(), Problem> {
        match self.blocked_rest() {
            Some(text) if !is_all(text) => Err(wrong(text, "0.0.0.0/0")),
            _ => Ok(()),
        }
    }

    /// The allow part of a policy that has this: of a new one, or of one that is edited.
    pub(super) fn governs(&self, allow: AllowPart) -> AllowPart {
        match allow {
            AllowPart::Any if !self.is_empty() => AllowPart::Only(RuleList::default()),
            allow => allow,
        }
    }

    /// Follows an edit of the policy's lists: a block list that is replaced brings what it
    /// comes with, and a policy that is to allow any has nothing of it.
    pub(super) fn edit(&mut self, new: &Self, allow: &ListEdit, block: &ListEdit) {
        if matches!(block, ListEdit::Set { .. } | ListEdit::Any) {
            self.clone_from(new);
        }
        if matches!(allow, ListEdit::Any) {
            *self = Self::default();
        }
    }

    /// What a policy file says under [`Self::KEY`], next to an allow part.
    pub(super) fn of_file(text: &str, allow: &AllowPart) -> Result<Self, Problem> {
        if is_all(text) && matches!(allow, AllowPart::Only(_)) {
            return Ok(Self::with_blocked_rest(Some(text.to_owned())));
        }
        Err(wrong(text, "0.0.0.0/0 and an allow list"))
    }

    /// What a policy file says of it under [`Self::KEY`].
    pub(super) fn to_file(&self) -> Option<&str> {
        self.blocked_rest()
    }

    /// What differs from the `old` policy's, in words; of two policies that need not be.
    pub(super) fn difference(old: Option<&Self>, new: Option<&Self>) -> Option<String> {
        let rest = (
            old.and_then(Self::blocked_rest),
            new.and_then(Self::blocked_rest),
        );
        match rest {
            (old, Some(new)) if old != Some(new) => {
                Some(format!("all sources not allowed shown as blocked: {new}"))
            }
            (Some(old), None) if new.is_some() => Some(format!(
                "all sources not allowed no longer shown as blocked: {old}"
            )),
            _ => None,
        }
    }
}

impl HostCompat {
    /// Whether Materialize's policy `default` was dropped.
    #[must_use]
    pub fn default_dropped(self) -> bool {
        self.default_dropped
    }

    /// Whether it says nothing: no dialect needs anything of this host.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.default_dropped
    }

    /// Drops Materialize's policy `default`.
    pub(super) fn drop_default(&mut self) {
        self.default_dropped = true;
    }

    /// What differs from the `old` one, in words.
    pub(super) fn difference(self, old: Self) -> Option<String> {
        let there = |compat: Self| match compat.default_dropped {
            true => "dropped",
            false => "there",
        };
        (self != old).then(|| {
            format!(
                "Materialize's policy default: {} -> {}",
                there(old),
                there(self)
            )
        })
    }

    /// What is done by changing it, which requires the privilege to create policies.
    pub(super) fn action(self, old: Self) -> Option<&'static str> {
        (self != old).then_some("drop policy 'default'")
    }
}

fn is_all(text: &str) -> bool {
    parse_source(text).is_ok_and(|net| net.prefix_len() == 0)
}

fn wrong(text: &str, expected: &'static str) -> Problem {
    Problem::WrongValue {
        key: PolicyCompat::KEY,
        found: Excerpt::new(text),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::arbitrary::cx;
    use crate::model::file::export;
    use crate::model::{Change, ListInput, SourceText, State, plan};

    fn rest() -> PolicyCompat {
        PolicyCompat::with_blocked_rest(Some("192.168.1.0/0".to_owned()))
    }

    fn create(allow: Option<ListInput>, compat: PolicyCompat) -> Change {
        Change::CreatePolicy {
            name: "office".to_owned(),
            allow,
            block: ListInput::default(),
            comment: None,
            inactive: false,
            mode: Default::default(),
            services: Vec::new(),
            unbound: false,
            replace: false,
            except: Default::default(),
            compat,
        }
    }

    fn made(change: &Change) -> State {
        State::empty().apply(change, &cx()).unwrap().state
    }

    #[test]
    fn change_travels_under_its_former_key() {
        let text = r#"{"change":"alter-policy","name":"office","blocked_rest":"0.0.0.0/0"}"#;
        let change: Change = serde_json::from_str(text).unwrap();
        let Change::AlterPolicy { compat, .. } = &change else {
            panic!("{change:?}");
        };
        assert_eq!(compat.blocked_rest(), Some("0.0.0.0/0"));
        assert!(
            serde_json::to_string(&change)
                .unwrap()
                .ends_with(r#""blocked_rest":"0.0.0.0/0"}"#)
        );
        for without in ["", r#","blocked_rest":null"#] {
            let text = format!(r#"{{"change":"create-policy","name":"office"{without}}}"#);
            let change: Change = serde_json::from_str(&text).unwrap();
            assert_eq!(change, create(None, PolicyCompat::default()));
            let text = serde_json::to_string(&change).unwrap();
            assert!(!text.contains("blocked_rest"), "{text}");
        }
        for wrong in [r#""blocked_rest":7"#, r#""compat":"0.0.0.0/0""#] {
            let text = format!(r#"{{"change":"create-policy","name":"office",{wrong}}}"#);
            assert!(serde_json::from_str::<Change>(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn change_with_another_network_is_refused() {
        let change = create(
            None,
            PolicyCompat::with_blocked_rest(Some("10.0.0.0/8".to_owned())),
        );
        let errors = State::empty().apply(&change, &cx()).unwrap_err();
        assert_eq!(
            errors.messages(),
            ["'blocked_rest' is '10.0.0.0/8'; expected 0.0.0.0/0"]
        );
    }

    #[test]
    fn policy_file_has_it_under_its_former_key() {
        let state = made(&create(Some(ListInput::default()), rest()));
        let text = export(&state);
        assert!(
            text.ends_with("allow = []\nblocked_rest = \"192.168.1.0/0\"\n"),
            "{text}"
        );
        let file = |text: &str| Change::Apply {
            file: SourceText {
                name: "p.toml".to_owned(),
                text: text.to_owned(),
            },
            lists: Vec::new(),
            skip_invalid: false,
            allow_empty: false,
            keep_others: false,
        };
        let read = made(&file(&text));
        assert_eq!(read.policies[0].compat, rest());
        assert_eq!(plan(&state, &read), []);
        for wrong in [
            "[[policy]]\nname = \"office\"\nblocked_rest = \"0.0.0.0/0\"\n",
            "[[policy]]\nname = \"office\"\nallow = []\nblocked_rest = \"10.0.0.0/8\"\n",
        ] {
            let errors = State::empty().apply(&file(wrong), &cx()).unwrap_err();
            assert!(
                errors.messages()[0].ends_with("; expected 0.0.0.0/0 and an allow list"),
                "{errors}"
            );
        }
    }

    #[test]
    fn lists_that_are_edited_keep_replace_or_remove_it() {
        let set = || ListEdit::Set {
            list: ListInput::default(),
        };
        let (keep, any) = (ListEdit::Keep, ListEdit::Any);
        let other = PolicyCompat::with_blocked_rest(Some("0.0.0.0/0".to_owned()));
        let none = PolicyCompat::default;
        for (new, allow, block, expected) in [
            (none(), &keep, &keep, rest()),
            (none(), &set(), &keep, rest()),
            (other.clone(), &keep, &keep, rest()),
            (other.clone(), &keep, &set(), other.clone()),
            (none(), &keep, &set(), none()),
            (none(), &keep, &any, none()),
            (other.clone(), &any, &set(), none()),
            (none(), &any, &keep, none()),
        ] {
            let mut compat = rest();
            compat.edit(&new, allow, block);
            assert_eq!(compat, expected, "{new:?} {allow:?} {block:?}");
        }
    }

    #[test]
    fn policy_that_blocks_the_rest_allows_only_what_it_lists() {
        let none = AllowPart::Only(RuleList::default());
        assert_eq!(rest().governs(AllowPart::Any), none);
        assert_eq!(
            PolicyCompat::default().governs(AllowPart::Any),
            AllowPart::Any
        );
        assert_eq!(made(&create(None, rest())).policies[0].allow, none);
    }
}
