//! `fleet push`: a policy file to a revision. Objects first, the head last.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use etcd_client::TxnOp;
use jiff::Timestamp;
use netpolicy_fleet::{FleetKey, Head, ObjectId, ObjectKind, Pin, Revision, packs};
use netpolicy_policy::model::change::{Change, SourceText};
use netpolicy_policy::model::diff::unified;
use netpolicy_policy::model::{ChangeContext, Limits, State, file};
use netpolicy_store::store::{read_state, write_state};
use tokio::time::Instant;

use super::bundle::bundle;
use super::etcd::Swapped;
use super::memory::Memory;
use super::mirror::is_no_mirror;
use super::objects::{encoded, fetch_all};
use super::operator::{Lock, Operator, root_of};
use super::snapshot::{Snapshot, pin_of, revision};
use super::sweep;

/// The most bytes of a difference that is shown.
const SHOWN: usize = 64 << 10;

/// How long objects are written before the lock is prolonged.
const PROLONG: Duration = Duration::from_secs(20);

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The policy file (TOML), the whole desired state
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// Why
    #[arg(long, short, default_value = "")]
    message: String,
    /// Let every host take it at once, without a roll-out
    #[arg(long)]
    at_once: bool,
    /// Leave services to the hosts: policies are bound to those that a host has by these names
    #[arg(long)]
    without_services: bool,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// The most policies of a host
    #[arg(long, value_name = "N", default_value_t = Limits::default().policies)]
    max_policies: usize,
    /// The most rules of a list
    #[arg(long, value_name = "N", default_value_t = Limits::default().rules_per_list)]
    max_rules: usize,
}

/// The state of a revision.
///
/// # Errors
/// It is not whole in etcd.
pub(crate) async fn state_of(operator: &Operator, root: &str) -> anyhow::Result<(State, Memory)> {
    let root = root_of(root)?;
    let bodies = fetch_all(&operator.etcd, &operator.layout, root).await?;
    let objects = Memory::of(bodies);
    let state = read_state(&objects, &root)?;
    Ok((state, objects))
}

/// A policy file and its list files, made of a state.
///
/// # Errors
/// All that is wrong with them.
pub(crate) fn applied(
    path: &Path,
    before: &State,
    author: &str,
    limits: Limits,
) -> anyhow::Result<(State, Vec<String>)> {
    let read = |path: &Path, name: String| -> anyhow::Result<SourceText> {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(SourceText { name, text })
    };
    let source = read(path, path.display().to_string())?;
    let wrong = |errors: &dyn std::fmt::Display| anyhow::anyhow!("{errors}");
    let names = file::referenced_lists(&source).map_err(|errors| wrong(&errors))?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let lists = names.into_iter().map(|name| {
        let place = directory.join(&name);
        read(&place, name)
    });
    let change = Change::Apply {
        file: source,
        lists: lists.collect::<Result<_, _>>()?,
        skip_invalid: false,
        allow_empty: false,
        keep_others: false,
    };
    let cx = ChangeContext {
        now: Timestamp::now(),
        actor: author,
        limits,
        force: false,
    };
    let applied = before
        .apply(&change, &cx)
        .map_err(|errors| wrong(&errors))?;
    Ok((applied.state, applied.warnings))
}

impl PushArgs {
    /// The policy file, made of a state.
    fn applied(
        &self,
        before: &State,
        author: &str,
        limits: Limits,
    ) -> anyhow::Result<(State, Vec<String>)> {
        let (mut state, warnings) = applied(&self.file, before, author, limits)?;
        if self.without_services {
            state.services.clear();
        }
        Ok((state, warnings))
    }
}

/// Runs it.
///
/// # Errors
/// In words.
pub(crate) async fn push(mut operator: Operator, args: PushArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let limits = Limits {
        policies: args.max_policies,
        rules_per_list: args.max_rules,
    };
    if args.dry_run {
        let snapshot = operator.snapshot().await?;
        let (before, _) = newest(&operator, &snapshot).await?;
        let (state, warnings) = args.applied(&before, &operator.author, limits)?;
        show(&mut out, &before, &state, &warnings)?;
        writeln!(out, "nothing was pushed (--dry-run)")?;
        return Ok(());
    }
    is_no_mirror(&operator).await?;
    operator.unlock()?;
    let lock = operator.lock("push").await?;
    let pushed = locked(&mut operator, &args, limits, &lock).await;
    operator.unlock_fleet(lock).await;
    pushed
}

