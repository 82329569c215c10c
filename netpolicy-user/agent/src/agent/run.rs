//! The agent's run, from its locks to its exit: starts the writer, the attacher, the
//! server and the background tasks, and waits for the signal to stop.

mod ends;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use self::ends::{end_rules, expire_bans, roll_back_unconfirmed};
use super::connected::{Connected, HostSockets, keep_looking};
use super::events::{EventHub, denied, stream};
use super::http::app::App;
use super::http::quota::Quota;
use super::http::routes;
use super::http::serve::{self, Connections};
use super::http::{socket, standing, starting};
use super::kernel::{EventSource, Inspection, interfaces};
use super::memory;
use super::notices::{FaultWatch, noticed};
use super::observed::{self, Observations};
use super::rates::keep_counting;
use super::reload::{ReadConfig, Reloader, Running};
use super::snapshot::Snapshot;
use super::upkeep::watch as store_watch;
use super::writer::Supervisor;
use super::{next_boot, service_manager, start};
use crate::config::{Config, DETACHED_MARKER};

/// Time between two looks at whether the kernel is as it should be; links are looked at
/// by a thread of their own. A look that finds nothing takes some dozens of system calls.
const RECONCILE_EVERY: Duration = Duration::from_secs(5);

/// What answers that are under way get, once the last change is done.
const GRACE: Duration = Duration::from_secs(2);

/// Events that may wait for their names.
const RAW_EVENTS: usize = 4096;

/// Time between two looks at faults, however often something changes.
const NOTICE_PAUSE: Duration = Duration::from_secs(1);

/// Time between two warnings that nothing is filtered.
const WARN_EVERY: Duration = Duration::from_secs(3600);

/// Runs the agent until SIGTERM or SIGINT; SIGHUP lets it `read` its configuration again.
/// Enforcement stays in place after it.
///
/// # Errors
/// A [`start::StartError`] if it cannot start; otherwise a fault in netpolicy.
pub async fn run(config: Config, read: ReadConfig) -> anyhow::Result<()> {
    memory::hold_little();
    let mut signals = Signals::new()?;
    // From here on SIGHUP does not end the agent; one during the start is answered after it.
    let hangups = signal(SignalKind::hangup())?;
    let started = Timestamp::now();
    let descriptors = serve::raise_descriptor_limit();
    let config = Arc::new(config);
    let (sources, new_sources) = mpsc::unbounded_channel();

    // Locks, socket, store, kernel, in this order: an agent that is not to run finds
    // out before it touches what the other one works on.
    let place = start::claim(&config)?;
    let boot = config.clone();
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let writer =
        tokio::task::spawn_blocking(move || start::start(&boot, sources, Some(&arguments)));
    let start::Exclusive {
        socket,
        locks: _locks,
    } = place;
    let (listener, socket_file) = socket.into_parts();
    let (stop, stopping) = watch::channel(false);
    let (serving, served) = watch::channel(None);
    let mut server = tokio::spawn(serve::serve(
        listener,
        starting::router(served),
        Connections::within(descriptors),
        stopping.clone(),
    ));
    let (mut writer, links) = writer.await??;
    let observations = Observations::new(started);
    writer.set_seen(Arc::new(observations.clone()));

    let attacher = writer.attacher();
    let (supervisor, mut writer_ended) = Supervisor::start(writer)?;
    let reconciler = supervisor.clone();
    let running = Running::channel(Config::clone(&config));
    let reloader = Reloader {
        read,
        attacher: attacher.clone(),
        supervisor: supervisor.clone(),
        running: running.clone(),
    };
    let mut attacher_ended = interfaces::start(attacher, config.bpffs_dir.clone(), move || {
        reconciler.reconcile();
    })?;
    let hub = EventHub::default();
    let app = App {
        supervisor: supervisor.clone(),
        inspector: Arc::new(Inspection {
            bpffs_dir: config.bpffs_dir.clone(),
            links: links.clone(),
        }),
        kill_switch: Arc::new(links),
        marker: config.state_dir.join(DETACHED_MARKER),
        running: running.subscribe(),
        connected: Arc::new(Connected::new(Arc::new(HostSockets))),
        rates: Arc::default(),
        hub: hub.clone(),
        observations,
        linted: Arc::default(),
        stopping,
        started,
        bodies: Quota::new(standing::BODIES),
    };
    let keeper = remember(&config, &app)?;
    let mut tasks = background(&config, &app, new_sources, keeper.reports)?;
    serving.send_replace(Some(routes::router(app)));

    let snapshot = supervisor.snapshot();
    tracing::info!(
        socket = %config.socket.display(),
        revision = snapshot.revision,
        generation = snapshot.generation,
        entries = snapshot.entries,
        "ready; {}",
        snapshot.filtering()
    );
    service_manager::ready(&service_manager::line(&snapshot, &running.borrow(), &[]));
    drop(snapshot);
    // What it took to read and compile millions of rules.
    tokio::task::spawn_blocking(memory::give_back);
    tasks.spawn(reload_on_hangup(hangups, reloader));

    tokio::select! {
        name = signals.next() => tracing::info!(signal = name, "stopping"),
        _ = &mut writer_ended => {
            anyhow::bail!("the writer's thread ended, which is a fault in netpolicy; what is in force stays in force");
        }
        _ = &mut attacher_ended => {
            anyhow::bail!("the thread that attaches ended, which is a fault in netpolicy; what is in force stays in force");
        }
        ended = &mut server => {
            anyhow::bail!("the API's server ended, which is a fault in netpolicy ({ended:?}); what is in force stays in force");
        }
    }
    service_manager::stopping(&remains(&supervisor.snapshot()));
    stop.send_replace(true);
    tokio::select! {
        () = async {
            supervisor.stop().await;
            // A caller that is slower than that loses the connection.
            let _ = timeout(GRACE, &mut server).await;
        } => {}
        name = signals.next() => tracing::warn!(signal = name, "again: stopping at once"),
    }
    tasks.shutdown().await;
    // With the tasks went who reports: it writes down what there is, and ends.
    let _ = timeout(GRACE, tokio::task::spawn_blocking(|| keeper.thread.join())).await;
    drop(socket_file);
    let snapshot = supervisor.snapshot();
    let last_bans = next_boot::write_last_bans(config.state_dir.clone(), snapshot.clone());
    let _ = timeout(GRACE, last_bans).await;
    tracing::info!(
        revision = snapshot.revision,
        generation = snapshot.generation,
        "stopped; {}",
        remains(&snapshot)
    );
    Ok(())
}

