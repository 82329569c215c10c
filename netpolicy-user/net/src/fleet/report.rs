//! `fleet status`: the fleet on one screen.

use std::collections::BTreeMap;
use std::io::Write as _;

use netpolicy_fleet::{FleetKey, RolloutState};
use serde_json::json;

use super::etcd::Etcd;
use super::groups::{fault_of, number, one_line};
use super::mirror::{MirrorMark, mark_of};
use super::operator::Operator;
use super::snapshot::Snapshot;
use super::tally::desired;

/// Faults that are shown.
const SHOWN: usize = 20;

/// What a member says.
struct Member {
    url: String,
    said: Result<(String, i64), String>,
}

/// Runs it.
///
/// # Errors
/// etcd does not answer at all.
pub(crate) async fn status(operator: Operator, json: bool) -> anyhow::Result<()> {
    let snapshot = operator.snapshot().await?;
    let mut members = Vec::new();
    let settings = &operator.settings;
    for url in settings.endpoints.iter().chain(&settings.mirror) {
        let said = async {
            let etcd = Etcd::connect(settings, url).await?;
            let mut client = etcd.client.clone();
            let status = etcd.within(client.status()).await?;
            Ok::<_, super::etcd::EtcdError>((status.version().to_owned(), status.db_size()))
        };
        let said = said.await.map_err(|error| one_line(&error.to_string()));
        let url = url.clone();
        members.push(Member { url, said });
    }
    let mark = mark_of(&operator.etcd, &operator.layout).await?;
    let lock = operator
        .etcd
        .get(&operator.layout.key(&FleetKey::Lock))
        .await?;
    match json {
        true => print_json(&operator, &snapshot, &members, mark.as_ref()),
        false => print(
            &operator,
            &snapshot,
            &members,
            mark.as_ref(),
            lock.is_some(),
        ),
    }
}

/// How many hosts are at each phase, those that are alive, and what is wrong.
struct Hosts {
    phases: BTreeMap<&'static str, usize>,
    alive: usize,
    /// Those that have what records say.
    right: usize,
    faults: Vec<String>,
}

impl Hosts {
    fn of(snapshot: &Snapshot) -> Self {
        let mut hosts = Self {
            phases: BTreeMap::new(),
            alive: 0,
            right: 0,
            faults: [snapshot.faults.clone(), snapshot.notes.clone()].concat(),
        };
        let behind = snapshot.behind();
        hosts.faults.extend(behind.iter().map(ToString::to_string));
        for (host, entry) in &snapshot.hosts {
            let status = entry.status.as_ref();
            let phase = status.map_or("silent", |status| status.phase.name());
            *hosts.phases.entry(phase).or_default() += 1;
            hosts.alive += usize::from(entry.alive.is_some());
            let at = status.and_then(|status| status.at.as_ref());
            let desired = desired(snapshot, host);
            hosts.right += usize::from(desired.is_some() && at == desired.as_ref());
            if let Some(fault) = fault_of(entry) {
                hosts.faults.push(format!("{host}: {}", one_line(&fault)));
            }
        }
        hosts
    }
}

fn print(
    operator: &Operator,
    snapshot: &Snapshot,
    members: &[Member],
    mark: Option<&MirrorMark>,
    locked: bool,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let mut row = |key: &str, value: &str| writeln!(out, "{key:<9}  {value}");
    row("Fleet", operator.fleet().as_str())?;
    for member in members {
        match &member.said {
            Ok((version, size)) => row(
                "etcd",
                &format!("{}: {version}, {} MiB", member.url, size >> 20),
            )?,
            Err(error) => row("etcd", &format!("{}: {error}", member.url))?,
        }
    }
    if let Some(mark) = mark {
        row("Mirror", &mark.to_string())?;
    }
    if locked {
        row("Lock", "held: an operator pushes")?;
    }
    match &snapshot.head {
        Some(head) => {
            let head = &head.record;
            let how = match head.staged {
                true => "by roll-outs",
                false => "at once",
            };
            row(
                "Revision",
                &format!(
                    "{}, taken {how}, signed by {} at {:.0}",
                    head.newest.revision, head.author, head.time
                ),
            )?;
        }
        None => row("Revision", "none yet")?,
    }
    for (group, rollout) in &snapshot.rollouts {
        let rollout = &rollout.record;
        let state = match rollout.state {
            RolloutState::Running => "runs",
            RolloutState::Paused => "is paused",
            RolloutState::Stopped => "stopped by itself",
            RolloutState::Done => "is done",
            RolloutState::RolledBack => "was rolled back",
        };
        let why = rollout
            .reason
            .as_deref()
            .map(|why| format!(": {}", one_line(why)));
        row(
            "Roll-out",
            &format!(
                "group {group}: revision {} {state} at {} %{}",
                rollout.to.revision,
                f64::from(rollout.stage) / 100.0,
                why.unwrap_or_default()
            ),
        )?;
    }
    for (group, of) in &snapshot.groups {
        if of.record.pinned.is_some() {
            let pinned = number(of.record.pinned.as_ref());
            row("Pinned", &format!("group {group}: revision {pinned}"))?;
        }
    }
    let hosts = Hosts::of(snapshot);
    let phases: Vec<_> = hosts
        .phases
        .iter()
        .map(|(phase, count)| format!("{count} {phase}"))
        .collect();
    row(
        "Hosts",
        &format!(
            "{}, {} alive, {} at their revision{}",
            snapshot.hosts.len(),
            hosts.alive,
            hosts.right,
            match phases.is_empty() {
                true => String::new(),
                false => format!(" ({})", phases.join(", ")),
            }
        ),
    )?;
    for fault in hosts.faults.iter().take(SHOWN) {
        row("Fault", fault)?;
    }
    if hosts.faults.len() > SHOWN {
        let more = hosts.faults.len() - SHOWN;
        row(
            "",
            &format!("and {more} more: `netpolicy fleet hosts --faulty`"),
        )?;
    }
    Ok(())
}

fn print_json(
    operator: &Operator,
    snapshot: &Snapshot,
    members: &[Member],
    mark: Option<&MirrorMark>,
) -> anyhow::Result<()> {
    let hosts = Hosts::of(snapshot);
    let members: Vec<_> = members
        .iter()
        .map(|member| match &member.said {
            Ok((version, size)) => json!({"url": member.url, "version": version, "bytes": size}),
            Err(error) => json!({"url": member.url, "error": error}),
        })
        .collect();
    let rollouts: Vec<_> = snapshot
        .rollouts
        .values()
        .map(|found| &found.record)
        .collect();
    let status = json!({
        "fleet": operator.fleet(),
        "etcd": members,
        "mirror": mark,
        "head": snapshot.head.as_ref().map(|head| &head.record),
        "rollouts": rollouts,
        "hosts": snapshot.hosts.len(),
        "alive": hosts.alive,
        "right": hosts.right,
        "phases": hosts.phases,
        "faults": hosts.faults,
    });
    writeln!(
        std::io::stdout(),
        "{}",
        serde_json::to_string_pretty(&status)?
    )?;
    Ok(())
}
