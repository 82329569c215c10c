//! `fleet rollout`, `pause`, `resume` and `rollback`: a revision in stages, which go on as long as
//! no host has anything against it.
//!
//! Who runs the command drives the roll-out, with the key that signs each stage. If that ends, the
//! roll-out stays at its stage.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use netpolicy_fleet::{ALL, FleetKey, GroupName, Rollout, RolloutState, decides, open, reached};
use tokio::time::{Instant, sleep};

use super::etcd::{Etcd, EtcdError};
use super::mirror::is_no_mirror;
use super::operator::Operator;
use super::push::{Made, is_sound, publish};
use super::snapshot::{Snapshot, Written, revision};
use super::stages::{ascending, drawn, percent};
use super::tally::Tally;

/// Time between two looks at hosts.
const LOOK: Duration = Duration::from_millis(300);

/// Time between two tries to reach etcd.
const AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(crate) struct RolloutArgs {
    /// The group
    group: GroupName,
    /// The revision [default: the newest]
    #[arg(long)]
    revision: Option<u64>,
    /// The share of hosts at each stage, in percent
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',', value_parser = percent,
        default_values = ["1", "10", "50", "100"])]
    stages: Vec<u16>,
    /// How long a stage has to go well before the next one
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "10m")]
    soak: Duration,
    /// Stop if more hosts than this refuse the revision or roll it back
    #[arg(long, value_name = "HOSTS", default_value_t = 0)]
    max_failed: u32,
    /// Stop if a host has more connected clients than this that the revision denies
    #[arg(long, value_name = "CLIENTS", default_value_t = 0)]
    max_denied_clients: u32,
}

#[derive(Debug, Args)]
pub(crate) struct GroupArgs {
    /// The group
    group: GroupName,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The group
    group: GroupName,
    /// The share of hosts at each further stage, in percent
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',', value_parser = percent,
        default_values = ["1", "10", "50", "100"])]
    stages: Vec<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// A group whose hosts return to what they had before its roll-out
    #[arg(long, required_unless_present = "revision")]
    group: Option<GroupName>,
    /// A revision whose state becomes the newest one again
    #[arg(conflicts_with = "group")]
    revision: Option<u64>,
    /// Let every host take it at once, without a roll-out
    #[arg(long, conflicts_with = "group")]
    at_once: bool,
}

/// Begins a roll-out and drives it.
///
/// # Errors
/// It stopped; in words.
pub(crate) async fn rollout(mut operator: Operator, args: RolloutArgs) -> anyhow::Result<()> {
    let stages = ascending(&args.stages)?;
    operator.unlock()?;
    let snapshot = operator.snapshot().await?;
    is_sound(&snapshot)?;
    let group = args.group;
    let of = snapshot.groups.get(&group);
    let of = of.with_context(|| {
        format!("there is no group {group}\nhint: `netpolicy fleet groups` lists them")
    })?;
    anyhow::ensure!(
        of.record.pinned.is_none(),
        "group {group} is pinned to revision {}\nhint: `netpolicy fleet groups set {group} --unpin`",
        super::groups::number(of.record.pinned.as_ref())
    );
    let head = snapshot.head.as_ref();
    let head =
        head.context("the fleet has no revision yet\nhint: `netpolicy fleet push -f FILE`")?;
    let number = args.revision.unwrap_or(head.record.newest.revision);
    anyhow::ensure!(
        number == head.record.newest.revision,
        "revision {number} is not the newest, {}: hosts take no older one by a roll-out\n\
         hint: `netpolicy fleet rollback {number}` makes its state the newest one again",
        head.record.newest.revision
    );
    anyhow::ensure!(
        head.record.staged,
        "revision {number} was pushed at once: hosts take it without a roll-out"
    );
    let last = snapshot.rollouts.get(&group);
    if let Some(last) = last
        && last.record.state == RolloutState::Running
        && last.record.to == head.record.newest
    {
        anyhow::bail!(
            "a roll-out of revision {number} in group {group} is at {} % already\n\
             hint: `netpolicy fleet resume {group}` drives it on, if its command ended",
            f64::from(last.record.stage) / 100.0
        );
    }
    let from = reached(&head.record, &of.record, last.map(|last| &last.record)).cloned();
    let stage = stages.first().copied().unwrap_or(ALL);
    let begun = Rollout {
        fleet: operator.fleet().clone(),
        group: group.clone(),
        counter: snapshot.next_counter(),
        from,
        to: head.record.newest.clone(),
        stage,
        salt: drawn(&snapshot, &group, number, stage),
        soak: u32::try_from(args.soak.as_secs())?,
        max_failed: args.max_failed,
        max_denied_clients: args.max_denied_clients,
        state: RolloutState::Running,
        reason: None,
        author: operator.author.clone(),
        time: Timestamp::now(),
    };
    let written = last.map_or(0, |last| last.written);
    operator
        .write(&FleetKey::Rollout(group), &begun, written)
        .await?;
    drive(operator, begun, stages).await
}

