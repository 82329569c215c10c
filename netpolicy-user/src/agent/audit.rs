//! What goes into the audit log, and what comes out of it.

use jiff::Timestamp;

use super::enforcer::Enforcer;
use super::error::{AgentError, chain};
use super::notes::{Noted, Notes};
use super::request::Asker;
use super::writer::Writer;
use crate::api::{AuditView, Changed, Opens, PlanAction, PlanItem};
use crate::model::counted;
use crate::store::{AuditDetail, AuditEntry, Outcome};

impl<E: Enforcer> Writer<E> {
    /// An entry of something that leaves the revision as it is.
    pub(super) fn entry(&self, asker: Asker, action: &str, outcome: Outcome) -> AuditEntry {
        AuditEntry {
            time: Timestamp::now(),
            uid: asker.caller.uid,
            actor: asker.caller.name(),
            from: from(asker),
            action: action.to_owned(),
            outcome,
            before: self.revision,
            after: self.revision,
            detail: AuditDetail::default(),
        }
    }

    /// The entry of a change that is about to be stored.
    pub(super) fn done(
        &self,
        asker: Asker,
        actor: &str,
        action: &str,
        changed: &Changed,
    ) -> AuditEntry {
        let mut entry = self.entry(asker, action, Outcome::Done);
        actor.clone_into(&mut entry.actor);
        entry.detail.changes = lines(&changed.plan);
        entry
            .detail
            .changes
            .extend(changed.opens.iter().map(consented));
        entry
    }

    /// Appends what was done without the writer.
    pub fn note(&mut self, asker: Asker, action: &str) {
        self.append(asker, action, Outcome::Done, Vec::new());
    }

    /// Appends what was refused or failed.
    pub(super) fn audit_refusal(&mut self, asker: Asker, action: &str, error: &AgentError) {
        let outcome = match error.is_refusal() {
            true => Outcome::Refused,
            false => Outcome::Failed,
        };
        self.append(asker, action, outcome, error.body().errors);
    }

    /// Appends what was done or refused without the writer; with `all` also what is only told
    /// at the end. What cannot be appended now is tried again at the next call.
    pub(super) fn record(&mut self, notes: &Notes, all: bool) {
        while let Some(note) = notes.take(all) {
            let (outcome, changes, errors) = match &note.what {
                Noted::Done { again: 0 } => (Outcome::Done, Vec::new(), Vec::new()),
                Noted::Done { again } => {
                    let more = format!("and {}", counted(*again, "more time", "more times"));
                    (Outcome::Done, vec![more], Vec::new())
                }
                Noted::Refused { errors } => (Outcome::Refused, Vec::new(), errors.clone()),
            };
            let mut entry = self.entry(note.asker, &note.action, outcome);
            entry.time = note.time;
            entry.detail = AuditDetail { changes, errors };
            if let Err(error) = self.store.audit(&entry) {
                let action = &note.action;
                tracing::error!(error = chain(&error), action, "not in the audit log yet");
                notes.put_back(note);
                return;
            }
        }
    }

    fn append(&mut self, asker: Asker, action: &str, outcome: Outcome, errors: Vec<String>) {
        let mut entry = self.entry(asker, action, outcome);
        entry.detail.errors = errors;
        if let Err(error) = self.store.audit(&entry) {
            tracing::error!(error = chain(&error), action, "not in the audit log");
        }
    }
}

/// The addresses that the requester works from.
fn from(asker: Asker) -> Option<String> {
    let addresses = asker.seat.addresses().into_iter().flatten();
    let addresses: Vec<_> = addresses.map(|address| address.to_string()).collect();
    (!addresses.is_empty()).then(|| addresses.join(", "))
}

/// What was opened with consent, as the audit log has it.
pub(super) fn consented(opens: &Opens) -> String {
    format!("! {} (with consent)", opens.sentence())
}

/// A plan as the audit log has it.
pub(super) fn lines(plan: &[PlanItem]) -> Vec<String> {
    let mut lines = Vec::new();
    for item in plan {
        let sign = match item.action {
            PlanAction::Add => '+',
            PlanAction::Change => '~',
            PlanAction::Remove => '-',
        };
        lines.push(format!("{sign} {}", item.subject));
        lines.extend(item.details.iter().map(|detail| format!("    {detail}")));
    }
    lines
}

/// As the API has it.
pub(super) fn view((id, entry): (u64, AuditEntry)) -> AuditView {
    AuditView {
        id,
        time: entry.time,
        actor: entry.actor,
        uid: entry.uid,
        from: entry.from,
        action: entry.action,
        outcome: entry.outcome,
        revision_before: entry.before,
        revision_after: entry.after,
        changes: entry.detail.changes,
        errors: entry.detail.errors,
    }
}
