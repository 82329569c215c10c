//! The server of an order: PostgreSQL, or a PgBouncer before one.

use std::path::{Path, PathBuf};

use netpolicy_policy::database::ReadLine;
use netpolicy_policy::model::DatabaseKind;

use super::order::{Order, Sessions};
use super::place::{Composed, Place, PlaceError};
use super::pooler::Pooler;
use super::server::{Server, ServerError};

/// A connection to it.
pub(super) enum Either {
    PostgreSql(Box<Server>),
    PgBouncer(Box<Pooler>),
}

impl Either {
    /// Connects to the server of an order.
    pub(super) fn connect(order: &Order) -> Result<Self, ServerError> {
        Ok(match order.kind {
            DatabaseKind::PostgreSql => Self::PostgreSql(Box::new(Server::connect(order)?)),
            DatabaseKind::PgBouncer => Self::PgBouncer(Box::new(Pooler::connect(order)?)),
        })
    }

    pub(super) fn version(&self) -> &str {
        match self {
            Self::PostgreSql(server) => &server.version,
            Self::PgBouncer(pooler) => &pooler.version,
        }
    }

    /// The file that it reads.
    pub(super) fn hba_file(&self) -> &Path {
        match self {
            Self::PostgreSql(server) => &server.hba_file,
            Self::PgBouncer(pooler) => &pooler.hba_file,
        }
    }

    /// Where an order's lines belong.
    pub(super) fn place(&self, order: &Order) -> Result<Place, PlaceError> {
        match self {
            Self::PostgreSql(server) => Place::of(order, &server.hba_file),
            Self::PgBouncer(pooler) => {
                let named = order.hba_conf.as_ref().map(PathBuf::from);
                Ok(Place::Head(
                    named.unwrap_or_else(|| pooler.hba_file.clone()),
                ))
            }
        }
    }

    /// Lines as this server reads them: an older pooler knows no connections for replication.
    pub(super) fn written(&self, lines: &[String]) -> Vec<String> {
        match self {
            Self::PostgreSql(_) => lines.to_vec(),
            Self::PgBouncer(pooler) if pooler.knows_replication => lines.to_vec(),
            Self::PgBouncer(_) => {
                let replaced = lines
                    .iter()
                    .map(|line| line.replacen(",replication", "", 1));
                replaced.collect()
            }
        }
    }

    /// Refuses lines that this server takes for others than they are, whatever the order says of
    /// them: a name in quotes that begins with a slash, or a plus, means more than itself to some.
    pub(super) fn must_read(&self, lines: &[ReadLine<'_>]) -> Result<(), ServerError> {
        match self {
            Self::PostgreSql(server) => server.must_read(lines),
            Self::PgBouncer(_) => {
                let is_plain = |user: &String| !user.starts_with(['/', '+']);
                match lines.iter().flat_map(|line| &line.users).all(is_plain) {
                    true => Ok(()),
                    false => Err(ServerError::Refused(
                        "PgBouncer's hba file cannot name roles, and cannot say \"all but\""
                            .to_owned(),
                    )),
                }
            }
        }
    }

    /// Refuses what this server cannot be told; what is to be said nevertheless.
    pub(super) fn check(&mut self, order: &Order) -> Result<Option<String>, ServerError> {
        match self {
            Self::PostgreSql(server) => server.check(order),
            Self::PgBouncer(pooler) => pooler.check(order).map(|()| None),
        }
    }

    /// Whether it has read its files since one was changed, in seconds since 1970.
    pub(super) fn has_loaded(&mut self, changed: Option<f64>) -> Result<bool, ServerError> {
        match self {
            Self::PostgreSql(server) => server.has_loaded(changed),
            // It does not say.
            Self::PgBouncer(_) => Ok(true),
        }
    }

    /// Lets it read its files again, and waits until it has.
    pub(super) fn reload(&mut self) -> Result<(), ServerError> {
        match self {
            Self::PostgreSql(server) => server.reload(),
            Self::PgBouncer(pooler) => pooler.reload(),
        }
    }

    /// Compares what it reads with what is to be there.
    pub(super) fn verify(
        &mut self,
        place: &Place,
        composed: &Composed,
        lines: &[ReadLine<'_>],
    ) -> Result<(), ServerError> {
        match self {
            Self::PostgreSql(server) => server.verify(place, composed, lines),
            Self::PgBouncer(pooler) => pooler.verify(place, composed),
        }
    }

    /// The sessions that lines reject, by user and address.
    pub(super) fn sessions(
        &mut self,
        lines: &[ReadLine<'_>],
    ) -> Result<Vec<Sessions>, ServerError> {
        match self {
            Self::PostgreSql(server) => server.sessions(lines),
            Self::PgBouncer(pooler) => pooler.sessions(lines),
        }
    }

    /// Ends the sessions that lines reject; how many, and what is to be said of it.
    pub(super) fn end_sessions(
        &mut self,
        lines: &[ReadLine<'_>],
    ) -> Result<(u64, Option<String>), ServerError> {
        match self {
            Self::PostgreSql(server) => Ok((server.end_sessions(lines)?, None)),
            Self::PgBouncer(pooler) => {
                let open: u64 = pooler.sessions(lines)?.iter().map(|one| one.count).sum();
                let left = (open > 0).then(|| {
                    format!(
                        "{open} open sessions that the lines reject go on: {} ends no single one; \
                         `KILL` of their database in its console ends all",
                        pooler.version
                    )
                });
                Ok((0, left))
            }
        }
    }
}
