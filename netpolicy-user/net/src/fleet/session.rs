//! The connection to etcd: taken up again for ever, with all records listed each time. What the
//! host has in force does not depend on it.

mod signs;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use etcd_client::{LeaseKeepAliveStream, LeaseKeeper, PutOptions, TxnOp, WatchStream};
use jiff::Timestamp;
use netpolicy_fleet::{Alive, FleetKey, Head, HostId, HostStatus, Keyring, Layout, Phase, open};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::apply::{Applier, Desired};
use super::etcd::{Etcd, EtcdError, Swapped};
use super::instance::instance;
use super::pause::Pause;
use super::records::{Records, Watched};
use super::settings::Settings;

/// How long `alive` stays without its host, seconds.
const LEASE: i64 = 30;
/// Time between two signs of life.
const SIGN: Duration = Duration::from_secs(10);
/// How long another process of the same name counts that says nothing more.
const FORGIVEN: Duration = Duration::from_secs(35);
/// Time between two looks whether a watch has missed anything.
const CHECK: Duration = Duration::from_secs(60);
/// Time between a change of the status and its write, at most: what comes meanwhile is written
/// with it, and hosts of a fleet do not write at once.
const STATUS: Duration = Duration::from_millis(500);
/// Time before a status that etcd refused is written again.
const REFUSED: Duration = Duration::from_secs(60);
/// Looks at signs of life in which a contender that is there names itself again.
const PATIENCE: u8 = 3;
/// The shortest and longest pause before the next member is tried.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));
/// How long the same fault is not said again.
const SAY_AGAIN: Duration = Duration::from_secs(600);
/// A session that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(30);

/// What one host needs.
pub(crate) struct Host {
    settings: Settings,
    host: HostId,
    layout: Layout,
    instance: String,
    desired: watch::Sender<Option<Desired>>,
    reports: watch::Receiver<Option<HostStatus>>,
    /// What was said last of a sign of life that could not be given.
    unsigned: Mutex<String>,
}

/// Why a session ended without a fault.
struct Ended {
    why: String,
    /// The member to go on with, if another.
    next: Option<usize>,
}

/// `alive`, held by a lease.
struct Sign {
    keeper: LeaseKeeper,
    answers: LeaseKeepAliveStream,
    /// The last answer.
    answered: Instant,
}

/// Runs one host for ever.
///
/// # Errors
/// The settings cannot be used.
pub(crate) async fn run_host(
    path: &Path,
    settings: Settings,
    socket: &Path,
) -> anyhow::Result<Infallible> {
    let host = settings.host()?.clone();
    // A key that is missing or open is said at once, before etcd is asked for anything.
    settings.keyring()?;
    let (desired, wanted) = watch::channel(None);
    let (said, reports) = watch::channel(None);
    let instance = instance(path)?;
    let applier = Applier::new(&settings, &host, socket, instance.clone(), wanted, said);
    let applier = tokio::spawn(applier.run());
    let layout = Layout::new(&settings.fleet);
    let host = Host {
        settings,
        host,
        layout,
        instance,
        desired,
        reports,
        unsigned: Mutex::default(),
    };
    tokio::select! {
        never = host.follow() => match never {},
        ended = applier => {
            ended?;
            anyhow::bail!("the task that speaks to the agent ended")
        }
    }
}

impl Host {
    /// Follows etcd, one member after another.
    async fn follow(self) -> Infallible {
        let mut pause = Pause::new(self.host.as_str(), PAUSES);
        // Hosts begin with different members.
        let first = netpolicy_fleet::bucket("members", &self.host);
        let mut turn = usize::from(first);
        let mut since: Option<Timestamp> = None;
        let mut said: Option<(String, Instant)> = None;
        loop {
            let all: Vec<_> = self.endpoints().collect();
            let member = turn % all.len().max(1);
            let endpoint = all.get(member).cloned().unwrap_or_default();
            turn += 1;
            let begun = Instant::now();
            let mut connected = false;
            let ended = self.session(&endpoint, &mut connected, since).await;
            if connected {
                since = None;
            }
            if begun.elapsed() > GOOD {
                pause.reset();
            }
            match ended {
                Ok(ended) => {
                    let why = ended.why;
                    tracing::info!("host {}: {why}; records are listed again", self.host);
                    turn = ended.next.unwrap_or(member);
                }
                Err(error) => {
                    let at = *since.get_or_insert_with(Timestamp::now);
                    let error = error.to_string();
                    let is_new = said
                        .as_ref()
                        .is_none_or(|(last, when)| *last != error || when.elapsed() > SAY_AGAIN);
                    if is_new || connected {
                        tracing::warn!(
                            "host {}: {error}; without etcd since {at:.0}, what is in force stays in force",
                            self.host
                        );
                        said = Some((error, Instant::now()));
                    }
                    // All members are tried before there is a long pause.
                    if turn.is_multiple_of(all.len().max(1)) || begun.elapsed() < PAUSES.0 {
                        sleep(pause.next()).await;
                    }
                }
            }
        }
    }

