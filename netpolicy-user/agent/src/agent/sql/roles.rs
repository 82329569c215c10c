//! The roles that statements name: this host's users and groups.

use nix::unistd::{Group, User};

use crate::sql::meaning::Roles;

/// The host's users and groups.
pub(super) struct System;

impl Roles for System {
    fn has_user(&self, name: &str) -> bool {
        matches!(User::from_name(name), Ok(Some(_)))
    }

    fn has_group(&self, name: &str) -> bool {
        matches!(Group::from_name(name), Ok(Some(_)))
    }
}
