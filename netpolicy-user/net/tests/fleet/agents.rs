//! Agents without a kernel: they take objects whose names they compute, judge evidence, keep
//! counters, and refuse a revision of which anything is missing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use netpolicy_fleet::api::{
    FleetView, MissingObjects, ObjectNames, ObjectsTaken, ProbeRequest, Probed, ProbedVerdict,
    PutRevision,
};
use netpolicy_fleet::{
    FleetName, HostId, Keyring, ObjectId, ObjectKind, Selection, references, unframe,
};
use serde_json::json;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;

/// What all agents of a test share: bodies, which are the same for all.
#[derive(Default)]
struct Shared {
    references: Mutex<HashMap<ObjectId, Vec<(ObjectKind, ObjectId)>>>,
}

/// An agent.
#[derive(Default)]
struct Agent {
    fleet: Option<FleetName>,
    host: Option<HostId>,
    keys: Arc<Keyring>,
    objects: BTreeSet<ObjectId>,
    view: FleetView,
    before: FleetView,
    /// Whether the program in force denies what it is asked about.
    denies: bool,
    /// Clients that each change denies.
    denied_clients: usize,
    /// When each revision was handed over, and confirmed.
    handed: BTreeMap<u64, Instant>,
    confirmed: BTreeMap<u64, Instant>,
    refusals: Vec<String>,
    /// How many objects were taken.
    taken: u64,
}

/// Agents on sockets in a directory.
pub(crate) struct Agents {
    agents: Vec<Arc<Mutex<Agent>>>,
    _runtime: Runtime,
}

impl Agents {
    /// Starts one for each host, all with these keys.
    pub(crate) fn start(dir: &Path, fleet: &str, hosts: &[String], keys: Keyring) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let shared = Arc::new(Shared::default());
        let keys = Arc::new(keys);
        let agents = hosts.iter().map(|host| {
            let agent = Arc::new(Mutex::new(Agent {
                fleet: Some(fleet.parse().unwrap()),
                host: Some(host.parse().unwrap()),
                keys: keys.clone(),
                view: FleetView {
                    fleet: Some(fleet.to_owned()),
                    host: Some(host.clone()),
                    confirmed: true,
                    ..FleetView::default()
                },
                ..Agent::default()
            }));
            let path = dir.join(format!("{host}.sock"));
            let listener = {
                let _guard = runtime.enter();
                UnixListener::bind(&path).unwrap()
            };
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
            std::fs::set_permissions(&path, open).unwrap();
            runtime.spawn(serve(listener, agent.clone(), shared.clone()));
            agent
        });
        Self {
            agents: agents.collect(),
            _runtime: runtime,
        }
    }

    fn agent(&self, index: usize) -> MutexGuard<'_, Agent> {
        lock(&self.agents[index])
    }

    /// The revision that an agent has in force.
    pub(crate) fn at(&self, index: usize) -> Option<u64> {
        self.agent(index).view.at.as_ref().map(|pin| pin.revision)
    }

    /// The state that an agent has in force.
    pub(crate) fn root(&self, index: usize) -> Option<String> {
        self.agent(index)
            .view
            .at
            .as_ref()
            .map(|pin| pin.root.clone())
    }

    /// Whether that is confirmed.
    pub(crate) fn is_confirmed(&self, index: usize) -> bool {
        self.agent(index).view.confirmed
    }

    /// When each agent was handed a revision.
    pub(crate) fn handed(&self, revision: u64) -> Vec<Option<Instant>> {
        let agents = self.agents.iter();
        agents
            .map(|agent| lock(agent).handed.get(&revision).copied())
            .collect()
    }

    /// When each agent's revision was confirmed.
    pub(crate) fn confirmed(&self, revision: u64) -> Vec<Option<Instant>> {
        let agents = self.agents.iter();
        agents
            .map(|agent| lock(agent).confirmed.get(&revision).copied())
            .collect()
    }

    /// What an agent refused.
    pub(crate) fn refusals(&self, index: usize) -> Vec<String> {
        self.agent(index).refusals.clone()
    }

    /// How many objects an agent has taken.
    pub(crate) fn taken(&self, index: usize) -> u64 {
        self.agent(index).taken
    }

    /// Lets the program in force of an agent deny all that it is asked about.
    pub(crate) fn deny(&self, index: usize, denies: bool) {
        self.agent(index).denies = denies;
    }

    /// Lets each change deny so many clients of an agent.
    pub(crate) fn deny_clients(&self, index: usize, clients: usize) {
        self.agent(index).denied_clients = clients;
    }

    /// What an agent does when the time for a confirmation is over.
    pub(crate) fn roll_back(&self, index: usize) {
        let mut agent = self.agent(index);
        if !agent.view.confirmed {
            let counters = agent.view.counters.clone();
            agent.view = agent.before.clone();
            agent.view.counters = counters;
        }
    }

    /// Removes objects from an agent, as it does with those of no revision.
    pub(crate) fn forget_objects(&self, index: usize, keep: usize) {
        let mut agent = self.agent(index);
        let kept = agent.objects.iter().copied().take(keep).collect();
        agent.objects = kept;
    }
}