    /// The members, in a row that begins anywhere; those of the mirror at its end.
    fn endpoints(&self) -> impl Iterator<Item = String> {
        let (own, mirror) = (&self.settings.endpoints, &self.settings.mirror);
        own.iter().chain(mirror).cloned()
    }

    /// Follows one member until it fails, or all has to be listed again.
    async fn session(
        &self,
        endpoint: &str,
        connected: &mut bool,
        since: Option<Timestamp>,
    ) -> Result<Ended, EtcdError> {
        let etcd = Etcd::connect(&self.settings, endpoint).await?;
        let keys = self.settings.keyring()?;
        let (records, at) = self.list(&etcd, &keys).await?;
        let watch = records
            .watch(&etcd, &self.layout, &self.host, at + 1)
            .await?;
        *connected = true;
        match since {
            Some(since) => tracing::info!(
                "host {}: {endpoint} answers again, after there was none since {since:.0}",
                self.host
            ),
            None => tracing::info!("host {}: follows {endpoint}", self.host),
        }
        let is_twin = AtomicBool::new(false);
        tokio::select! {
            ended = self.watched(&etcd, &keys, records, watch, &is_twin) => ended,
            failed = self.write_statuses(&etcd, &is_twin) => Err(failed),
        }
    }

    async fn watched(
        &self,
        etcd: &Etcd,
        keys: &Keyring,
        mut records: Records,
        mut watch: WatchStream,
        is_twin: &AtomicBool,
    ) -> Result<Ended, EtcdError> {
        let again = |why: String| Ended { why, next: None };
        // A contender whose name was removed to see whether it is still there.
        let mut doubted: Option<(String, u8)> = None;
        self.publish(etcd, &records, is_twin, None);
        let mut sign = self.sign(etcd, &records).await;
        let mut signs = interval(SIGN);
        let mut checks = interval(CHECK);
        signs.reset();
        checks.reset();
        for ticks in [&mut signs, &mut checks] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            let answer = async {
                match &mut sign {
                    Some(sign) => sign.answers.message().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                said = watch.message() => {
                    let said = said.map_err(|error| etcd.fault(&error))?;
                    let said = said.ok_or_else(|| etcd.other("it ended the watch"))?;
                    match records.update(&said, &self.layout) {
                        Watched::Same => {}
                        Watched::Changed => {
                            self.publish(etcd, &records, is_twin, doubted.as_ref());
                        }
                        Watched::ListAgain(why) => return Ok(again(why)),
                    }
                }
                answered = answer => {
                    match answered.map_err(|error| etcd.fault(&error))? {
                        Some(lease) if lease.ttl() > 0 => {
                            if let Some(sign) = &mut sign {
                                sign.answered = Instant::now();
                            }
                        }
                        _ => sign = None,
                    }
                }
                _ = signs.tick() => {
                    self.show(etcd, &records, &mut sign).await?;
                    doubted = doubted.and_then(|(name, left)| Some((name, left.checked_sub(1)?)));
                    self.publish(etcd, &records, is_twin, doubted.as_ref());
                }
                _ = checks.tick() => {
                    if sign.is_some()
                        && let Some(name) = self.doubt(etcd).await
                    {
                        doubted = Some((name, PATIENCE));
                    }
                    let (now, _) = self.list(etcd, keys).await?;
                    if !now.decide_alike(&records) {
                        return Ok(again("a watch said nothing of a change".to_owned()));
                    }
                    if let Some(next) = self.better(etcd, keys, &records).await {
                        let why = "goes on with another etcd".to_owned();
                        return Ok(Ended { why, next: Some(next) });
                    }
                }
            }
        }
    }

