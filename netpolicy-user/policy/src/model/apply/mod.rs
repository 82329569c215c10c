//! Carries out a [`Change`] on a [`State`], or says everything that is wrong with it.

mod database;
mod edit;
mod feed;
mod file;
mod fleet;
mod named;
mod policy;
mod service;
mod tested;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use super::change::Change;
use super::error::{Excerpt, ModelError, Noun, Problem, closest};
use super::list::Sameness;
use super::name::folded;
use super::reader::Tolerance;
use super::report::{ModelErrors, Report};
use super::{Limits, MAX_COMMENT, Name, State};

/// What a change depends on apart from the state.
#[derive(Clone, Copy, Debug)]
pub struct ChangeContext<'a> {
    /// When it is made.
    pub now: Timestamp,
    /// Who makes it: an OS user's name.
    pub actor: &'a str,
    /// The most that the host may have.
    pub limits: Limits,
    /// Whether a likely mistake (a blocked `/0`) is accepted anyway.
    pub force: bool,
}

/// A change that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The state after it; equal to the one before if nothing changed.
    pub state: State,
    /// What the user should know: masked host bits and the like.
    pub warnings: Vec<String>,
}

impl State {
    /// The state after `change`.
    ///
    /// # Errors
    /// Everything that is wrong with the change; then nothing of it holds.
    pub fn apply(&self, change: &Change, cx: &ChangeContext<'_>) -> Result<Applied, ModelErrors> {
        self.apply_all(std::slice::from_ref(change), cx)
    }

    /// The state after `change`, to be compared with this one: rules that say the same keep
    /// the places where they are written now.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn try_out(&self, change: &Change, cx: &ChangeContext<'_>) -> Result<Applied, ModelErrors> {
        self.changed(std::slice::from_ref(change), cx, Sameness::Words)
    }

    /// The state after several changes, each made to what the one before left.
    ///
    /// # Errors
    /// Everything that is wrong with the first change that is wrong; then nothing of any
    /// holds.
    pub fn apply_all(
        &self,
        changes: &[Change],
        cx: &ChangeContext<'_>,
    ) -> Result<Applied, ModelErrors> {
        self.changed(changes, cx, Sameness::Place)
    }

    fn changed(
        &self,
        changes: &[Change],
        cx: &ChangeContext<'_>,
        sameness: Sameness,
    ) -> Result<Applied, ModelErrors> {
        let mut state = self.clone();
        let mut warnings = Vec::new();
        for (change, done) in changes.iter().zip(1..) {
            let mut report = Report::default();
            let mut worker = Worker {
                state: &mut state,
                cx,
                report: &mut report,
                sameness,
                later: changes.get(done..).unwrap_or_default(),
            };
            let before = worker.state.clone();
            // A worker that stops early has reported why.
            let _: Option<()> = worker.change(change);
            worker.check_lists(&before);
            worker.check_databases();
            warnings.append(&mut report.finish()?);
        }
        Ok(Applied { state, warnings })
    }
}

/// A state that is being changed. Its methods give `None` after an error that leaves
/// nothing more to check.
struct Worker<'w> {
    state: &'w mut State,
    cx: &'w ChangeContext<'w>,
    report: &'w mut Report,
    /// What makes rules the same, of which lists share those that stay.
    sameness: Sameness,
    /// What is changed after this change.
    later: &'w [Change],
}

