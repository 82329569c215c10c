//! One order: written, reloaded, read back, and put back where the server reads anything else.

use netpolicy_policy::database::read_lines;

use super::order::Order;
use super::place::{Place, PlaceError};
use super::server::{Server, ServerError};

/// What came of it.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) version: String,
    pub(super) place: Place,
    /// Whether the file was another than it should have been.
    pub(super) wrote: bool,
    /// Sessions that were ended.
    pub(super) ended: u64,
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
        why: ServerError,
        source: Box<CarryError>,
    },
}

impl CarryError {
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Server(error) if error.is_unreachable())
    }
}

/// Carries an order in. `is_new`: roles are checked and sessions ended.
///
/// # Errors
/// What was there stays in force.
pub(super) fn carry(order: &Order, is_new: bool) -> Result<Carried, CarryError> {
    let text: String = order.lines.iter().map(|line| format!("{line}\n")).collect();
    let lines = read_lines(&text).map_err(CarryError::Line)?;
    let mut server = Server::connect(order)?;
    if is_new {
        server.check(order)?;
    }
    let place = Place::of(order, &server.hba_file)?;
    let before = place.read()?;
    let composed = place.composed(before.as_deref(), &order.lines)?;
    let is_there = before.as_ref() == Some(&composed.bytes);
    // A server without a file of netpolicy's needs none that says nothing.
    let wrote = !is_there && !(before.is_none() && lines.is_empty());
    if wrote {
        place.write(Some(&composed.bytes))?;
    }
    let checked = match wrote {
        true => server.reload(),
        false => Ok(()),
    };
    let checked = checked.and_then(|()| server.verify(&place, &composed, &lines));
    if let Err(why) = checked {
        if !wrote {
            return Err(why.into());
        }
        let back = place.write(before.as_deref()).map_err(CarryError::from);
        let back = back.and_then(|()| Ok(server.reload()?));
        return Err(match back {
            Ok(()) => why.into(),
            Err(source) => CarryError::NotPutBack {
                why,
                source: Box::new(source),
            },
        });
    }
    let ended = match is_new && order.cut {
        true => server.end_sessions(&lines)?,
        false => 0,
    };
    Ok(Carried {
        version: server.version.clone(),
        place,
        wrote,
        ended,
    })
}
