//! Changes that databases have to be told first: the caller waits for that, and the writer goes on
//! with others' requests meanwhile. And what only a database knows of a change.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::app::App;
use crate::agent::access::Requester;
use crate::agent::change::{Carry, ChangeOptions, Proposal};
use crate::agent::databases::{self, OrderBoard, PATIENCE};
use crate::agent::error::AgentError;
use crate::agent::sql::{self, ScriptOutcome};
use crate::agent::writer::Writer;
use crate::api::{Changed, DatabaseChange, Existing, SqlRequest};
use crate::model::Change;

/// How long a helper may take to say what a database would make of a change, and how many sessions
/// it has ended.
const ANSWER: Duration = Duration::from_secs(5);

static TICKETS: AtomicU64 = AtomicU64::new(1);

fn ticket() -> u64 {
    TICKETS.fetch_add(1, Ordering::Relaxed)
}

/// What a caller wants to be changed.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and most are changes"
)]
pub(super) enum Requested {
    /// A change.
    Change(Change),
    /// The state of a revision.
    Rollback {
        /// The revision.
        revision: u64,
    },
}

impl From<Requested> for Proposal {
    fn from(requested: Requested) -> Self {
        match requested {
            Requested::Change(change) => change.into(),
            Requested::Rollback { revision } => Self::Rollback { revision },
        }
    }
}

async fn run(
    app: &App,
    requested: Requested,
    options: ChangeOptions,
    requester: Requester,
) -> Result<Changed, AgentError> {
    let work = move |writer: &mut Writer| writer.change(requested, requester, options);
    app.supervisor.run(requester.caller, work).await
}

/// Makes a change, or only tries it. It is made also if the caller goes away; `held` is held until
/// then.
///
/// # Errors
/// It is refused or fails.
pub(super) async fn change(
    app: &App,
    requested: Requested,
    (options, requester): (ChangeOptions, Requester),
    held: impl Send + 'static,
) -> Result<Changed, AgentError> {
    let state = app.supervisor.snapshot().state.clone();
    if state.databases.is_empty() {
        return run(app, requested, options, requester).await;
    }
    let app = app.clone();
    let made = tokio::spawn(async move {
        let _held = held;
        let board = app.supervisor.databases().clone();
        let run = |options| run(&app, requested.clone(), options, requester);
        if options.strict && !options.dry_run {
            let tried = ChangeOptions {
                dry_run: true,
                ..options
            };
            // What is refused is said when it is made.
            if let Ok(mut tried) = run(tried).await {
                find_sessions(&board, &mut tried.databases).await;
                let denied = databases::sessions_as_clients(&state, &tried.databases);
                if let Some(denied) = denied {
                    let error = AgentError::DeniesClients(denied);
                    app.supervisor
                        .refused(requester, "a change with --strict", &error);
                    return Err(error);
                }
                let unknown = tried.databases.iter().find_map(|one| one.problem.as_ref());
                if let Some(why) = unknown.filter(|_| !options.defer) {
                    let error = AgentError::BadRequest(format!(
                        "which database sessions it would deny is not known: {why}; without \
                         --strict it is made all the same"
                    ));
                    app.supervisor
                        .refused(requester, "a change with --strict", &error);
                    return Err(error);
                }
            }
        }
        let (ticket, deadline) = (ticket(), Instant::now() + PATIENCE);
        loop {
            let carry = match Instant::now() < deadline {
                true => Carry::Ahead(ticket),
                false => Carry::Now,
            };
            match run(ChangeOptions { carry, ..options }).await {
                Err(AgentError::Carrying(needed)) => board.settle(&needed, deadline).await,
                Err(error) => {
                    leave(&app, requester, carry, ticket).await;
                    return Err(error);
                }
                Ok(mut changed) => {
                    leave(&app, requester, carry, ticket).await;
                    find_sessions(&board, &mut changed.databases).await;
                    return Ok(changed);
                }
            }
        }
    });
    made.await.map_err(|_| AgentError::Internal)?
}

/// Runs a script, or only tries it. It is run also if the caller goes away.
///
/// # Errors
/// The agent stops.
pub(super) async fn script(
    app: &App,
    request: SqlRequest,
    (options, requester): (ChangeOptions, Requester),
    held: impl Send + 'static,
) -> Result<ScriptOutcome, AgentError> {
    let caller = requester.caller;
    if app.supervisor.snapshot().state.databases.is_empty() {
        let work = move |writer: &mut Writer| Ok(sql::run(writer, &request, requester, options));
        return app.supervisor.run(caller, work).await;
    }
    let app = app.clone();
    let made = tokio::spawn(async move {
        let _held = held;
        let board = app.supervisor.databases().clone();
        let (ticket, deadline) = (ticket(), Instant::now() + PATIENCE);
        let mut options = options;
        if !options.dry_run {
            let tried = request.clone();
            let ahead = move |writer: &mut Writer| {
                sql::carry_ahead(writer, &tried, requester, options, ticket)
            };
            if let Err(AgentError::Carrying(needed)) = app.supervisor.run(caller, ahead).await {
                board.settle(&needed, deadline).await;
                if Instant::now() >= deadline {
                    options.carry = Carry::Now;
                }
            }
        }
        let work = move |writer: &mut Writer| {
            let outcome = sql::run(writer, &request, requester, options);
            writer.leave_ahead(ticket);
            Ok(outcome)
        };
        let mut outcome = app.supervisor.run(caller, work).await?;
        let results = outcome.response.results.iter_mut().rev();
        let mut changes = results.filter_map(|result| result.changed.as_mut());
        // An order that ends sessions takes over what the ones before it were to end.
        if let Some(last) = changes.find(|changed| !changed.databases.is_empty()) {
            find_sessions(&board, &mut last.databases).await;
        }
        Ok(outcome)
    });
    made.await.map_err(|_| AgentError::Internal)?
}

/// Nothing is kept up for a change that was made or refused without its ticket.
async fn leave(app: &App, requester: Requester, carry: Carry, ticket: u64) {
    if carry != Carry::Now {
        return;
    }
    let work = move |writer: &mut Writer| {
        writer.leave_ahead(ticket);
        Ok(())
    };
    // The agent stops, or what is left there expires.
    let _ = app.supervisor.run(requester.caller, work).await;
}

/// Waits for what helpers say of a change: which sessions would be rejected, or how many were
/// ended.
async fn find_sessions(board: &OrderBoard, changes: &mut [DatabaseChange]) {
    let deadline = Instant::now() + ANSWER;
    for change in changes {
        let Some(number) = change.asked else {
            continue;
        };
        match change.is_tried {
            true => match board.answered(&change.database, number, deadline).await {
                Some(answer) => {
                    change.sessions = answer.problem.is_none().then_some(answer.sessions);
                    change.problem = answer.problem;
                }
                None => {
                    change.problem = Some(format!(
                        "the helper did not say within {} s what the database makes of it",
                        ANSWER.as_secs()
                    ));
                }
            },
            false if change.existing == Existing::Cut => {
                change.ended = board.ended(&change.database, number, deadline).await;
            }
            false => {}
        }
    }
}