impl Worker<'_> {
    fn change(&mut self, change: &Change) -> Option<()> {
        match change {
            Change::CreatePolicy {
                name,
                allow,
                block,
                except,
                comment,
                inactive,
                mode,
                services,
                unbound,
                replace,
                compat,
            } => {
                let parts = policy::NewPolicy {
                    name,
                    allow: allow.as_ref(),
                    block,
                    except,
                    comment: comment.as_deref(),
                    active: !inactive,
                    mode: *mode,
                    services,
                    unbound: *unbound,
                    replace: *replace,
                    compat,
                };
                self.create_policy(&parts)
            }
            Change::AlterPolicy {
                name,
                allow,
                block,
                except,
                comment,
                compat,
            } => self.alter_policy(name, (allow, block, except), comment.as_deref(), compat),
            Change::AlterReferences { policy, list, edit } => {
                self.alter_references(policy, *list, edit)
            }
            Change::CreateList {
                name,
                entries,
                comment,
                replace,
                network_rule,
            } => self.create_list(&named::NewList {
                name,
                entries,
                comment: comment.as_deref(),
                replace: *replace,
                rule: network_rule.as_ref(),
                feed: None,
            }),
            Change::CreateFeed {
                name,
                settings,
                comment,
            } => self.create_feed(name, settings, comment.as_deref()),
            Change::AlterFeed {
                name,
                settings,
                comment,
            } => self.alter_feed(name, settings, comment.as_deref()),
            Change::AlterList {
                name,
                entries,
                comment,
                values,
            } => self.alter_list(name, entries, comment.as_deref(), values.as_deref()),
            Change::AddDatabase {
                name,
                kind,
                service,
                socket,
                hba_dir,
                hba_conf,
                comment,
                replace,
            } => self.add_database(&database::NewDatabase {
                name,
                kind: *kind,
                service,
                socket: socket.as_deref(),
                hba_dir: hba_dir.as_deref(),
                hba_conf: hba_conf.as_deref(),
                comment: comment.as_deref(),
                replace: *replace,
            }),
            Change::BypassUser { user, minutes } => self.bypass_user(user, *minutes),
            Change::RemoveDatabase { name } => self.remove_database(name),
            Change::SetListOwner { list, owner } => self.set_list_owner(list, owner),
            Change::RenameList { name, to } => self.rename_list(name, to),
            Change::DropList { name } => self.drop_list(name),
            Change::SetOwner { policy, owner } => self.set_owner(policy, owner),
            Change::Govern { policy, service } => {
                self.govern(policy.as_deref(), service.as_deref())
            }
            Change::DropDefault => {
                self.state.host.compat.drop_default();
                Some(())
            }
            Change::RenamePolicy { name, to } => self.rename_policy(name, to),
            Change::DropPolicy { name } => self.drop_policy(name),
            Change::SetActive { name, active } => self.set_active(name, *active),
            Change::SetMode { policy, mode } => self.set_mode(policy, *mode),
            Change::Bind { policy, service } => self.bind(policy, service.as_deref()),
            Change::Unbind { policy, service } => self.unbind(policy, service.as_deref()),
            Change::AddService {
                name,
                ports,
                combine,
                mode,
                on_deny,
                comment,
            } => {
                let comment = comment.as_deref();
                self.add_service(name, ports, *combine, *mode, *on_deny, comment)
            }
            Change::AlterService {
                name,
                ports,
                combine,
                mode,
                on_deny,
                comment,
            } => {
                let (ports, comment) = (ports.as_deref(), comment.as_deref());
                self.alter_service(name, ports, *combine, *mode, *on_deny, comment)
            }
            Change::RemoveService { name } => self.remove_service(name),
            Change::SetTest {
                source,
                service,
                port,
                expect,
                comment,
            } => {
                let attempt = (&**source, service.as_deref(), *port);
                self.set_test(attempt, *expect, comment.as_deref())
            }
            Change::RemoveTest {
                source,
                service,
                port,
            } => self.remove_test((source, service.as_deref(), *port)),
            Change::SetHost {
                mode,
                on_deny,
                failsafe_ports,
            } => self.set_host(*mode, *on_deny, failsafe_ports.as_deref()),
            Change::Apply {
                file,
                lists,
                skip_invalid,
                allow_empty,
                keep_others,
            } => {
                let tolerance = Tolerance {
                    skip_invalid: *skip_invalid,
                    allow_empty: *allow_empty,
                };
                self.apply_file(file, lists, tolerance, *keep_others)
            }
        }
    }

    /// Reports a problem.
    fn refuse<T>(&mut self, problem: Problem) -> Option<T> {
        self.report.push(problem.into());
        None
    }

    /// Takes a value, or reports why there is none.
    fn take<T>(&mut self, value: Result<T, ModelError>) -> Option<T> {
        value.map_err(|error| self.report.push(error)).ok()
    }

    /// The index of a policy that must exist.
    fn policy(&mut self, name: &str) -> Option<usize> {
        let found = self
            .state
            .policies
            .iter()
            .position(|policy| policy.name.matches(name));
        found.or_else(|| {
            let names = self
                .state
                .policies
                .iter()
                .map(|policy| policy.name.as_str());
            let problem = unknown(Noun::Policy, name, names);
            self.refuse(problem)
        })
    }

    /// The index of a service that must exist.
    fn service(&mut self, name: &str) -> Option<usize> {
        let found = self
            .state
            .services
            .iter()
            .position(|service| service.name.matches(name));
        found.or_else(|| {
            let names = self
                .state
                .services
                .iter()
                .map(|service| service.name.as_str());
            let problem = unknown(Noun::Service, name, names);
            self.refuse(problem)
        })
    }

    /// Takes a new name as written, and says if it was folded.
    fn new_name(&mut self, text: &str, read: fn(&str) -> Result<Name, ModelError>) -> Option<Name> {
        let name = self.take(read(text))?;
        if let Some(note) = folded(text, &name) {
            self.report.warn(note);
        }
        Some(name)
    }

    /// Checks a comment; an empty one is none.
    fn comment(&mut self, comment: Option<&str>) -> Option<String> {
        let comment = comment.filter(|comment| !comment.is_empty())?;
        match check_comment(comment) {
            Ok(()) => Some(comment.to_owned()),
            Err(problem) => self.refuse(problem),
        }
    }
}

/// Refuses a comment that is too long.
fn check_comment(comment: &str) -> Result<(), Problem> {
    let length = comment.chars().count();
    if length > MAX_COMMENT {
        return Err(Problem::TextTooLong {
            what: "comment",
            length,
        });
    }
    Ok(())
}

/// The problem with a name that nothing has.
fn unknown<'a>(noun: Noun, name: &str, known: impl Iterator<Item = &'a str>) -> Problem {
    let closest = closest(name, known).map(ToOwned::to_owned);
    Problem::Unknown {
        noun,
        name: Excerpt::new(name),
        closest,
    }
}

/// Refuses a new name that something has.
fn check_free<'a>(
    noun: Noun,
    name: &Name,
    mut taken: impl Iterator<Item = &'a Name>,
) -> Result<(), Problem> {
    match taken.find(|other| other.is_like(name)) {
        Some(other) => Err(Problem::NameTaken {
            noun,
            name: other.to_string(),
        }),
        None => Ok(()),
    }
}
