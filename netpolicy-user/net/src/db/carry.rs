//! One order: written, reloaded, read back, and put back where the server reads anything else.

use netpolicy_policy::database::read_lines;
use netpolicy_policy::model::DatabaseKind;

use super::either::Either;
use super::order::{Order, Sessions};
use super::place::{Place, PlaceError};
use super::server::ServerError;

/// What came of it.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) version: String,
    pub(super) place: Place,
    /// Whether the file was another than it should have been.
    pub(super) wrote: bool,
    /// Sessions that were ended.
    pub(super) ended: u64,
    /// What does not keep the lines from being in force.
    pub(super) warning: Option<String>,
}

/// Why it is not in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum CarryError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("line {0} of the agent's order does not reject, and was not written")]
    Line(usize),
    #[error("{why}; the file before could not be put back: {source}")]
    NotPutBack {
        why: Box<CarryError>,
        source: Box<CarryError>,
    },
}

impl CarryError {
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Server(error) if error.is_unreachable())
    }
}

/// Carries an order in. `is_new`: the server reads its files again whatever they hold, since an
/// earlier process may have ended between writing and reloading; roles are checked, and sessions
/// ended.
///
/// # Errors
/// What was there stays in force.
pub(super) fn carry(order: &Order, is_new: bool) -> Result<Carried, CarryError> {
    let text: String = order.lines.iter().map(|line| format!("{line}\n")).collect();
    let lines = read_lines(&text).map_err(CarryError::Line)?;
    let mut server = Either::connect(order)?;
    let mut warning = match is_new {
        true => server.check(order)?,
        false => None,
    };
    server.must_read(&lines)?;
    let place = server.place(order)?;
    let before = place.read()?;
    let composed = place.composed(before.as_deref(), &server.written(&order.lines))?;
    let is_there = before.as_ref() == Some(&composed.bytes);
    // A server without a file of netpolicy's needs none that says nothing.
    let wrote = !is_there && (before.is_some() || !lines.is_empty());
    let checked = (|| -> Result<(), CarryError> {
        if wrote {
            place.write(Some(&composed.bytes))?;
        }
        if is_new || wrote || !server.has_loaded(place.changed()?)? {
            server.reload()?;
        }
        Ok(server.verify(&place, &composed, &lines)?)
    })();
    if let Err(why) = checked {
        // Also an error of the write itself may come after the rename.
        if !wrote || place.read().is_ok_and(|now| now == before) {
            return Err(why);
        }
        let back = place.write(before.as_deref()).map_err(CarryError::from);
        let back = back.and_then(|()| Ok(server.reload()?));
        return Err(match back {
            Ok(()) => why,
            Err(source) => CarryError::NotPutBack {
                why: Box::new(why),
                source: Box::new(source),
            },
        });
    }
    if is_new
        && order.kind == DatabaseKind::PostgreSql
        && let Err(error) = strip_old_block(&place, &mut server)
    {
        warning.get_or_insert(format!("lines of an earlier order stay: {error}"));
    }
    let cut: String = order.cut.iter().map(|line| format!("{line}\n")).collect();
    let cut = read_lines(&cut).map_err(CarryError::Line)?;
    let ended = match is_new && !cut.is_empty() {
        true => {
            let (ended, left) = server.end_sessions(&cut)?;
            warning = warning.or(left);
            ended
        }
        false => 0,
    };
    Ok(Carried {
        version: server.version().to_owned(),
        place,
        wrote,
        ended,
        warning,
    })
}

/// Which open sessions the lines of an order would reject.
///
/// # Errors
/// The server could not be told these lines, or does not answer.
pub(super) fn find_sessions(order: &Order) -> Result<Vec<Sessions>, CarryError> {
    let text: String = order.lines.iter().map(|line| format!("{line}\n")).collect();
    let lines = read_lines(&text).map_err(CarryError::Line)?;
    let mut server = Either::connect(order)?;
    server.check(order)?;
    server.must_read(&lines)?;
    Ok(server.sessions(&lines)?)
}

/// Takes the marked block out of `pg_hba.conf` once the lines stand in a file of their own.
fn strip_old_block(place: &Place, server: &mut Either) -> Result<(), CarryError> {
    let Place::Own(_) = place else {
        return Ok(());
    };
    let head = Place::Head(server.hba_file().to_owned());
    let Some(before) = head.read()? else {
        return Ok(());
    };
    let composed = head.composed(Some(&before), &[])?;
    if composed.bytes != before {
        head.write(Some(&composed.bytes))?;
        server.reload()?;
    }
    Ok(())
}
