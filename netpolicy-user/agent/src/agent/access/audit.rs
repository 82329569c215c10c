//! Audit log entries, written and read.

use jiff::Timestamp;

use super::notes::{Noted, Notes};
use super::requester::Requester;
use crate::agent::error::{AgentError, chain};
use crate::api::{AuditView, Changed, Opens, PlanAction, PlanItem};
use crate::model::counted;
use crate::store::{AuditDetail, AuditEntry, Outcome, Store};

/// An entry of something that leaves the revision as it is.
pub(in crate::agent) fn entry(
    requester: Requester,
    action: &str,
    outcome: Outcome,
    revision: u64,
) -> AuditEntry {
    AuditEntry {
        time: Timestamp::now(),
        uid: requester.caller.uid,
        actor: requester.caller.name(),
        from: from(requester),
        action: action.to_owned(),
        outcome,
        before: revision,
        after: revision,
        detail: AuditDetail::default(),
    }
}

/// The entry of a change that is about to be stored.
pub(in crate::agent) fn change(
    requester: Requester,
    actor: &str,
    action: &str,
    changed: &Changed,
) -> AuditEntry {
    let mut entry = entry(requester, action, Outcome::Done, changed.revision);
    actor.clone_into(&mut entry.actor);
    entry.detail.changes = lines(&changed.plan);
    entry
        .detail
        .changes
        .extend(changed.opens.iter().map(consented));
    entry
}

/// The entry of what was refused or failed.
pub(in crate::agent) fn refusal(
    requester: Requester,
    action: &str,
    error: &AgentError,
    revision: u64,
) -> AuditEntry {
    let outcome = match error.is_refusal() {
        true => Outcome::Refused,
        false => Outcome::Failed,
    };
    let mut entry = entry(requester, action, outcome, revision);
    entry.detail.errors = error.errors();
    entry
}

/// Appends an entry, or says in the agent's log that it could not.
pub(in crate::agent) fn append(store: &mut dyn Store, entry: &AuditEntry) {
    if let Err(error) = store.audit(entry) {
        let action = &entry.action;
        tracing::error!(error = chain(&error), action, "not in the audit log");
    }
}

/// Appends what was done or refused without the writer; with `all` also what is only told
/// at the end. What cannot be appended now is tried again at the next call.
pub(in crate::agent) fn record(store: &mut dyn Store, notes: &Notes, all: bool, revision: u64) {
    while let Some(note) = notes.take(all) {
        let (outcome, changes, errors) = match &note.what {
            Noted::Done { again: 0 } => (Outcome::Done, Vec::new(), Vec::new()),
            Noted::Done { again } => {
                let more = format!("and {}", counted(*again, "more time", "more times"));
                (Outcome::Done, vec![more], Vec::new())
            }
            Noted::Refused { errors } => (Outcome::Refused, Vec::new(), errors.clone()),
        };
        let mut entry = entry(note.requester, &note.action, outcome, revision);
        entry.time = note.time;
        entry.detail = AuditDetail { changes, errors };
        if let Err(error) = store.audit(&entry) {
            let action = &note.action;
            tracing::error!(error = chain(&error), action, "not in the audit log yet");
            notes.put_back(note);
            return;
        }
    }
}

/// The addresses that the requester works from, and on whose behalf.
fn from(requester: Requester) -> Option<String> {
    let addresses = requester.origin.addresses().into_iter().flatten();
    let person = requester.caller.person;
    let person = person.map(|person| format!("on behalf of {}", person.name()));
    let all: Vec<_> = addresses
        .map(|address| address.to_string())
        .chain(person)
        .collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// What was opened with consent, as the audit log has it.
pub(in crate::agent) fn consented(opens: &Opens) -> String {
    format!("! {} (with consent)", opens.sentence())
}

/// A plan as the audit log has it.
pub(in crate::agent) fn lines(plan: &[PlanItem]) -> Vec<String> {
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
pub(in crate::agent) fn view((id, entry): (u64, AuditEntry)) -> AuditView {
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