/// Refuses to go on with a roll-out that says nothing of what its group takes.
fn still_decides(snapshot: &Snapshot, rollout: &Rollout) -> anyhow::Result<()> {
    let group = &rollout.group;
    let number = rollout.to.revision;
    let (Some(head), Some(of)) = (&snapshot.head, snapshot.groups.get(group)) else {
        anyhow::bail!("the head or group {group} is missing in etcd");
    };
    if let Some(pin) = &of.record.pinned {
        anyhow::bail!(
            "group {group} is pinned to revision {}, so the roll-out of revision {number} decides nothing\n\
             hint: `netpolicy fleet groups set {group} --unpin`",
            pin.revision
        );
    }
    let head = &head.record;
    let newer = head.base.as_ref().unwrap_or(&head.newest).revision;
    anyhow::ensure!(
        decides(head, &of.record, rollout),
        "revision {newer} was pushed at once after revision {number} was rolled out in group {group}: \
         that roll-out decides nothing any more\n\
         hint: `netpolicy fleet rollback REVISION` makes the state of an earlier revision the newest one"
    );
    Ok(())
}

/// The fleet now, also if etcd does not answer for a while.
async fn looked(
    operator: &mut Operator,
    out: &mut impl std::io::Write,
) -> anyhow::Result<Snapshot> {
    let head = operator.layout.key(&FleetKey::Head);
    let mut is_said = false;
    loop {
        let error = match operator.snapshot().await {
            Ok(snapshot) => return Ok(snapshot),
            Err(error) => error,
        };
        let no_answer = |error: &EtcdError| matches!(error, EtcdError::NoAnswer { .. });
        anyhow::ensure!(error.downcast_ref().is_some_and(no_answer), "{error}");
        if !is_said {
            writeln!(
                out,
                "{error}; the roll-out stays at its stage until etcd answers"
            )?;
            is_said = true;
        }
        sleep(AGAIN).await;
        if let Ok(etcd) = Etcd::any(&operator.settings, &head).await {
            operator.etcd = etcd;
        }
    }
}

/// Goes through the stages.
async fn drive(
    mut operator: Operator,
    mut rollout: Rollout,
    stages: Vec<u16>,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let group = rollout.group.clone();
    let soak = Duration::from_secs(u64::from(rollout.soak));
    let first = rollout.stage;
    for stage in stages.into_iter().filter(|stage| *stage >= first) {
        if stage > rollout.stage {
            rollout = changed(&mut operator, &rollout, |next| next.stage = stage).await?;
        }
        let begun = Instant::now();
        let mut good_since: Option<Instant> = None;
        let mut said = String::new();
        loop {
            let snapshot = looked(&mut operator, &mut out).await?;
            let now = snapshot.rollouts.get(&group).map(|found| &found.record);
            if now != Some(&rollout) {
                let by = now.map_or("another operator", |now| now.author.as_str());
                anyhow::bail!(
                    "the roll-out was changed by {by} meanwhile; this command no longer drives it"
                );
            }
            still_decides(&snapshot, &rollout)?;
            let tally = Tally::of(&snapshot, &rollout);
            let line = format!(
                "group {group}: revision {} at {} %: {} of {} hosts have it, {} failed, {} absent",
                rollout.to.revision,
                f64::from(stage) / 100.0,
                tally.current,
                tally.chosen,
                tally.failed.len(),
                tally.absent
            );
            if line != said {
                writeln!(out, "{line}")?;
                said = line;
            }
            if let Some(reason) = tally.stops(&rollout) {
                let why = super::groups::one_line(&reason);
                changed(&mut operator, &rollout, |next| {
                    next.state = RolloutState::Stopped;
                    next.reason = Some(why.clone());
                })
                .await?;
                anyhow::bail!(
                    "the roll-out of revision {} in group {group} stopped at {} %: {why}\n\
                     hint: `netpolicy fleet rollback --group {group}` undoes it; `netpolicy fleet resume {group}` goes on",
                    rollout.to.revision,
                    f64::from(stage) / 100.0
                );
            }
            match tally.is_settled() {
                true => _ = good_since.get_or_insert_with(Instant::now),
                false => good_since = None,
            }
            // The last stage has none after it to be kept from.
            let needed = if stage == ALL { Duration::ZERO } else { soak };
            if good_since.is_some_and(|since| since.elapsed() >= needed)
                && begun.elapsed() >= needed
            {
                break;
            }
            sleep(LOOK).await;
        }
    }
    changed(&mut operator, &rollout, |next| {
        next.state = RolloutState::Done;
    })
    .await?;
    writeln!(
        out,
        "group {group}: revision {} is rolled out",
        rollout.to.revision
    )?;
    Ok(())
}

