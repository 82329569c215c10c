//! `fleet groups`, `fleet hosts` and `fleet label`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use netpolicy_fleet::{FleetKey, Group, GroupName, HostId, Labels, Pin, most_specific};

use super::init::{CONFIRM_WITHIN, pair, write_spec};
use super::operator::Operator;
use super::push::is_sound;
use super::snapshot::{HostEntry, Snapshot, pin_of, revision};

#[derive(Debug, Args)]
pub(crate) struct GroupsArgs {
    #[command(subcommand)]
    command: Option<GroupsCommand>,
}

#[derive(Debug, Subcommand)]
enum GroupsCommand {
    /// Make a group, or change one
    Set(SetArgs),
}

#[derive(Debug, Args)]
struct SetArgs {
    /// Its name
    group: GroupName,
    /// Hosts with all these labels are of the group; may be repeated
    #[arg(long, value_name = "LABEL=VALUE", value_parser = pair)]
    selector: Vec<(String, String)>,
    /// A source and local port that a revision has to admit; may be repeated, replaces all
    #[arg(long, value_name = "ADDRESS:PORT")]
    must_admit: Vec<SocketAddr>,
    /// Let a revision admit what it will
    #[arg(long, conflicts_with = "must_admit")]
    no_must_admit: bool,
    /// How long a host waits for the confirmation of a revision [new groups: 60s]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    confirm_within: Option<Duration>,
    /// Keep the group at this revision
    #[arg(long, value_name = "REVISION")]
    pin: Option<u64>,
    /// Let the group follow the newest revision again
    #[arg(long, conflicts_with = "pin")]
    unpin: bool,
    /// Also if hosts have seen a newer record of the group than etcd has
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HostsArgs {
    /// Only hosts of this group
    #[arg(long)]
    group: Option<GroupName>,
    /// Only hosts at which something is wrong
    #[arg(long)]
    faulty: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LabelArgs {
    /// The host's name
    host: HostId,
    /// LABEL=VALUE sets a label, LABEL- removes it
    #[arg(required = true, value_parser = label_edit)]
    labels: Vec<(String, Option<String>)>,
    /// Also if hosts have seen a newer record of the host than etcd has
    #[arg(long)]
    force: bool,
}

fn label_edit(text: &str) -> Result<(String, Option<String>), String> {
    match text.strip_suffix('-') {
        Some(label) if !label.is_empty() && !label.contains('=') => Ok((label.to_owned(), None)),
        _ => pair(text).map(|(label, value)| (label, Some(value))),
    }
}

/// Runs `fleet groups`.
///
/// # Errors
/// In words.
pub(crate) async fn groups(
    mut operator: Operator,
    args: GroupsArgs,
    json: bool,
) -> anyhow::Result<()> {
    let snapshot = operator.snapshot().await?;
    match args.command {
        None => list_groups(&snapshot, json),
        Some(GroupsCommand::Set(args)) => set(&mut operator, snapshot, args).await,
    }
}

fn list_groups(snapshot: &Snapshot, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    if json {
        let groups: Vec<_> = snapshot
            .groups
            .values()
            .map(|group| &group.record)
            .collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&groups)?)?;
        return Ok(());
    }
    let mut rows = vec![
        [
            "GROUP",
            "HOSTS",
            "SELECTOR",
            "PINNED",
            "MUST ADMIT",
            "CONFIRM",
        ]
        .map(str::to_owned),
    ];
    for (name, group) in &snapshot.groups {
        let group = &group.record;
        let admit: Vec<_> = group.must_admit.iter().map(ToString::to_string).collect();
        rows.push([
            name.to_string(),
            snapshot.of_group(name).count().to_string(),
            labels_text(&group.selector),
            group
                .pinned
                .as_ref()
                .map_or_else(|| "-".to_owned(), |pin| pin.revision.to_string()),
            dash(admit.join(" ")),
            format!("{} s", group.confirm_within),
        ]);
    }
    table(&mut out, &rows)
}

/// Labels in one word.
fn labels_text(labels: &Labels) -> String {
    let labels: Vec<_> = labels
        .iter()
        .map(|(label, value)| format!("{label}={value}"))
        .collect();
    dash(labels.join(","))
}

