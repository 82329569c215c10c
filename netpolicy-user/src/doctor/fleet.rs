//! The fleet that the host is in: whether it is trusted, and whether anything of it is in force.

use super::{ExaminedHost, Lines};

const CHECK: &str = "fleet";

pub(super) fn check(host: &ExaminedHost<'_>, lines: &mut Lines) {
    let agent = host.status.ok().and_then(|status| status.agent.as_ref());
    let Some(view) = agent.and_then(|agent| agent.fleet.as_ref()) else {
        return;
    };
    let fleet = view.fleet.as_deref().unwrap_or("not known");
    if !view.faults.is_empty() {
        let advice = "correct what it names; `netpolicy audit --text fleet` has what was refused";
        return lines.warn(CHECK, view.faults.join("; "), advice);
    }
    match &view.at {
        None => lines.warn(
            CHECK,
            format!("{fleet}: nothing of it is in force yet"),
            "look at the process that follows it: `systemctl status netpolicy-fleet`",
        ),
        Some(at) if !view.confirmed => lines.warn(
            CHECK,
            format!(
                "{fleet}: revision {} waits for its confirmation",
                at.revision
            ),
            "if it lasts, look at `systemctl status netpolicy-fleet`",
        ),
        Some(at) => lines.ok(CHECK, format!("{fleet}: revision {}", at.revision)),
    }
}
