//! The policy file: the whole desired state as TOML.
//!
//! Reading makes a `PolicyFile`, in which every text is checked but services have
//! no numbers and policies no owner yet; [`State::apply`] joins it with the state
//! that is there. [`export`] writes a state back.

mod choices;
mod databases;
mod document;
mod export;
mod export_files;
mod feeds;
mod items;
mod lists;
mod outline;
mod policy_tests;
mod read;
mod referenced;
mod rules;
mod text;

use std::collections::BTreeSet;

use super::change::SourceText;
use super::error::Place;
use super::list::Sameness;
use super::reader::{Reference, Tolerance};
use super::report::{ModelErrors, Report};
use super::{
    AllowPart, Applied, Binding, Change, ChangeContext, Combine, Feed, Host, Mode, Name,
    NetworkRule, OnDeny, PolicyCompat, PortSet, RuleList, State,
};

pub(super) use databases::FileDatabase;
pub use export::export;
pub(super) use export::{Section, SectionPart, feed_lines, sections};
pub use export_files::export_files;
pub(super) use policy_tests::FileTest;

/// A policy file that was read.
#[derive(Debug)]
pub(super) struct PolicyFile {
    pub(super) host: Host,
    /// Whether it says anything of the host.
    pub(super) has_host: bool,
    /// As they stand in the file, like the policies.
    pub(super) services: Vec<FileService>,
    pub(super) lists: Vec<FileList>,
    pub(super) policies: Vec<FilePolicy>,
    pub(super) databases: Vec<FileDatabase>,
    pub(super) tests: Vec<FileTest>,
}

/// A `[[service]]`.
#[derive(Debug)]
pub(super) struct FileService {
    pub(super) place: Place,
    pub(super) name: Name,
    /// `None`: what is wrong with them was reported.
    pub(super) ports: Option<PortSet>,
    pub(super) combine: Combine,
    pub(super) mode: Mode,
    pub(super) on_deny: OnDeny,
    pub(super) comment: Option<String>,
}

/// A `[[list]]`, or a `[[feed]]`.
#[derive(Debug)]
pub(super) struct FileList {
    pub(super) name: Name,
    pub(super) entries: RuleList,
    pub(super) rule: Option<NetworkRule>,
    pub(super) feed: Option<Box<Feed>>,
    pub(super) max_shrink: Option<u8>,
    pub(super) comment: Option<String>,
}

/// A `[[policy]]`. Its bindings name services of the same file.
#[derive(Debug)]
pub(super) struct FilePolicy {
    pub(super) name: Name,
    pub(super) allow: AllowPart,
    pub(super) block: RuleList,
    pub(super) except: RuleList,
    /// Named lists to which it refers, with their places; not looked up yet.
    pub(super) allow_lists: Vec<Reference>,
    pub(super) block_lists: Vec<Reference>,
    pub(super) except_lists: Vec<Reference>,
    pub(super) compat: PolicyCompat,
    pub(super) comment: Option<String>,
    pub(super) active: bool,
    pub(super) mode: Mode,
    pub(super) bindings: BTreeSet<Binding>,
}

/// The state that a policy file makes of an untouched host.
///
/// # Errors
/// All that is wrong with the file and its lists, each with its place.
pub fn parse(
    file: &SourceText,
    lists: &[SourceText],
    skip_invalid: bool,
    cx: &ChangeContext<'_>,
) -> Result<Applied, ModelErrors> {
    let change = Change::Apply {
        file: file.clone(),
        lists: lists.to_vec(),
        skip_invalid,
        allow_empty: false,
        keep_others: false,
    };
    State::empty().apply(&change, cx)
}

/// The list files that a policy file names in `allow_file`, `block_file` and `except_file`, and for named
/// lists in `file`, each once, in the order of their first mention. Nothing else in the file is checked.
///
/// # Errors
/// It is no TOML.
pub fn referenced_lists(file: &SourceText) -> Result<Vec<String>, ModelErrors> {
    let mut report = Report::default();
    let names = referenced::referenced_lists(file, &mut report);
    report.finish()?;
    Ok(names)
}

/// The state that there is, whose lists new ones share where they are the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct EarlierState<'s> {
    pub(super) state: &'s State,
    pub(super) sameness: Sameness,
}

/// Reads a policy file; `None` after errors that leave nothing to go on with.
pub(super) fn read(
    file: &SourceText,
    lists: &[SourceText],
    tolerance: Tolerance,
    earlier: EarlierState<'_>,
    cx: &ChangeContext<'_>,
    report: &mut Report,
) -> Option<PolicyFile> {
    read::read(file, lists, tolerance, earlier, cx, report)
}

#[cfg(test)]
mod tests;
