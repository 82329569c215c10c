//! PgBouncer over its unix socket, as the user of this process: its admin console, which lets in
//! whoever runs as the same user.
//!
//! <https://www.pgbouncer.org/usage.html#admin-console>

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use netpolicy_policy::database::ReadLine;
use postgres::{Client, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::order::{Order, Sessions};
use super::place::{Composed, Place};
use super::server::{PATIENCE, ServerError, socket_directory};

/// The console's database and user.
const CONSOLE: &str = "pgbouncer";

/// The console of one.
pub(super) struct Pooler {
    client: Client,
    /// As it names itself.
    pub(super) version: String,
    /// Whether it knows connections for replication, which its rules reach by that keyword alone.
    pub(super) knows_replication: bool,
    /// How it authenticates.
    method: String,
    /// The file that it reads; empty: none.
    pub(super) hba_file: PathBuf,
}

impl Pooler {
    /// Connects to the pooler of an order.
    pub(super) fn connect(order: &Order) -> Result<Self, ServerError> {
        let directory = socket_directory(order);
        // It refuses start-up parameters that it does not know.
        let client = Client::configure()
            .host_path(&directory)
            .port(order.port)
            .user(CONSOLE)
            .dbname(CONSOLE)
            .connect_timeout(PATIENCE)
            .connect(NoTls);
        let mut client = client.map_err(|source| ServerError::Unreachable {
            socket: directory.join(format!(".s.PGSQL.{}", order.port)),
            source,
        })?;
        let what = "cannot read the pooler's settings";
        let (method, hba_file) = settings(&mut client)?;
        let version = rows(&mut client, "SHOW VERSION", what)?;
        let version = version.first().and_then(|row| row.get(0));
        let version = version.unwrap_or("PgBouncer").to_owned();
        let Some(release) = release(&version) else {
            return Err(ServerError::Refused(format!(
                "it cannot be told which release of PgBouncer \"{version}\" is"
            )));
        };
        Ok(Self {
            knows_replication: release >= WITH_REPLICATION,
            version,
            method,
            hba_file,
            client,
        })
    }

    /// Refuses what a pooler cannot be told, and one that does not read the file.
    pub(super) fn check(&self, order: &Order) -> Result<(), ServerError> {
        if let Some(policy) = &order.widened_by {
            return Err(ServerError::Refused(format!(
                "policy '{policy}' allows a user what the policies of the service do not, and \
                 PgBouncer's hba file cannot say \"all but\" that user"
            )));
        }
        self.must_read_its_file()
    }

    fn must_read_its_file(&self) -> Result<(), ServerError> {
        if self.method != "hba" || self.hba_file.as_os_str().is_empty() {
            return Err(ServerError::Refused(format!(
                "PgBouncer reads no hba file: auth_type is \"{}\"; expected auth_type = hba, and the \
                 file in auth_hba_file, and a reload after that",
                self.method
            )));
        }
        Ok(())
    }

    /// Lets it read its files again; it has when this returns.
    pub(super) fn reload(&mut self) -> Result<(), ServerError> {
        let what = "the pooler does not reload its configuration";
        rows(&mut self.client, "RELOAD", what)?;
        // Its settings may have been others since its last start or reload.
        (self.method, self.hba_file) = settings(&mut self.client)?;
        Ok(())
    }

    /// Compares the file that it reads with the one that was written. What it reads in it it does
    /// not say; a line that it does not understand it leaves out with a warning in its log.
    pub(super) fn verify(&self, place: &Place, composed: &Composed) -> Result<(), ServerError> {
        self.must_read_its_file()?;
        let own = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if own(&self.hba_file) != own(place.file()) {
            return Err(ServerError::Refused(format!(
                "PgBouncer reads {}, and the lines are to stand in {}",
                self.hba_file.display(),
                place.file().display()
            )));
        }
        match place.read() {
            Ok(Some(bytes)) if bytes == composed.bytes => Ok(()),
            Ok(None) if composed.lines.is_empty() => Ok(()),
            Ok(_) => Err(ServerError::Refused(format!(
                "{} was changed by another process meanwhile",
                place.file().display()
            ))),
            Err(error) => Err(ServerError::Refused(error.to_string())),
        }
    }

    /// The sessions that lines reject, by user and address.
    pub(super) fn sessions(
        &mut self,
        lines: &[ReadLine<'_>],
    ) -> Result<Vec<Sessions>, ServerError> {
        let clients = rows(
            &mut self.client,
            "SHOW CLIENTS",
            "the sessions cannot be read",
        )?;
        let mut sessions: Vec<Sessions> = Vec::new();
        for client in &clients {
            let (Some(user), Some(source)) = (client.get("user"), client.get("addr")) else {
                continue;
            };
            // A unix socket has none.
            let Ok(source) = source.parse::<IpAddr>() else {
                continue;
            };
            let is_of_user =
                |users: &[String]| users.is_empty() || users.iter().any(|one| one == user);
            let is_rejected = lines
                .iter()
                .any(|line| line.net.contains(&source) && is_of_user(&line.users));
            if !is_rejected {
                continue;
            }
            let same = |one: &&mut Sessions| one.user == user && one.source == source;
            match sessions.iter_mut().find(same) {
                Some(one) => one.count += 1,
                None => sessions.push(Sessions {
                    user: user.to_owned(),
                    source,
                    count: 1,
                }),
            }
        }
        Ok(sessions)
    }
}

/// How it authenticates, and by which file.
fn settings(client: &mut Client) -> Result<(String, PathBuf), ServerError> {
    let settings = rows(client, "SHOW CONFIG", "cannot read the pooler's settings")?;
    let setting = |key: &str| {
        let mut settings = settings.iter();
        let found = settings.find(|row| row.get("key") == Some(key));
        let value = found.and_then(|row| row.get("value"));
        value.unwrap_or_default().to_owned()
    };
    Ok((setting("auth_type"), setting("auth_hba_file").into()))
}

fn rows(
    client: &mut Client,
    query: &str,
    what: &'static str,
) -> Result<Vec<SimpleQueryRow>, ServerError> {
    let answer = client
        .simple_query(query)
        .map_err(|source| ServerError::Failed { what, source })?;
    let rows = answer.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    Ok(rows.collect())
}

/// The first release that passes replication through: its rules for `all` do not reach that, and
/// earlier ones skip a line with the keyword (PgBouncer's NEWS, 1.23.0, and src/hba.c).
const WITH_REPLICATION: (u32, u32) = (1, 23);

/// Major and minor of what `SHOW VERSION` says, as in "PgBouncer 1.18.0".
fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.rsplit(' ').next()?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_and_compared_by_number() {
        assert_eq!(release("PgBouncer 1.18.0"), Some((1, 18)));
        assert!(release("PgBouncer 1.9.0").unwrap() < WITH_REPLICATION);
        assert!(release("PgBouncer 1.23.1").unwrap() >= WITH_REPLICATION);
        assert!(release("PgBouncer 2.0.0").unwrap() >= WITH_REPLICATION);
        assert_eq!(release("PgBouncer"), None);
    }
}
