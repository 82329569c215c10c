//! `fleet mirror` and `fleet promote`: a second etcd with the same records, read-only until it is
//! made the one that operators write to.
//!
//! Records are signed and counters never go back, so a mirror needs no trust: at worst it is
//! behind. Its mark is not signed, since it decides nothing but whether operators are warned.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use etcd_client::TxnOp;
use jiff::Timestamp;
use netpolicy_fleet::{
    FleetKey, FleetName, Group, Head, HostSpec, Keyring, Layout, PACK_OPERATIONS, Record, Rollout,
    open, packs,
};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::etcd::{Etcd, Swapped, Value};
use super::operator::Operator;
use super::push::is_sound;
use super::settings::Settings;

/// Time between two looks at the source.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct MirrorArgs {
    /// The settings of the etcd that becomes the mirror
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Copy once instead of until stopped
    #[arg(long)]
    once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// Do it although the source still answers
    #[arg(long)]
    force: bool,
}

/// What a mirror says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MirrorMark {
    /// The URLs of its source.
    source: Vec<String>,
    /// When it was last the same, by the clock of the command that copies.
    time: Timestamp,
}

impl fmt::Display for MirrorMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "read-only copy of {}, the same at {:.0}",
            self.source.join(", "),
            self.time
        )
    }
}

/// The key of the mark.
fn mark_key(layout: &Layout) -> String {
    layout.key(&FleetKey::Mirror)
}

/// The mark of a mirror; `None`: it is none.
///
/// # Errors
/// etcd does not answer.
pub(crate) async fn mark_of(etcd: &Etcd, layout: &Layout) -> anyhow::Result<Option<MirrorMark>> {
    let found = etcd.get(&mark_key(layout)).await?;
    Ok(found.and_then(|found| serde_json::from_slice(&found.value).ok()))
}

/// What is copied: hosts' own words are not, they write them where they are.
fn is_copied(layout: &Layout, key: &str) -> bool {
    matches!(
        layout.parse(key),
        Some(
            FleetKey::Object(_)
                | FleetKey::Revision(_)
                | FleetKey::Bundle(_)
                | FleetKey::Head
                | FleetKey::Group(_)
                | FleetKey::Rollout(_)
                | FleetKey::Spec(_)
        )
    )
}

