//! Changes, and refused changes.

mod fleet;
mod govern;
mod lists;
mod named;
mod policies;
mod services;
mod tested;

use super::*;
use crate::model::arbitrary::cx;
use crate::model::change::{ListEdit, ListInput, SourceText};
use crate::model::error::ErrorKind;
use crate::model::{AllowPart, Combine, Mode, Policy, plan};

fn items(items: &[&str]) -> ListInput {
    ListInput {
        items: items.iter().map(|&item| item.to_owned()).collect(),
        ..ListInput::default()
    }
}

fn create(name: &str, allow: Option<&[&str]>, block: &[&str]) -> Change {
    Change::CreatePolicy {
        name: name.into(),
        allow: allow.map(items),
        block: items(block),
        comment: None,
        inactive: false,
        mode: Default::default(),
        services: vec![],
        unbound: false,
        replace: false,
        except: Default::default(),
        compat: Default::default(),
    }
}

fn alter(name: &str, allow: ListEdit, block: ListEdit) -> Change {
    Change::AlterPolicy {
        name: name.into(),
        allow,
        block,
        comment: None,
        except: Default::default(),
        compat: Default::default(),
    }
}

fn except(name: &str, except: ListEdit) -> Change {
    Change::AlterPolicy {
        name: name.into(),
        allow: ListEdit::Keep,
        block: ListEdit::Keep,
        except,
        comment: None,
        compat: Default::default(),
    }
}

fn edit(add: &[&str], remove: &[&str]) -> ListEdit {
    ListEdit::Edit {
        add: items(add),
        remove: items(remove),
    }
}

fn service(name: &str, ports: &[&str]) -> Change {
    Change::AddService {
        name: name.into(),
        ports: ports.iter().map(|&port| port.to_owned()).collect(),
        combine: Combine::Override,
        mode: Mode::Enforce,
        on_deny: Default::default(),
        comment: None,
    }
}

fn bind(policy: &str, service: Option<&str>) -> Change {
    Change::Bind {
        policy: policy.into(),
        service: service.map(Into::into),
    }
}

fn unbind(policy: &str, service: Option<&str>) -> Change {
    Change::Unbind {
        policy: policy.into(),
        service: service.map(Into::into),
    }
}

fn after(changes: &[Change]) -> State {
    changes.iter().fold(State::empty(), |state, change| {
        state
            .apply(change, &cx())
            .unwrap_or_else(|errors| panic!("{change:?}: {errors}"))
            .state
    })
}

/// The only error, and its kind.
fn refused(state: &State, change: &Change) -> (String, ErrorKind) {
    let errors = state.apply(change, &cx()).unwrap_err();
    assert_eq!(errors.total(), 1, "{errors}");
    (errors.to_string(), errors.kind())
}

fn allow_texts(policy: &Policy) -> Vec<String> {
    policy
        .allow_list()
        .unwrap()
        .iter()
        .map(|rule| rule.text().into_owned())
        .collect()
}