/// Starts the memory of sources.
fn remember(config: &Config, app: &App) -> std::io::Result<observed::Keeper> {
    let running = app.running.clone();
    observed::start(
        config.state_dir.clone(),
        move || running.borrow().config.memory.clone(),
        app.supervisor.snapshots(),
        app.observations.clone(),
    )
}

/// The background tasks.
fn background(
    config: &Config,
    app: &App,
    new_sources: mpsc::UnboundedReceiver<Box<dyn EventSource>>,
    memory: SyncSender<stream::Reported>,
) -> anyhow::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();

    let (raw, named) = mpsc::channel(RAW_EVENTS);
    let (hub, snapshots) = (app.hub.clone(), app.supervisor.snapshots());
    std::thread::Builder::new()
        .name("events".to_owned())
        .spawn(move || denied::name_events(named, &snapshots, &hub))?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let running = app.running.clone();
    let reporting = move || {
        let config = &running.borrow().config;
        stream::Reporting {
            listeners: config.events_per_second,
            memory: config.memory.reported_per_second(),
            resets_per_second: config.resets_per_second.into(),
        }
    };
    let outlets = stream::Outlets {
        hub: app.hub.clone(),
        raw,
        memory,
    };
    tasks.spawn(stream::pump(new_sources, reporting, cpus, outlets));
    tasks.spawn(stream::count_lost(app.inspector.clone(), app.hub.clone()));

    let supervisor = app.supervisor.clone();
    let mut running = app.running.clone();
    tasks.spawn(async move {
        loop {
            supervisor.reconcile();
            let every = running.borrow_and_update().config.verify_interval;
            // A shorter interval counts at once.
            if let Ok(Err(_)) = timeout(RECONCILE_EVERY.min(every), running.changed()).await {
                return;
            }
        }
    });
    let supervisor = app.supervisor.clone();
    let state_dir = config.state_dir.clone();
    tasks.spawn(async move {
        if let Err(error) = store_watch::watch(&state_dir, || supervisor.reconcile()).await {
            tracing::warn!(%error, "no notifications of the store's files: they are checked every 5 s");
        }
    });

    let snapshots = app.supervisor.snapshots();
    tasks.spawn(next_boot::keep(config.clone(), snapshots));
    let (state_dir, snapshots) = (config.state_dir.clone(), app.supervisor.snapshots());
    tasks.spawn(next_boot::keep_bans(state_dir, snapshots));
    tasks.spawn(keep_looking(
        app.connected.clone(),
        app.supervisor.snapshots(),
    ));
    tasks.spawn(keep_counting(app.rates.clone(), app.inspector.clone()));
    tasks.spawn(tell_service_manager(app.clone()));
    tasks.spawn(notice_faults(app.clone()));
    tasks.spawn(warn_while_detached(app.supervisor.snapshots()));
    let supervisor = app.supervisor.clone();
    tasks.spawn(roll_back_unconfirmed(supervisor));
    tasks.spawn(expire_bans(app.supervisor.clone()));
    tasks.spawn(end_rules(app.supervisor.clone()));
    let (socket, fleet) = (config.socket.clone(), config.fleet_file.clone());
    tasks.spawn(open_socket(socket, fleet, app.supervisor.snapshots()));
    if let Some(every) = service_manager::watchdog_interval() {
        tasks.spawn(async move {
            let mut ticks = interval(every);
            loop {
                ticks.tick().await;
                service_manager::alive();
            }
        });
    }
    Ok(tasks)
}