fn dash(text: String) -> String {
    match text.is_empty() {
        true => "-".to_owned(),
        false => text,
    }
}

/// Columns as wide as their widest.
///
/// # Errors
/// Nothing can be written.
pub(crate) fn table<const N: usize>(
    out: &mut impl std::io::Write,
    rows: &[[String; N]],
) -> anyhow::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    for row in rows {
        let cells = row.iter().enumerate();
        let line: String = cells
            .map(|(column, cell)| format!("{cell:<width$}  ", width = width(column)))
            .collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

async fn set(operator: &mut Operator, mut snapshot: Snapshot, args: SetArgs) -> anyhow::Result<()> {
    is_sound(&snapshot)?;
    snapshot.is_newest(&format!("group {}", args.group), args.force)?;
    let there = snapshot.groups.get(&args.group);
    let written = there.map_or(0, |group| group.written);
    let before = there.map(|group| group.record.clone());
    let pinned = match (args.pin, args.unpin) {
        (Some(number), _) => {
            let found = revision(&operator.etcd, operator.fleet(), &operator.keys, number).await?;
            Some(pin_of(&found))
        }
        (None, true) => None,
        (None, false) => before.as_ref().and_then(|group| group.pinned.clone()),
    };
    let confirm = args
        .confirm_within
        .map(|time| u32::try_from(time.as_secs()));
    let confirm_within = confirm
        .transpose()?
        .or(before.as_ref().map(|group| group.confirm_within));
    let confirm_within = confirm_within.unwrap_or(CONFIRM_WITHIN);
    anyhow::ensure!(
        (5..=3_600).contains(&confirm_within),
        "--confirm-within {confirm_within}s: expected 5s to 1h"
    );
    let selector: Labels = match (&before, args.selector.is_empty()) {
        (Some(group), true) => group.selector.clone(),
        _ => args.selector.into_iter().collect(),
    };
    let must_admit = match &before {
        _ if args.no_must_admit => Vec::new(),
        Some(group) if args.must_admit.is_empty() => group.must_admit.clone(),
        _ => args.must_admit,
    };
    let mut counter = snapshot.next_counter();
    let group = Group {
        fleet: operator.fleet().clone(),
        group: args.group.clone(),
        counter,
        selector,
        pinned,
        must_admit,
        confirm_within,
        author: operator.author.clone(),
        time: Timestamp::now(),
    };
    let key = FleetKey::Group(args.group.clone());
    operator.write(&key, &group, written).await?;
    let mut out = std::io::stdout();
    writeln!(out, "group {} is set{}", args.group, pinned_to(&group))?;
    let written = super::snapshot::Written {
        record: group,
        written,
    };
    snapshot.groups.insert(args.group, written);
    // Hosts that the groups now divide otherwise.
    let groups: Vec<_> = snapshot
        .groups
        .values()
        .map(|group| group.record.clone())
        .collect();
    let hosts: Vec<_> = snapshot
        .hosts
        .iter()
        .filter_map(|(host, entry)| {
            let spec = &entry.spec.as_ref()?.record;
            let group = most_specific(&groups, &spec.labels)?;
            (group.group != spec.group).then(|| (host.clone(), spec.labels.clone()))
        })
        .collect();
    for (host, labels) in hosts {
        counter += 1;
        let group = write_spec(operator, &snapshot, &host, labels, counter).await?;
        writeln!(out, "host {host} is of group {group}")?;
    }
    Ok(())
}

/// Runs `fleet label`.
///
/// # Errors
/// In words.
pub(crate) async fn label(mut operator: Operator, args: LabelArgs) -> anyhow::Result<()> {
    let snapshot = operator.snapshot().await?;
    is_sound(&snapshot)?;
    snapshot.is_newest(&format!("host {}", args.host), args.force)?;
    let there = snapshot
        .hosts
        .get(&args.host)
        .and_then(|host| host.spec.as_ref());
    let there = there.ok_or_else(|| {
        anyhow::anyhow!(
            "host {} is not in fleet {}\nhint: `netpolicy fleet join {}` makes it one of it",
            args.host,
            operator.fleet(),
            args.host
        )
    })?;
    let mut labels = there.record.labels.clone();
    for (label, value) in args.labels {
        match value {
            Some(value) => labels.insert(label, value),
            None => labels.remove(&label),
        };
    }
    let counter = snapshot.next_counter();
    let said = labels_text(&labels);
    let of = super::init::group_for(&snapshot, &labels)?;
    snapshot.is_newest(&format!("group {of}"), args.force)?;
    let group = write_spec(&mut operator, &snapshot, &args.host, labels, counter).await?;
    let pinned = snapshot.groups.get(&group);
    writeln!(
        std::io::stdout(),
        "host {}: labels {said}, group {group}{}",
        args.host,
        pinned.map_or_else(String::new, |group| pinned_to(&group.record))
    )?;
    Ok(())
}

/// The pin that hosts of a group follow, after a sentence.
fn pinned_to(group: &Group) -> String {
    let pinned = group.pinned.as_ref();
    pinned.map_or_else(String::new, |pin| {
        format!(", pinned to revision {}", pin.revision)
    })
}

/// What is wrong at a host, in a line; `None`: nothing.
pub(crate) fn fault_of(entry: &HostEntry) -> Option<String> {
    let mut faults = Vec::new();
    if let Some(contender) = entry
        .alive
        .as_ref()
        .and_then(|alive| alive.contender.as_ref())
    {
        faults.push(format!("the name is used twice, also by {contender}"));
    }
    match &entry.status {
        None if entry.is_unreadable => faults.push("its status cannot be read".to_owned()),
        None => faults.push("it never reported".to_owned()),
        Some(status) => faults.extend(status.faults.iter().cloned()),
    }
    if entry.spec.is_none() {
        faults.push("it has no record that an operator signed".to_owned());
    }
    (!faults.is_empty()).then(|| faults.join("; "))
}

/// The revision of a pin in a word.
pub(crate) fn number(pin: Option<&Pin>) -> String {
    pin.map_or_else(|| "-".to_owned(), |pin| pin.revision.to_string())
}

/// Runs `fleet hosts`.
///
/// # Errors
/// In words.
pub(crate) async fn hosts(operator: Operator, args: HostsArgs, json: bool) -> anyhow::Result<()> {
    let snapshot = operator.snapshot().await?;
    let mut out = std::io::stdout();
    let is_shown = |entry: &HostEntry| {
        let group = entry.spec.as_ref().map(|spec| &spec.record.group);
        (args.group.is_none() || args.group.as_ref() == group)
            && (!args.faulty || fault_of(entry).is_some() || entry.alive.is_none())
    };
    let shown: BTreeMap<_, _> = snapshot
        .hosts
        .iter()
        .filter(|(_, entry)| is_shown(entry))
        .collect();
    if json {
        let hosts: Vec<_> = shown
            .iter()
            .map(|(host, entry)| {
                serde_json::json!({
                    "host": host,
                    "group": entry.spec.as_ref().map(|spec| &spec.record.group),
                    "labels": entry.spec.as_ref().map(|spec| &spec.record.labels),
                    "alive": entry.alive.is_some(),
                    "status": entry.status,
                    "fault": fault_of(entry),
                })
            })
            .collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&hosts)?)?;
        return Ok(());
    }
    let mut rows =
        vec![["HOST", "GROUP", "ALIVE", "PHASE", "AT", "TO", "FAULT"].map(str::to_owned)];
    for (host, entry) in shown {
        let status = entry.status.as_ref();
        let group = entry
            .spec
            .as_ref()
            .map(|spec| spec.record.group.to_string());
        rows.push([
            host.to_string(),
            group.unwrap_or_else(|| "-".to_owned()),
            if entry.alive.is_some() { "yes" } else { "no" }.to_owned(),
            status.map_or("-", |status| status.phase.name()).to_owned(),
            number(status.and_then(|status| status.at.as_ref())),
            number(status.and_then(|status| status.to.as_ref())),
            one_line(&fault_of(entry).unwrap_or_default()),
        ]);
    }
    table(&mut out, &rows)
}

/// What hosts say, without what would steer a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.collect()
}
