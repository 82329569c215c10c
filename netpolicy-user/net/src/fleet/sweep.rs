//! What no kept revision needs is removed: mark and sweep, under the lock under which objects are
//! written.

use std::collections::BTreeSet;
use std::io::Write;

use etcd_client::TxnOp;
use netpolicy_fleet::{FleetKey, ObjectId, PACK_OPERATIONS, Revision, open};

use super::etcd::Swapped;
use super::objects::fetch;
use super::operator::{Lock, Operator, root_of};

/// The newest revisions that are kept.
const KEPT: usize = 50;

/// Revisions above that before anything is swept: it reads all lists that are kept.
const SLACK: usize = 25;

/// etcd's quota unless it is set, and from where on a push warns, bytes.
const WARNED: i64 = (2 << 30) / 10 * 8;

/// Removes old revisions and what only they needed, if there are many. Those that are pinned or
/// rolled out stay.
///
/// # Errors
/// etcd does not answer, or the lock was lost.
pub(crate) async fn swept(
    operator: &Operator,
    lock: &Lock,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let layout = &operator.layout;
    let mut client = operator.etcd.client.clone();
    let size = operator.etcd.within(client.status()).await?.db_size();
    if size > WARNED {
        writeln!(
            out,
            "warning: etcd's database has {} MiB; its quota is 2 GiB unless set\n\
             hint: `etcdctl compact` and `etcdctl defrag` free what is no longer used",
            size >> 20
        )?;
    }
    let revisions = operator.etcd.keys(&layout.revisions()).await?;
    if revisions.len() <= KEPT + SLACK {
        return Ok(());
    }
    let snapshot = operator.snapshot().await?;
    super::push::is_sound(&snapshot)?;
    let pins = snapshot
        .groups
        .values()
        .filter_map(|group| group.record.pinned.as_ref());
    let rolled = snapshot.rollouts.values().flat_map(|rollout| {
        let rollout = &rollout.record;
        rollout.from.iter().chain([&rollout.to])
    });
    let hosts = snapshot
        .hosts
        .values()
        .filter_map(|host| host.status.as_ref()?.at.as_ref());
    let heads = snapshot.head.iter().flat_map(|head| {
        let head = &head.record;
        head.base.iter().chain([&head.newest])
    });
    let in_use: BTreeSet<u64> = pins
        .chain(heads)
        .chain(rolled)
        .chain(hosts)
        .map(|pin| pin.revision)
        .collect();
    let old = revisions.len() - KEPT;
    let (mut removed, mut roots, mut count) = (Vec::new(), BTreeSet::new(), 0);
    for (place, key) in revisions.into_iter().enumerate() {
        let Some(FleetKey::Revision(number)) = layout.parse(&key) else {
            continue;
        };
        if place < old && !in_use.contains(&number) {
            removed.extend([key, layout.key(&FleetKey::Bundle(number))]);
            count += 1;
        } else if let Some(found) = operator.etcd.get(&key).await? {
            let revision = open::<Revision>(&found.text(), operator.fleet(), &operator.keys)?;
            roots.insert(root_of(&revision.record.root)?);
        }
    }
    let marked = mark(operator, roots).await?;
    let objects = operator.etcd.keys(&layout.objects()).await?;
    let unmarked = objects.into_iter().filter(|key| match layout.parse(key) {
        Some(FleetKey::Object(id)) => !marked.contains(&id),
        _ => false,
    });
    let keys = removed.len();
    removed.extend(unmarked);
    for some in removed.chunks(PACK_OPERATIONS) {
        let deletes = some.iter().map(|key| TxnOp::delete(key.as_str(), None));
        let held = std::slice::from_ref(&lock.written);
        if operator.etcd.swap(held, deletes.collect()).await? == Swapped::Changed {
            anyhow::bail!("the lock was lost while old revisions were removed");
        }
    }
    writeln!(
        out,
        "removed {count} old revisions and {} objects",
        removed.len() - keys
    )?;
    Ok(())
}

/// All objects of these states. Chunks are not read: they name nothing.
async fn mark(
    operator: &Operator,
    roots: BTreeSet<ObjectId>,
) -> anyhow::Result<BTreeSet<ObjectId>> {
    let (etcd, layout) = (&operator.etcd, &operator.layout);
    let mut marked = roots.clone();
    let mut open: Vec<_> = roots.into_iter().collect();
    while !open.is_empty() {
        let mut next = Vec::new();
        fetch(etcd, layout, &open, |_, body| {
            for (kind, id) in body.references {
                if marked.insert(id) && kind != netpolicy_fleet::ObjectKind::Chunk {
                    next.push(id);
                }
            }
        })
        .await?;
        open = next;
    }
    Ok(marked)
}
