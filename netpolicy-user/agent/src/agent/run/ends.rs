//! What ends at its time: unconfirmed changes, rules, bans.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::agent::banned;
use crate::agent::writer::Supervisor;

/// Rolls an unconfirmed change back at its deadline.
pub(super) async fn roll_back_unconfirmed(supervisor: Supervisor) {
    /// Between two looks at the boot clock, and between two tries where taking it back fails:
    /// the runtime's own clock stands still while the machine is suspended.
    const AGAIN: Duration = Duration::from_secs(1);
    let mut snapshots = supervisor.snapshots();
    loop {
        let remaining = {
            let snapshot = snapshots.borrow_and_update();
            let pending = snapshot.pending.as_ref();
            pending.map(|pending| pending.remaining(snapshot.clock.now()))
        };
        let Some(remaining) = remaining else {
            if snapshots.changed().await.is_err() {
                return;
            }
            continue;
        };
        if remaining.is_zero() {
            supervisor.expire().await;
            tokio::time::sleep(AGAIN).await;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(remaining.min(AGAIN)) => {}
            changed = snapshots.changed() => if changed.is_err() {
                return;
            }
        }
    }
}

/// Between two looks at the boot clock for what ends, which goes on while the machine is suspended.
const LOOK: Duration = Duration::from_millis(250);

/// Takes rules away at their end.
pub(super) async fn end_rules(supervisor: Supervisor) {
    /// After a try: one that failed is not repeated at once.
    const AGAIN: Duration = Duration::from_millis(750);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if supervisor.snapshot().has_ended_rule() {
            supervisor.end_rules();
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Ends bans at their time.
pub(super) async fn expire_bans(supervisor: Supervisor) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let snapshot = supervisor.snapshot();
        let now = snapshot.clock.now().as_millisecond();
        let next = banned::read(&snapshot.bans).next_end();
        if next.is_some_and(|next| next <= now) {
            supervisor.expire_bans();
        }
    }
}