fn lock(agent: &Mutex<Agent>) -> MutexGuard<'_, Agent> {
    agent.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: UnixListener, agent: Arc<Mutex<Agent>>, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (agent, shared) = (agent.clone(), shared.clone());
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let (agent, shared) = (agent.clone(), shared.clone());
                async move { answer(request, &agent, &shared).await }
            });
            // Who asks may be gone: a test ends so.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    agent: &Mutex<Agent>,
    shared: &Shared,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await;
    let body = body
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let answered = match path.as_str() {
        "/v1/fleet" => Ok(json!(lock(agent).view)),
        "/v1/fleet/objects/missing" => missing(agent, &body),
        "/v1/fleet/objects" => take(agent, shared, &body),
        "/v1/fleet/revision" => put(agent, shared, &body),
        "/v1/fleet/probe" => probe(agent, &body),
        "/v1/confirm" => confirm(agent),
        other => Err(("not-found", format!("there is no {other}"))),
    };
    let (status, value) = match answered {
        Ok(value) => (StatusCode::OK, value),
        Err((code, detail)) => {
            lock(agent).refusals.push(detail.clone());
            let problem = json!({"code": code, "detail": detail, "errors": [detail]});
            (StatusCode::CONFLICT, problem)
        }
    };
    let mut answer = Response::new(Full::new(Bytes::from(value.to_string())));
    *answer.status_mut() = status;
    Ok(answer)
}

type Answered = Result<serde_json::Value, (&'static str, String)>;

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, (&'static str, String)> {
    serde_json::from_slice(body).map_err(|error| ("invalid", error.to_string()))
}

fn missing(agent: &Mutex<Agent>, body: &[u8]) -> Answered {
    let names: ObjectNames = read(body)?;
    let agent = lock(agent);
    let lacks = |name: &String| {
        let id = ObjectId::from_hex(name);
        id.is_none_or(|id| !agent.objects.contains(&id))
    };
    let missing = names.digests.into_iter().filter(lacks).collect();
    Ok(json!(MissingObjects { missing }))
}

fn take(agent: &Mutex<Agent>, shared: &Shared, body: &[u8]) -> Answered {
    let found = unframe(body, 65_536).map_err(|error| ("invalid", error.to_string()))?;
    let taken = found.len() as u64;
    for (kind, body) in found {
        let id = kind.id(body);
        let of = references(kind, body).map_err(|why| ("invalid", why))?;
        let mut all = shared
            .references
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.entry(id).or_insert(of);
        drop(all);
        lock(agent).objects.insert(id);
    }
    lock(agent).taken += taken;
    Ok(json!(ObjectsTaken { taken }))
}

fn put(agent: &Mutex<Agent>, shared: &Shared, body: &[u8]) -> Answered {
    let PutRevision { evidence, .. } = read(body)?;
    let mut agent = lock(agent);
    let (fleet, host) = (agent.fleet.clone().unwrap(), agent.host.clone().unwrap());
    let judged = evidence
        .judge(&fleet, &host, &agent.keys, &agent.view.counters)
        .map_err(|error| ("fleet", error.to_string()))?;
    let Some(revision) = judged.revision else {
        agent.view.counters = judged.counters;
        return Ok(json!({}));
    };
    let Selection::Take(pin) = judged.selection else {
        return Err(("fleet", "there is nothing to take".to_owned()));
    };
    // All of it, or nothing of it.
    let all = shared
        .references
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let mut open = vec![ObjectId::from_hex(&revision.root).unwrap()];
    while let Some(id) = open.pop() {
        if !agent.objects.contains(&id) {
            return Err(("incomplete", format!("object {id} is missing")));
        }
        open.extend(all[&id].iter().map(|(_, id)| *id));
    }
    drop(all);
    let group = judged.group.group.to_string();
    if agent.view.at.as_ref() != Some(&pin) {
        agent.before = agent.view.clone();
        agent.view.confirmed = false;
        agent.handed.insert(pin.revision, Instant::now());
    }
    agent.view.at = Some(pin);
    agent.view.group = Some(group);
    agent.view.counters = judged.counters;
    let denied: Vec<_> = (0..agent.denied_clients)
        .map(|i| json!({"client": i}))
        .collect();
    Ok(json!({"revision": 1, "clients": {"denied": denied}}))
}

fn probe(agent: &Mutex<Agent>, body: &[u8]) -> Answered {
    let asked: ProbeRequest = read(body)?;
    let admitted = !lock(agent).denies;
    let verdicts = asked.must_admit.into_iter().map(|attempt| ProbedVerdict {
        attempt,
        admitted,
        reason: if admitted { "allowed" } else { "not_allowed" }.to_owned(),
    });
    let verdicts = verdicts.collect();
    Ok(json!(Probed { verdicts }))
}

fn confirm(agent: &Mutex<Agent>) -> Answered {
    let mut agent = lock(agent);
    if agent.view.confirmed {
        return Err(("not-found", "no change waits for a confirmation".to_owned()));
    }
    agent.view.confirmed = true;
    let revision = agent.view.at.as_ref().map_or(0, |pin| pin.revision);
    agent.confirmed.insert(revision, Instant::now());
    Ok(json!({}))
}
