//! Attaching at start, before a ruleset is compiled.

use super::{
    AttachedInterface, DatapathError, Links, Options, attach::check_namespace, pins::Pins,
    program::Programs,
};

/// Attaches the program that is pinned, with what it enforces, to those of these
/// interfaces that run no program of its links: for the time until [`Datapath::open`] is
/// called with what the store says. Returns the interfaces that it attached to or tried to,
/// with why it could not. `instead` says which others are to be filtered where some are not.
///
/// What is pinned is what was last in force; letting everything in until the same or a
/// later ruleset is compiled would be the worse choice. Nothing pinned: nothing is done.
///
/// [`Datapath::open`]: super::Datapath::open
///
/// # Errors
/// The pins are those of an agent of another network namespace, or the kernel cannot be
/// asked.
pub fn attach_pinned(
    options: &Options,
    interfaces: &[String],
    instead: Instead<'_>,
) -> Result<Vec<(String, Option<DatapathError>)>, DatapathError> {
    let pins = Pins::new(&options.bpffs_dir);
    check_namespace(&pins)?;
    let Ok(programs) = Programs::open(&pins.live()) else {
        return Ok(Vec::new());
    };
    let links = Links::open(&pins, options.hook)?;
    // Links that run another program are left as they are: which one is right is not known
    // yet.
    let filtered = links.attached()?;
    links.begin_with(programs);
    let missing = interfaces.iter().filter(|name| {
        let is_there = |i: &AttachedInterface| i.is_here && i.name == **name;
        !filtered.iter().any(is_there)
    });
    let missing: Vec<String> = missing.cloned().collect();
    Ok(attach_each(&links, &missing, instead))
}

/// Which interfaces are to be filtered in place of those that are not.
pub(super) type Instead<'a> = &'a dyn Fn(&[String]) -> Vec<String>;

/// Attaches to each of these interfaces, and to others where that fails; with each why it could
/// not be attached to.
pub(super) fn attach_each(
    links: &Links,
    interfaces: &[String],
    instead: Instead<'_>,
) -> Vec<(String, Option<DatapathError>)> {
    let attach = |name: &String| (name.clone(), links.attach(name).err());
    let mut attached: Vec<_> = interfaces.iter().map(attach).collect();
    let failed = attached.iter().filter(|(_, error)| error.is_some());
    let failed: Vec<String> = failed.map(|(name, _)| name.clone()).collect();
    attached.extend(instead(&failed).iter().map(attach));
    attached
}