/// Copies a fleet to another etcd, again and again.
///
/// # Errors
/// The target does not take it; with `--once` also if the source does not answer.
pub(crate) async fn mirror(operator: Operator, args: MirrorArgs) -> anyhow::Result<()> {
    let target = Settings::read(&args.to)?;
    anyhow::ensure!(
        target.fleet == *operator.fleet() && target.endpoints != operator.settings.endpoints,
        "{}: expected another etcd for fleet {}",
        args.to.display(),
        operator.fleet()
    );
    let mut out = std::io::stdout();
    let mut known: BTreeMap<String, i64> = BTreeMap::new();
    let mut said = String::new();
    loop {
        let copied = copy(&operator, &target, &mut known).await;
        match copied {
            Ok(count) if count > 0 || args.once => {
                writeln!(
                    out,
                    "{count} keys copied to {}",
                    target.endpoints.join(", ")
                )?;
                said.clear();
            }
            Ok(_) => {}
            Err(error) if args.once => return Err(error),
            Err(error) => {
                let error = format!("{error:#}");
                if said != error {
                    writeln!(out, "not copied: {error}")?;
                    said = error;
                }
            }
        }
        if args.once {
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

/// Copies what is other: objects and revisions before what names them. How many keys.
async fn copy(
    operator: &Operator,
    target: &Settings,
    known: &mut BTreeMap<String, i64>,
) -> anyhow::Result<usize> {
    let layout = &operator.layout;
    let head = layout.key(&FleetKey::Head);
    let source = Etcd::any(&operator.settings, &head).await?;
    let to = Etcd::any(target, &head).await?;
    let mark_at = mark_key(layout);
    let marked = to.get(&mark_at).await?.map_or(0, |mark| mark.written);
    let target_head = to.get(&head).await?;
    anyhow::ensure!(
        marked != 0 || target_head.is_none(),
        "{} has fleet {} and is no mirror: it was promoted, or is in use\n\
         hint: a mirror begins empty",
        to.endpoint,
        operator.fleet()
    );
    // The head is read before what it names, and written after it.
    let source_head = source.get(&head).await?;
    let mut records = Vec::new();
    for prefix in [
        layout.revisions(),
        layout.groups(),
        layout.rollouts(),
        layout.hosts(),
    ] {
        records.extend(source.all(&prefix).await?);
    }
    let is_behind = !is_as_new(operator, source_head.as_ref(), target_head.as_ref());
    records.extend(source_head.iter().cloned());
    let mut parts = Vec::new();
    for prefix in [layout.objects(), layout.bundles()] {
        let there: BTreeSet<_> = to.keys(&prefix).await?.into_iter().collect();
        for key in source.keys(&prefix).await? {
            if !there.contains(&key) {
                parts.extend(source.get(&key).await?);
            }
        }
    }
    for found in records {
        if is_copied(layout, &found.key) && known.get(&found.key) != Some(&found.written) {
            parts.push(found);
        }
    }
    let mut changed = Vec::new();
    for found in parts {
        let is_newer = match layout.parse(&found.key) {
            Some(FleetKey::Object(_) | FleetKey::Revision(_) | FleetKey::Bundle(_)) => true,
            _ => is_as_new(operator, Some(&found), to.get(&found.key).await?.as_ref()),
        };
        match is_newer {
            true => changed.push(found),
            false => _ = known.insert(found.key, found.written),
        }
    }
    let mark = MirrorMark {
        source: operator.settings.endpoints.clone(),
        time: Timestamp::now(),
    };
    let put = TxnOp::put(mark_at.as_str(), serde_json::to_vec(&mark)?, None);
    // The mark first: what is half copied is a mirror already.
    let mut unchanged = vec![(mark_at.clone(), marked)];
    if marked == 0 {
        unchanged.push((head.clone(), 0));
    }
    written(&to, to.swap(&unchanged, vec![put]).await?)?;
    let marked = to.get(&mark_at).await?.map_or(0, |mark| mark.written);
    anyhow::ensure!(marked != 0, "{} was promoted meanwhile", to.endpoint);
    let unchanged = [(mark_at, marked)];
    let sizes: Vec<_> = changed
        .iter()
        .map(|found| found.key.len() + found.value.len())
        .collect();
    let count = changed.len();
    let mut rest = changed.into_iter();
    for pack in packs(sizes) {
        let some: Vec<_> = rest.by_ref().take(pack).collect();
        let puts = some
            .iter()
            .map(|found| TxnOp::put(found.key.as_str(), found.value.clone(), None));
        written(&to, to.swap(&unchanged, puts.collect()).await?)?;
        known.extend(some.into_iter().map(|found| (found.key, found.written)));
    }
    if source_head.is_none() || is_behind {
        return Ok(count);
    }
    // What the source swept; revisions before the objects that they name.
    for prefix in [layout.revisions(), layout.bundles(), layout.objects()] {
        let there = to.keys(&prefix).await?;
        // Read after the head: what that names is there.
        let kept: BTreeSet<_> = source.keys(&prefix).await?.into_iter().collect();
        let swept: Vec<_> = there.iter().filter(|key| !kept.contains(*key)).collect();
        for some in swept.chunks(PACK_OPERATIONS) {
            let deletes = some.iter().map(|key| TxnOp::delete(key.as_str(), None));
            written(&to, to.swap(&unchanged, deletes.collect()).await?)?;
        }
        for key in swept {
            known.remove(key);
        }
    }
    Ok(count)
}

/// Refuses to go on if the mark was written meanwhile.
fn written(to: &Etcd, swapped: Swapped) -> anyhow::Result<()> {
    anyhow::ensure!(
        swapped == Swapped::Done,
        "{} was promoted meanwhile, or another command copies to it",
        to.endpoint
    );
    Ok(())
}

/// Whether a signed record of the source is as new as the target's, or newer.
fn is_as_new(operator: &Operator, source: Option<&Value>, target: Option<&Value>) -> bool {
    let counter = |found: Option<&Value>| {
        let found = found?;
        counter(&operator.layout, operator.fleet(), &operator.keys, found)
    };
    counter(source) >= counter(target)
}

/// The counter of a signed record; `None`: no operator signed it.
fn counter(layout: &Layout, fleet: &FleetName, keys: &Keyring, found: &Value) -> Option<u64> {
    fn of<R: Record>(text: &str, fleet: &FleetName, keys: &Keyring) -> Option<u64> {
        open::<R>(text, fleet, keys).ok()?.record.counter()
    }
    let text = found.text();
    match layout.parse(&found.key)? {
        FleetKey::Head => of::<Head>(&text, fleet, keys),
        FleetKey::Group(_) => of::<Group>(&text, fleet, keys),
        FleetKey::Rollout(_) => of::<Rollout>(&text, fleet, keys),
        FleetKey::Spec(_) => of::<HostSpec>(&text, fleet, keys),
        _ => None,
    }
}

/// Refuses to write to a mirror.
///
/// # Errors
/// It is one.
pub(crate) async fn is_no_mirror(operator: &Operator) -> anyhow::Result<()> {
    match mark_of(&operator.etcd, &operator.layout).await? {
        None => Ok(()),
        Some(mark) => anyhow::bail!(
            "this etcd is a {mark}; nothing was changed\n\
             hint: write to the source, or make this the one to write to with `netpolicy fleet promote`"
        ),
    }
}

/// Makes a mirror the etcd that operators write to.
///
/// # Errors
/// It is no mirror; its source still answers.
pub(crate) async fn promote(mut operator: Operator, args: PromoteArgs) -> anyhow::Result<()> {
    let mark = mark_of(&operator.etcd, &operator.layout).await?;
    let mark = mark.context("this etcd is no mirror: it can be written to already")?;
    operator.unlock()?;
    if !args.force {
        let mut of = operator.settings.clone();
        of.endpoints.clone_from(&mark.source);
        let key = operator.layout.key(&FleetKey::Head);
        anyhow::ensure!(
            Etcd::any(&of, &key).await.is_err(),
            "its source still answers: {}\n\
             hint: with two that are written to, hosts follow the one with the newer head; \
             stop the source, or repeat with --force",
            mark.source.join(", ")
        );
    }
    let snapshot = operator.snapshot().await?;
    is_sound(&snapshot)?;
    let head = snapshot
        .head
        .as_ref()
        .context("the mirror has no head yet")?;
    // A head above the source's, so that hosts that have seen this one do not go back to it.
    let next = Head {
        counter: snapshot.next_counter() + 1,
        author: operator.author.clone(),
        time: Timestamp::now(),
        ..head.record.clone()
    };
    let text = operator.sign(&next)?;
    let key = operator.layout.key(&FleetKey::Head);
    let operations = vec![
        TxnOp::put(key.as_str(), text, None),
        TxnOp::delete(mark_key(&operator.layout), None),
    ];
    let unchanged = [(key, head.written)];
    if operator.etcd.swap(&unchanged, operations).await? == Swapped::Changed {
        anyhow::bail!(
            "the mirror was written to meanwhile\nhint: stop `netpolicy fleet mirror`, then repeat"
        );
    }
    writeln!(
        std::io::stdout(),
        "this etcd is no mirror any more: push and roll out here\n\
         next: on each host put its URLs in `endpoints` of /etc/netpolicy/fleet.toml"
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::testing::{KEYS, found, group};

    #[test]
    fn counter_is_of_what_an_operator_signed() {
        let fleet = "prod".parse().unwrap();
        let layout = Layout::new(&fleet);
        let key = layout.key(&FleetKey::Group("db".parse().unwrap()));
        let of = |text: &str| counter(&layout, &fleet, &KEYS.keyring(), &found(key.clone(), text));
        assert_eq!(of(&KEYS.sign(&group("db", 7))), Some(7));
        assert_eq!(of("{}"), None);
    }
}