/// Signs a roll-out with a change.
async fn changed(
    operator: &mut Operator,
    rollout: &Rollout,
    change: impl FnOnce(&mut Rollout),
) -> anyhow::Result<Rollout> {
    let snapshot = operator.snapshot().await?;
    let found: &Written<Rollout> = snapshot
        .rollouts
        .get(&rollout.group)
        .with_context(|| format!("there is no roll-out in group {}", rollout.group))?;
    anyhow::ensure!(
        found.record == *rollout,
        "the roll-out was changed by {} meanwhile",
        found.record.author
    );
    let mut next = rollout.clone();
    change(&mut next);
    next.counter = snapshot.next_counter();
    next.author = operator.author.clone();
    next.time = Timestamp::now();
    let key = FleetKey::Rollout(next.group.clone());
    operator.write(&key, &next, found.written).await?;
    Ok(next)
}

async fn found(operator: &Operator, group: &GroupName) -> anyhow::Result<Rollout> {
    let key = operator.layout.key(&FleetKey::Rollout(group.clone()));
    let text = operator.etcd.get(&key).await?;
    let text = text.with_context(|| format!("no roll-out was ever begun in group {group}"))?;
    let rollout = open::<Rollout>(&text.text(), operator.fleet(), &operator.keys)?.record;
    anyhow::ensure!(
        rollout.group == *group,
        "{key}: the roll-out of group {} is in its place",
        rollout.group
    );
    Ok(rollout)
}

/// Holds a roll-out at its stage.
///
/// # Errors
/// It does not go on anyway.
pub(crate) async fn pause(mut operator: Operator, args: GroupArgs) -> anyhow::Result<()> {
    let rollout = found(&operator, &args.group).await?;
    anyhow::ensure!(
        rollout.state == RolloutState::Running,
        "the roll-out in group {} does not run",
        args.group
    );
    changed(&mut operator, &rollout, |next| {
        next.state = RolloutState::Paused;
    })
    .await?;
    writeln!(
        std::io::stdout(),
        "the roll-out in group {} is paused",
        args.group
    )?;
    Ok(())
}

/// Drives a roll-out on that was paused, stopped, or whose command ended.
///
/// # Errors
/// As [`rollout`].
pub(crate) async fn resume(mut operator: Operator, args: ResumeArgs) -> anyhow::Result<()> {
    let rollout = found(&operator, &args.group).await?;
    let is_over = matches!(rollout.state, RolloutState::Done | RolloutState::RolledBack);
    anyhow::ensure!(
        !is_over,
        "the roll-out in group {} is over\nhint: `netpolicy fleet rollout {}` begins another",
        args.group,
        args.group
    );
    let stages = ascending(&args.stages)?;
    let rollout = changed(&mut operator, &rollout, |next| {
        next.state = RolloutState::Running;
        next.reason = None;
    })
    .await?;
    drive(operator, rollout, stages).await
}

/// Undoes a roll-out, or makes the state of an earlier revision the newest one.
///
/// # Errors
/// In words.
pub(crate) async fn rollback(mut operator: Operator, args: RollbackArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    operator.unlock()?;
    if let Some(group) = args.group {
        let rollout = found(&operator, &group).await?;
        let snapshot = operator.snapshot().await?;
        still_decides(&snapshot, &rollout)?;
        let base = snapshot.head.as_ref();
        let base = base.and_then(|head| head.record.base.as_ref());
        let from = rollout.from.as_ref().or(base).with_context(|| {
            format!("the roll-out in group {group} is its first: there is nothing to go back to")
        })?;
        let from = from.revision;
        changed(&mut operator, &rollout, |next| {
            next.state = RolloutState::RolledBack;
        })
        .await?;
        writeln!(out, "group {group} goes back to revision {from}")?;
        return Ok(());
    }
    let number = args.revision.context("expected a revision or --group")?;
    is_no_mirror(&operator).await?;
    let lock = operator.lock("rollback").await?;
    let done = async {
        let snapshot = operator.snapshot().await?;
        is_sound(&snapshot)?;
        let old = revision(&operator.etcd, operator.fleet(), &operator.keys, number).await?;
        let made = Made {
            root: old.root,
            message: format!("rollback to revision {number}"),
            staged: !args.at_once,
            bundle: None,
        };
        publish(&mut operator, &snapshot, &lock, made).await
    };
    let done = done.await;
    operator.unlock_fleet(lock).await;
    writeln!(
        out,
        "revision {} has the state of revision {number}",
        done?.revision
    )?;
    Ok(())
}
