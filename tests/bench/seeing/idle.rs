//! What an agent takes that has many rules and nothing to do.

use std::{thread, time::Duration};

use netpolicy_tests::host::{DatabaseHost, Options};

use super::{Plan, at_most};
use crate::{bans::churn::ticks, large_state, report::Report};

const RULES: usize = 100_000;

/// Per cent of a core at the most.
const CPU: f64 = 0.3;

/// How long the agent is left alone first: it reads back what it wrote.
const SETTLE: Duration = Duration::from_secs(5);

pub(super) fn run(report: &mut Report, plan: Plan) {
    report.progress("seeing: an idle agent");
    let mut host = DatabaseHost::with(&Options::default());
    let file = large_state::write(&host, &large_state::lists(RULES));
    host.ok(&format!("apply -f {file}"));
    let pid = host.agent().pid();
    thread::sleep(SETTLE);
    let before = ticks(pid);
    thread::sleep(plan.idle);
    let share = (ticks(pid) - before) / plan.idle.as_secs_f64() * 100.0;
    report.seen(at_most(
        "idle agent: CPU",
        RULES,
        ("% of a core", CPU),
        &[share],
    ));
}