/// Repeats in the log that nothing is filtered, as long as the detach marker is there.
async fn warn_while_detached(snapshots: watch::Receiver<Arc<Snapshot>>) {
    let mut ticks = interval(WARN_EVERY);
    // The first tick comes at once, and the start has warned already.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let detached = snapshots.borrow().detached.clone();
        if let Some(detached) = detached {
            tracing::warn!("{}", detached.in_words());
        }
    }
}

/// Reloads the configuration whenever SIGHUP asks for it, and tells the service manager.
async fn reload_on_hangup(mut hangups: Signal, reloader: Reloader) {
    while hangups.recv().await.is_some() {
        service_manager::reloading();
        reloader.reload().await;
        service_manager::reloaded();
    }
}

/// Keeps the service manager's status line what it should be. Addresses come and go without
/// the writer, so they are looked at now and then.
async fn tell_service_manager(app: App) {
    let mut snapshots = app.supervisor.snapshots();
    let mut configured = app.running.clone();
    let mut told = String::new();
    loop {
        let running = configured.borrow_and_update().clone();
        let snapshot = snapshots.borrow_and_update().clone();
        let (asked, known) = (app.clone(), snapshot.clone());
        let open = tokio::task::spawn_blocking(move || routes::unfiltered_others(&asked, &known));
        let line = service_manager::line(&snapshot, &running, &open.await.unwrap_or_default());
        if line != told {
            service_manager::status(&line);
            told = line;
        }
        let changed = async {
            tokio::select! {
                changed = snapshots.changed() => changed,
                changed = configured.changed() => changed,
            }
        };
        if let Ok(Err(_)) = timeout(RECONCILE_EVERY, changed).await {
            return;
        }
    }
}

/// Notices faults that begin and end. Some are seen only by looking.
async fn notice_faults(app: App) {
    let notices = app.supervisor.notices().clone();
    let mut snapshots = app.supervisor.snapshots();
    let mut watch = FaultWatch::default();
    loop {
        snapshots.mark_unchanged();
        // Looking costs some system calls, and only hooks want to know.
        let has_hooks = !app.running.borrow().config.notify.is_empty();
        let asked = app.clone();
        let look = move || match has_hooks {
            true => routes::present_faults(&asked),
            false => (Vec::new(), None),
        };
        let found = tokio::task::spawn_blocking(look).await;
        let (faults, detached) = found.unwrap_or_default();
        let faults = noticed(faults, detached.as_ref());
        for notice in watch.look(&faults) {
            notices.send(notice);
        }
        if let Ok(Err(_)) = timeout(RECONCILE_EVERY, snapshots.changed()).await {
            return;
        }
        tokio::time::sleep(NOTICE_PAUSE).await;
    }
}

/// Opens the socket to others than root as long as something is granted to them, or feeds are
/// refreshed or a fleet is followed by a user of their own. `fleet`: the file that is there then.
async fn open_socket(
    socket: PathBuf,
    fleet: PathBuf,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
) {
    let mut was_open = false;
    loop {
        let follows = tokio::fs::try_exists(&fleet).await.unwrap_or(false);
        let open = follows || {
            let snapshot = snapshots.borrow_and_update();
            let policies = snapshot.state.policies.iter().map(|policy| &policy.owner);
            let lists = snapshot.state.lists.iter().map(|list| &list.owner);
            let mut owners = policies.chain(lists);
            let has_feeds = snapshot.state.feeds().next().is_some();
            has_feeds || !snapshot.grants.is_empty() || owners.any(|owner| owner != "root")
        };
        if open != was_open {
            match socket::open_to_all(&socket, open) {
                Ok(()) => was_open = open,
                Err(error) => {
                    tracing::error!(socket = %socket.display(), %error, "the socket's mode cannot be set");
                }
            }
        }
        if let Ok(Err(_)) = timeout(RECONCILE_EVERY, snapshots.changed()).await {
            return;
        }
    }
}

/// What goes on without the agent.
fn remains(snapshot: &Snapshot) -> String {
    let filtering = snapshot.filtering();
    match snapshot.detached {
        Some(_) => filtering,
        None => format!("what is in force stays in place; {filtering}"),
    }
}

/// The signals that end the agent.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