    /// A member of the other etcd, if hosts are to follow that: they prefer their own to its
    /// mirror, and of the two the one that is not behind.
    async fn better(&self, etcd: &Etcd, keys: &Keyring, records: &Records) -> Option<usize> {
        let (own, mirror) = (&self.settings.endpoints, &self.settings.mirror);
        if mirror.is_empty() {
            return None;
        }
        if own.contains(&etcd.endpoint) {
            let phase = self.reports.borrow().as_ref().map(|status| status.phase);
            return (phase == Some(Phase::Ahead)).then_some(own.len());
        }
        let counter = |records: &Records| {
            let head = open::<Head>(records.head.as_deref()?, &self.settings.fleet, keys).ok()?;
            Some(head.record.counter)
        };
        for (member, endpoint) in own.iter().enumerate() {
            let Ok(other) = Etcd::connect(&self.settings, endpoint).await else {
                continue;
            };
            if let Ok((found, _)) = self.list(&other, keys).await
                && counter(&found) >= counter(records)
            {
                return Some(member);
            }
        }
        None
    }

    async fn list(&self, etcd: &Etcd, keys: &Keyring) -> Result<(Records, i64), EtcdError> {
        Records::list(etcd, &self.settings.fleet, &self.host, keys).await
    }

    /// Tells the task that speaks to the agent, if it is anything to it.
    fn publish(
        &self,
        etcd: &Etcd,
        records: &Records,
        is_twin: &AtomicBool,
        doubted: Option<&(String, u8)>,
    ) {
        let other =
            records
                .alive
                .as_ref()
                .and_then(|alive| match alive.instance == self.instance {
                    true => alive.contender.clone(),
                    false => Some(alive.instance.clone()),
                });
        let other = other.or_else(|| doubted.map(|(name, _)| name.clone()));
        let is_other = |alive: &Alive| alive.instance != self.instance;
        let twin = records.alive.as_ref().is_some_and(is_other);
        is_twin.store(twin, Ordering::Relaxed);
        self.desired.send_if_modified(|last| {
            let same = last.as_ref().is_some_and(|last| {
                last.records.decide_alike(records) && last.twin == other && last.etcd.is(etcd)
            });
            if !same {
                *last = Some(Desired {
                    records: records.clone(),
                    etcd: etcd.clone(),
                    twin: other,
                });
            }
            !same
        });
    }

    /// Keeps `alive`, or tries to get it.
    async fn show(
        &self,
        etcd: &Etcd,
        records: &Records,
        sign: &mut Option<Sign>,
    ) -> Result<(), EtcdError> {
        match sign {
            Some(held) if held.answered.elapsed() > SIGN * 2 => Err(EtcdError::NoAnswer {
                endpoint: etcd.endpoint.clone(),
                why: "it does not answer to signs of life".to_owned(),
            }),
            // Written again without the other process, which has another name by now.
            Some(_)
                if records
                    .contended
                    .is_some_and(|when| when.elapsed() > FORGIVEN) =>
            {
                *sign = self.sign(etcd, records).await;
                Ok(())
            }
            Some(held) => etcd.within(held.keeper.keep_alive()).await,
            None => {
                *sign = self.sign(etcd, records).await;
                Ok(())
            }
        }
    }

    /// Writes the status whenever it is another, for ever.
    async fn write_statuses(&self, etcd: &Etcd, is_twin: &AtomicBool) -> EtcdError {
        let mut reports = self.reports.clone();
        let key = self.layout.key(&FleetKey::Status(self.host.clone()));
        let mut client = etcd.client.clone();
        reports.mark_changed();
        let mut refused = String::new();
        let mut spread = Pause::new(self.host.as_str(), (STATUS, STATUS));
        loop {
            // After a refusal the same one again, once the time is over.
            let is_refused = Some(&refused).filter(|refused| !refused.is_empty());
            let wait = is_refused.map_or(Duration::MAX, |_| REFUSED);
            if let Ok(Err(_)) = timeout(wait, reports.changed()).await {
                return etcd.other("the task that speaks to the agent ended");
            }
            sleep(spread.next()).await;
            let status = reports.borrow_and_update().clone();
            let Some(status) = status.filter(|_| !is_twin.load(Ordering::Relaxed)) else {
                continue;
            };
            let text = match serde_json::to_vec(&status) {
                Ok(text) => text,
                Err(error) => return etcd.other(error.to_string()),
            };
            match etcd.within(client.put(key.as_str(), text, None)).await {
                Ok(_) => refused.clear(),
                // A mirror is read-only, and a full etcd takes nothing: neither ends anything.
                Err(error @ (EtcdError::Full { .. } | EtcdError::Denied { .. })) => {
                    let error = error.to_string();
                    if refused != error {
                        tracing::warn!("host {}: the status is not written: {error}", self.host);
                        refused = error;
                    }
                }
                Err(error) => return error,
            }
        }
    }
}