async fn newest(operator: &Operator, snapshot: &Snapshot) -> anyhow::Result<(State, Memory)> {
    match &snapshot.head {
        Some(head) => state_of(operator, &head.record.newest.root).await,
        None => Ok((State::empty(), Memory::default())),
    }
}

pub(super) fn show(
    out: &mut impl std::io::Write,
    before: &State,
    after: &State,
    warnings: &[String],
) -> anyhow::Result<()> {
    let difference = unified(before, after, SHOWN);
    write!(out, "{}", difference.text)?;
    if difference.left_out > 0 {
        writeln!(out, "… and {} lines more", difference.left_out)?;
    }
    for warning in warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

async fn locked(
    operator: &mut Operator,
    args: &PushArgs,
    limits: Limits,
    lock: &Lock,
) -> anyhow::Result<()> {
    let snapshot = operator.snapshot().await?;
    is_sound(&snapshot)?;
    let (before, had) = newest(operator, &snapshot).await?;
    let (state, warnings) = args.applied(&before, &operator.author, limits)?;
    let objects = Memory::default();
    let root = write_state(&objects, &state)?;
    let head = snapshot.head.as_ref();
    let same = head.is_some_and(|head| head.record.newest.root == root.to_string());
    let mut out = std::io::stdout();
    show(&mut out, &before, &state, &warnings)?;
    if same && (!args.at_once || head.is_some_and(|head| !head.record.staged)) {
        writeln!(
            out,
            "nothing changed: the fleet's newest revision is that already"
        )?;
        return Ok(());
    }
    let begun = Instant::now();
    let new = objects.beyond(&had, root)?;
    let count = new.len();
    let bodies = new.iter().map(|(kind, _, body)| (*kind, body.as_slice()));
    let bundle = bundle(bodies);
    let bytes = write_objects(operator, lock, new).await?;
    let made = Made {
        root: root.to_string(),
        message: args.message.clone(),
        staged: !args.at_once,
        bundle,
    };
    let pin = publish(operator, &snapshot, lock, made).await?;
    writeln!(
        out,
        "revision {} of fleet {}: {count} objects, {bytes} bytes, {} ms",
        pin.revision,
        operator.fleet(),
        begun.elapsed().as_millis()
    )?;
    if !args.at_once {
        writeln!(
            out,
            "no host takes it before its roll-out: `netpolicy fleet rollout GROUP`"
        )?;
    }
    if let Err(error) = sweep::swept(operator, lock, &mut out).await {
        writeln!(
            out,
            "warning: old revisions were not removed: {error:#}\n\
             hint: the revision is pushed; the next push removes them"
        )?;
    }
    Ok(())
}

/// Refuses to go on from records that are not what they have to be.
///
/// # Errors
/// The faults.
pub(crate) fn is_sound(snapshot: &Snapshot) -> anyhow::Result<()> {
    anyhow::ensure!(
        snapshot.faults.is_empty(),
        "records in etcd are refused, so nothing is built on them:\n{}\n\
         hint: find out who wrote them; `etcdctl del KEY` removes one",
        snapshot.faults.join("\n")
    );
    Ok(())
}

/// Writes objects in packs that etcd takes, as long as the lock is held. How many bytes.
async fn write_objects(
    operator: &Operator,
    lock: &Lock,
    new: Vec<(ObjectKind, ObjectId, Vec<u8>)>,
) -> anyhow::Result<usize> {
    let mut values = Vec::with_capacity(new.len());
    for (kind, id, body) in new {
        let key = operator.layout.key(&FleetKey::Object(id));
        values.push((key, encoded(kind, &id, &body)?));
    }
    let total = values.iter().map(|(_, value)| value.len()).sum();
    let sizes: Vec<_> = values
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .collect();
    let mut rest = values.into_iter();
    let mut kept = Instant::now();
    for pack in packs(sizes) {
        let puts = rest.by_ref().take(pack);
        let puts = puts
            .map(|(key, value)| TxnOp::put(key, value, None))
            .collect();
        let held = std::slice::from_ref(&lock.written);
        if operator.etcd.swap(held, puts).await? == Swapped::Changed {
            anyhow::bail!("the lock was lost while objects were written; the head was not changed");
        }
        if kept.elapsed() > PROLONG {
            operator.keep(lock).await?;
            kept = Instant::now();
        }
    }
    Ok(total)
}

/// A revision to be made.
pub(crate) struct Made {
    pub(crate) root: String,
    pub(crate) message: String,
    pub(crate) staged: bool,
    /// Its new objects in one value, if they fit.
    pub(crate) bundle: Option<Vec<u8>>,
}

/// Makes a revision and the head that names it, in one transaction.
///
/// # Errors
/// Another operator was faster.
pub(crate) async fn publish(
    operator: &mut Operator,
    snapshot: &Snapshot,
    lock: &Lock,
    made: Made,
) -> anyhow::Result<Pin> {
    let layout = operator.layout.clone();
    // Also above those that a backup has lost.
    let kept = operator.etcd.keys(&layout.revisions()).await?;
    let kept = kept.iter().filter_map(|key| match layout.parse(key) {
        Some(FleetKey::Revision(number)) => Some(number),
        _ => None,
    });
    let kept: BTreeSet<u64> = kept.collect();
    let mut highest = snapshot.highest_revision();
    for number in kept.range(highest.saturating_add(1)..).rev() {
        // What no operator signed takes up its number, and no more.
        if revision(&operator.etcd, operator.fleet(), &operator.keys, *number)
            .await
            .is_ok()
        {
            highest = *number;
            break;
        }
    }
    let number = following(highest, &kept).context("there is no higher number for a revision")?;
    let last = snapshot.head.as_ref().map(|head| &head.record);
    let parent = last.map(|head| head.newest.revision);
    let base = last.filter(|_| made.staged);
    let base = base.and_then(|head| match head.staged {
        true => head.base.clone(),
        false => Some(head.newest.clone()),
    });
    let now = Timestamp::now();
    let revision = Revision {
        fleet: operator.fleet().clone(),
        revision: number,
        root: made.root,
        parent,
        staged: made.staged,
        author: operator.author.clone(),
        time: now,
        message: made.message,
    };
    let head = Head {
        fleet: operator.fleet().clone(),
        counter: snapshot.next_counter(),
        newest: pin_of(&revision),
        staged: made.staged,
        base,
        author: operator.author.clone(),
        time: now,
    };
    let head_key = layout.key(&FleetKey::Head);
    let revision_key = layout.key(&FleetKey::Revision(revision.revision));
    let written = snapshot.head.as_ref().map_or(0, |head| head.written);
    let unchanged = [
        lock.written.clone(),
        (head_key.clone(), written),
        (revision_key.clone(), 0),
    ];
    let bundle_key = layout.key(&FleetKey::Bundle(number));
    let bundle = match made.bundle {
        Some(bundle) => TxnOp::put(bundle_key, bundle, None),
        None => TxnOp::delete(bundle_key, None),
    };
    let puts = vec![
        bundle,
        TxnOp::put(revision_key, operator.sign(&revision)?, None),
        TxnOp::put(head_key, operator.sign(&head)?, None),
    ];
    match operator.etcd.swap(&unchanged, puts).await? {
        Swapped::Done => Ok(pin_of(&revision)),
        Swapped::Changed => anyhow::bail!(
            "another operator pushed meanwhile; the fleet has their revision\n\
             hint: `netpolicy fleet diff` shows it; repeat the command on top of it"
        ),
    }
}

/// The next number that none has.
fn following(highest: u64, kept: &BTreeSet<u64>) -> Option<u64> {
    let mut next = highest.checked_add(1)?;
    while kept.contains(&next) {
        next = next.checked_add(1)?;
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_a_revision_is_the_next_free_one() {
        let kept = BTreeSet::from([3, 4, u64::MAX]);
        assert_eq!(following(2, &kept), Some(5));
        assert_eq!(following(u64::MAX - 1, &kept), None);
        assert_eq!(following(u64::MAX, &kept), None);
    }
}
