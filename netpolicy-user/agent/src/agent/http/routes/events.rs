//! `/v1/events`: denied attempts as they happen, a JSON object a line.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use netpolicy_common::{Event, Reason};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

#[cfg(feature = "openapi")]
use super::document::{ENFORCEMENT, ProblemDetails, UNKNOWN_NAME};
use super::named;
use crate::agent::error::AgentError;
use crate::agent::events::denied::{self, RuleNames};
use crate::agent::http::app::App;
use crate::agent::http::extract::Params;
use crate::agent::writer::aside;
use crate::api::{Cause, DeniedEvent, EventLine, EventsQuery};
use crate::clock::since_boot;
use crate::model::parse_source;

/// How far apart the times of one event may be that was named twice, and how late its second
/// naming may come.
const SAME: SignedDuration = SignedDuration::from_millis(50);
const LATE: SignedDuration = SignedDuration::from_secs(5);

/// How long attempts are counted that may be of the policy, before the listener learns how many.
const UNNAMED: Duration = Duration::from_secs(1);

/// Denied attempts from now on, first those of late if `since` asks for them; ends when the agent
/// stops.
#[cfg_attr(feature = "openapi", utoipa::path(get, path = "/v1/events", operation_id = "streamEvents", tag = ENFORCEMENT,
    params(EventsQuery),
    responses(
        (status = OK, body = EventLine, content_type = "application/x-ndjson",
            description = "A stream without end of such objects, one a line (newline-delimited JSON)."),
        (status = NOT_FOUND, body = ProblemDetails, description = UNKNOWN_NAME),
    )
))]
pub(super) async fn events(
    State(app): State<App>,
    Params(mut query): Params<EventsQuery>,
) -> Result<Response, AgentError> {
    query.service = named::scope(&app, query.service)?;
    query.policy = named::policy(&app, query.policy)?;
    let filter = EventFilter::of(&query)?;
    // First: what happens from here on is not missed.
    let lines = app.hub.subscribe();
    let past = match query.since {
        Some(since) => {
            let (app, filter) = (app.clone(), filter.clone());
            aside(move || past(&app, since, &filter)).await?
        }
        None => VecDeque::new(),
    };
    let now = Timestamp::now();
    let known = past.iter().filter_map(|line| match line {
        EventLine::Denied(denied) if now.duration_since(denied.time) < LATE => Some(denied.clone()),
        _ => None,
    });
    let listener = EventListener {
        known: known.collect(),
        until: now.checked_add(LATE).unwrap_or(Timestamp::MAX),
        past,
        lines: (!query.past_only).then_some(lines),
        unnamed: 0,
        due: Instant::now(),
        stopping: app.stopping,
        filter,
    };
    let lines = stream::unfold(listener, |mut listener| async move {
        let line = listener.next().await?;
        Some((Ok::<_, Infallible>(line), listener))
    });
    Ok((
        [(CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(lines),
    )
        .into_response())
}

/// Which denied attempts are wanted.
#[derive(Clone)]
struct EventFilter {
    query: EventsQuery,
    source: Option<IpNet>,
}

impl EventFilter {
    fn of(query: &EventsQuery) -> Result<Self, AgentError> {
        let source = query.source.as_deref().map(parse_source).transpose();
        if query.reason == Some(Cause::Unknown) {
            return Err(AgentError::BadRequest(
                "unknown reason; expected one of denied attempts, as in blocked".to_owned(),
            ));
        }
        Ok(Self {
            query: query.clone(),
            source: source.map_err(|error| AgentError::BadRequest(error.to_string()))?,
        })
    }

    /// Whether it may be one of the policy's that is wanted: a rule denied it, and there was no
    /// time to find out which.
    fn may_take(&self, denied: &DeniedEvent) -> bool {
        let by_rule = [Reason::Blocked, Reason::ObservedBlocked];
        self.query.policy.is_some()
            && denied.policies.is_empty()
            && by_rule
                .into_iter()
                .any(|reason| denied.reason == reason.into())
            && self.takes_but_for_policy(denied)
    }

    fn takes(&self, denied: &DeniedEvent) -> bool {
        let wanted = self.query.policy.as_deref();
        let mut policies = denied.policies.iter();
        let is_of = wanted.is_none_or(|wanted| policies.any(|of| of.eq_ignore_ascii_case(wanted)));
        is_of && self.takes_but_for_policy(denied)
    }

    fn takes_but_for_policy(&self, denied: &DeniedEvent) -> bool {
        let Self { query, source } = self;
        let is = |wanted: &Option<String>, found: &str| {
            wanted
                .as_deref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(found))
        };
        source.is_none_or(|net| net.contains(&denied.source))
            && is(&query.service, &denied.scope)
            && query.reason.is_none_or(|reason| reason == denied.reason)
    }
}

/// What happened since then, as far as it is remembered.
fn past(app: &App, since: Timestamp, filter: &EventFilter) -> VecDeque<EventLine> {
    let snapshot = app.supervisor.snapshot();
    let ago = Timestamp::now().duration_since(since);
    let ago = Duration::try_from(ago).unwrap_or_default();
    let from = since_boot().saturating_sub(ago).as_nanos();
    let from = u64::try_from(from).unwrap_or(u64::MAX);
    let (kept_since, events) = {
        let recent = app.hub.recent();
        (recent.since_ns(), recent.from(from))
    };
    let mut lines = VecDeque::new();
    if kept_since > from {
        lines.push_back(EventLine::Known {
            since: denied::wall_time(kept_since),
        });
    }
    // Before their rules are looked for.
    let is_wanted = |event: &Event| {
        let source = denied::source(event);
        let within = |net: IpNet| source.is_some_and(|source| net.contains(&source));
        filter.source.is_none_or(within)
    };
    let wanted: Vec<Event> = events.into_iter().filter(is_wanted).collect();
    let mut rules = RuleNames::of(&snapshot, &wanted);
    for event in wanted {
        if let Some(denied) = denied::denied(&event, &snapshot, &mut rules)
            && filter.takes(&denied)
        {
            lines.push_back(EventLine::Denied(denied));
        }
    }
    lines
}

/// One who listens.
struct EventListener {
    /// What is told first.
    past: VecDeque<EventLine>,
    /// The same, until what was on its way to the listeners then must have come.
    known: Vec<DeniedEvent>,
    until: Timestamp,
    /// `None`: only the past is wanted.
    lines: Option<Receiver<EventLine>>,
    /// Attempts that may be of the policy that is wanted, and when that is told.
    unnamed: u64,
    due: Instant,
    stopping: watch::Receiver<bool>,
    filter: EventFilter,
}

impl EventListener {
    /// The next line; `None`: the stream ends.
    async fn next(&mut self) -> Option<Bytes> {
        let line = match self.past.pop_front() {
            Some(line) => line,
            None => self.live().await?,
        };
        let mut text = serde_json::to_vec(&line).ok()?;
        text.push(b'\n');
        Some(text.into())
    }

    /// Whether it is one of the past's.
    fn was_told(&mut self, denied: &DeniedEvent) -> bool {
        if !self.known.is_empty() && Timestamp::now() > self.until {
            self.known.clear();
        }
        let at = self.known.iter().position(|one| same(one, denied));
        at.map(|at| self.known.swap_remove(at)).is_some()
    }

    async fn live(&mut self) -> Option<EventLine> {
        loop {
            let lines = self.lines.as_mut()?;
            let received = tokio::select! {
                received = lines.recv() => received,
                () = sleep_until(self.due), if self.unnamed > 0 => {
                    let count = std::mem::take(&mut self.unnamed);
                    return Some(EventLine::Lost { count });
                }
                // An error means that the agent is gone altogether.
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
            };
            match received {
                Ok(EventLine::Denied(denied)) => {
                    if self.was_told(&denied) {
                        continue;
                    }
                    if self.filter.may_take(&denied) {
                        if self.unnamed == 0 {
                            self.due = Instant::now() + UNNAMED;
                        }
                        self.unnamed += 1;
                        continue;
                    }
                    if self.filter.takes(&denied) {
                        return Some(EventLine::Denied(denied));
                    }
                }
                Ok(line) => return Some(line),
                // The listener is too slow.
                Err(RecvError::Lagged(count)) => return Some(EventLine::Lost { count }),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

/// Whether both are one event, named twice.
fn same(one: &DeniedEvent, other: &DeniedEvent) -> bool {
    let ends = |e: &DeniedEvent| (e.source, e.source_port, e.destination, e.destination_port);
    ends(one) == ends(other) && one.time.duration_since(other.time).abs() < SAME
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::PacketAction;

    fn event(source: &str, policies: &[&str]) -> DeniedEvent {
        DeniedEvent {
            time: Timestamp::UNIX_EPOCH,
            source: source.parse().unwrap(),
            source_port: 40_000,
            destination: "192.0.2.10".parse().unwrap(),
            destination_port: 5432,
            interface: "eth0".into(),
            scope: "postgres".into(),
            reason: Reason::Blocked.into(),
            action: PacketAction::Drop,
            generation: 1,
            rule: None,
            policies: policies.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn takes(query: &EventsQuery) -> bool {
        let denied = event("203.0.113.9", &["office", "abuse"]);
        EventFilter::of(query).unwrap().takes(&denied)
    }

    #[test]
    fn filter_takes_what_meets_all_its_parts() {
        let text = |text: &str| Some(text.to_owned());
        let all = EventsQuery {
            source: text("203.0.113.0/24"),
            service: text("Postgres"),
            policy: text("abuse"),
            reason: Some(Reason::Blocked.into()),
            ..EventsQuery::default()
        };
        assert!(takes(&all));
        assert!(takes(&EventsQuery::default()));
        for other in [
            EventsQuery {
                source: text("203.0.114.0/24"),
                ..all.clone()
            },
            EventsQuery {
                service: text("host"),
                ..all.clone()
            },
            EventsQuery {
                policy: text("branch"),
                ..all.clone()
            },
            EventsQuery {
                reason: Some(Reason::NotAllowed.into()),
                ..all.clone()
            },
        ] {
            assert!(!takes(&other), "{other:?}");
        }
        let query = EventsQuery {
            source: text("203.0.113.900"),
            ..all
        };
        assert!(EventFilter::of(&query).is_err());
    }

    #[test]
    fn attempt_without_its_policy_is_counted_where_one_is_wanted() {
        let may_take = |policy: Option<&str>, policies: &[&str]| {
            let query = EventsQuery {
                policy: policy.map(ToOwned::to_owned),
                ..EventsQuery::default()
            };
            let filter = EventFilter::of(&query).unwrap();
            filter.may_take(&event("203.0.113.9", policies))
        };
        assert!(may_take(Some("office"), &[]));
        assert!(!may_take(Some("office"), &["branch"]));
        assert!(!may_take(None, &[]));
    }

    #[test]
    fn event_that_is_named_twice_is_one() {
        let one = event("203.0.113.9", &[]);
        let later = |ms| DeniedEvent {
            time: one.time + SignedDuration::from_millis(ms),
            ..one.clone()
        };
        assert!(same(&one, &later(3)));
        assert!(!same(&one, &later(1000)), "a repeated SYN");
        assert!(!same(&one, &event("203.0.113.10", &[])));
    }
}
