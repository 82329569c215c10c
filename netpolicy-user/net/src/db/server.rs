//! PostgreSQL over its unix socket, as the user of this process, who is its superuser.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use netpolicy_policy::database::ReadLine;
use nix::unistd::{Uid, User};
use postgres::{Client, NoTls};

use super::order::{Order, Sessions};
use super::place::{Composed, Place};

/// Where Debian's and most packages' servers have their socket; and where those built from source
/// have it.
const SOCKETS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// The first version with regular expressions and `include_dir` in `pg_hba.conf`.
const WITH_EXPRESSIONS: i32 = 160_000;

/// Sessions that lines of users `$1` in networks `$2` reject. As in `pg_hba.conf`, a superuser is no
/// member of a role that it was not granted.
const REJECTED: &str = "from pg_stat_activity a where a.client_addr is not null and a.pid <> \
    pg_backend_pid() and exists (select from unnest($1::text[], $2::text[]) l(who, net) \
    where a.client_addr <<= l.net::inet and case \
    when l.who like '+%' then exists (with recursive up(role) as (select a.usesysid \
    union select m.roleid from pg_auth_members m join up on m.member = up.role) \
    select from up join pg_roles r on r.oid = up.role \
    where r.rolname::text = substr(l.who, 2)) \
    when l.who like '/%' then a.usename::text ~ substr(l.who, 2) \
    else a.usename::text = l.who end)";

/// Users and addresses of sessions that are told at most.
const MOST_SESSIONS: usize = 1_000;

pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How far times of files may lag behind the server's, seconds: they go by the kernel's tick.
const CLOCK_STEP: f64 = 0.02;

/// Between two looks at whether the server has reloaded.
const LOOK: Duration = Duration::from_millis(20);

/// Why the server does not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServerError {
    #[error("{} does not answer: {}", socket.display(), root(source))]
    Unreachable {
        socket: PathBuf,
        source: postgres::Error,
    },
    #[error("{what}: {}", root(source))]
    Failed {
        what: &'static str,
        source: postgres::Error,
    },
    #[error("{0}")]
    Refused(String),
}

impl ServerError {
    pub(super) fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Failed { source, .. } => source.is_closed(),
            Self::Refused(_) => false,
        }
    }
}

/// What the server says, without the crate's own words before it.
fn root(error: &postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(said), _) => said.message().to_owned(),
        (None, Some(source)) => source.to_string(),
        (None, None) => error.to_string(),
    }
}

/// A connection.
pub(super) struct Server {
    client: Client,
    directory: PathBuf,
    port: u16,
    /// As `server_version_num` has it.
    number: i32,
    /// As `server_version` has it.
    pub(super) version: String,
    /// The file that it reads.
    pub(super) hba_file: PathBuf,
}

impl Server {
    /// Connects to the server of an order.
    pub(super) fn connect(order: &Order) -> Result<Self, ServerError> {
        let directory = socket_directory(order);
        let mut client = connect(&directory, order.port)?;
        let row = client
            .query_one(
                "select current_setting('server_version_num')::int, \
                 current_setting('server_version'), current_setting('hba_file')",
                &[],
            )
            .map_err(|source| ServerError::Failed {
                what: "cannot read the server's settings",
                source,
            })?;
        let hba_file: String = row.get(2);
        Ok(Self {
            client,
            directory,
            port: order.port,
            number: row.get(0),
            version: row.get(1),
            hba_file: PathBuf::from(hba_file),
        })
    }

    /// Refuses lines for "all but" where the server takes them for a user of that name.
    pub(super) fn must_read(&self, lines: &[ReadLine<'_>]) -> Result<(), ServerError> {
        let mut users = lines.iter().flat_map(|line| &line.users);
        match self.number < WITH_EXPRESSIONS && users.any(|user| user.starts_with('/')) {
            true => Err(ServerError::Refused(format!(
                "PostgreSQL {} cannot be told \"all but\": that came with version 16",
                self.version
            ))),
            false => Ok(()),
        }
    }

    /// Refuses what this server cannot be told, and users that a change binds and that do not exist.
    /// One that was dropped since keeps no other user's lines out: that is what is returned.
    pub(super) fn check(&mut self, order: &Order) -> Result<Option<String>, ServerError> {
        if let Some(policy) = order
            .widened_by
            .as_ref()
            .filter(|_| self.number < WITH_EXPRESSIONS)
        {
            return Err(ServerError::Refused(format!(
                "policy '{policy}' allows a user what the policies of the service do not, so all \
                 others have to be kept out, and PostgreSQL {} cannot be told \"all but\": that \
                 came with version 16; until then users' policies can only narrow",
                self.version
            )));
        }
        let names: Vec<&String> = order.users.iter().chain(&order.roles).collect();
        let known = self
            .client
            .query(
                "select rolname::text from pg_roles where rolname::text = any($1)",
                &[&names],
            )
            .map_err(|source| ServerError::Failed {
                what: "cannot read the roles",
                source,
            })?;
        let known: Vec<String> = known.iter().map(|row| row.get(0)).collect();
        let missing = names.into_iter().filter(|name| !known.contains(name));
        let missing: Vec<&String> = missing.collect();
        let says = |names: &[&String]| {
            let quoted: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
            format!(
                "there is no role {}, to which a policy is bound; role names know case",
                quoted.join(", ")
            )
        };
        let required = missing
            .iter()
            .filter(|name| order.must_exist.contains(name));
        let required: Vec<&String> = required.copied().collect();
        match required.is_empty() {
            true => Ok((!missing.is_empty()).then(|| says(&missing))),
            false => Err(ServerError::Refused(says(&required))),
        }
    }

    /// Whether the server has read its files since one was changed, in seconds since 1970.
    pub(super) fn has_loaded(&mut self, changed: Option<f64>) -> Result<bool, ServerError> {
        let Some(changed) = changed else {
            return Ok(true);
        };
        // This session began after the server last read them, and has the time of that.
        let row = self.client.query_one(
            "select extract(epoch from pg_conf_load_time())::float8",
            &[],
        );
        let row = row.map_err(|source| ServerError::Failed {
            what: "cannot read when the server loaded its configuration",
            source,
        })?;
        Ok(row.get::<_, f64>(0) > changed + CLOCK_STEP)
    }

    /// Lets the server read its files again, and waits until new sessions are judged by them.
    pub(super) fn reload(&mut self) -> Result<(), ServerError> {
        let failed = |source| ServerError::Failed {
            what: "the server does not reload its configuration",
            source,
        };
        let before = self
            .client
            .query_one("select extract(epoch from clock_timestamp())::float8", &[])
            .map_err(failed)?;
        let before: f64 = before.get(0);
        self.client
            .query_one("select pg_reload_conf()", &[])
            .map_err(failed)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            // A new session's is the time at which the server itself last read them.
            let mut fresh = connect(&self.directory, self.port)?;
            let loaded = fresh
                .query_one(
                    "select extract(epoch from pg_conf_load_time())::float8",
                    &[],
                )
                .map_err(failed)?;
            let loaded: f64 = loaded.get(0);
            if loaded >= before {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(ServerError::Refused(format!(
                    "the server has not reloaded its configuration within {} s",
                    PATIENCE.as_secs()
                )));
            }
            thread::sleep(LOOK);
        }
    }

    /// Compares the rules as the server reads them with the lines that are to be there: each of
    /// them, none with an error, and before all that lets a session in.
    pub(super) fn verify(
        &mut self,
        place: &Place,
        composed: &Composed,
        lines: &[ReadLine<'_>],
    ) -> Result<(), ServerError> {
        let has_files = self.number >= WITH_EXPRESSIONS;
        let (file, order) = match has_files {
            true => ("file_name", "rule_number nulls first"),
            false => ("current_setting('hba_file')", "line_number"),
        };
        let rules = self
            .client
            .query(
                &format!(
                    "select {file}, line_number, type, database, user_name, address, netmask, \
                     auth_method, error from pg_hba_file_rules order by {order}"
                ),
                &[],
            )
            .map_err(|source| ServerError::Failed {
                what: "cannot read pg_hba_file_rules",
                source,
            })?;
        let own = std::fs::canonicalize(place.file());
        let own = own.unwrap_or_else(|_| place.file().to_owned());
        let mut found: Vec<Rule> = Vec::new();
        let mut letting_in: Option<String> = None;
        for row in &rules {
            let file: String = row.get(0);
            let number: i32 = row.get(1);
            if let Some(error) = row.get::<_, Option<String>>(8) {
                return Err(ServerError::Refused(format!("{file}:{number}: {error}")));
            }
            let is_ours = std::fs::canonicalize(&file).is_ok_and(|file| file == own)
                && usize::try_from(number).is_ok_and(|line| composed.lines.contains(&line));
            let kind: Option<String> = row.get(2);
            let method: Option<String> = row.get(7);
            if !is_ours {
                let lets_in =
                    kind.as_deref() != Some("local") && method.as_deref() != Some("reject");
                if lets_in && letting_in.is_none() && found.len() < lines.len() {
                    letting_in = Some(format!("{file}:{number}"));
                }
                continue;
            }
            found.push(Rule {
                number,
                kind,
                databases: row.get(3),
                users: row.get(4),
                net: net(row.get(5), row.get(6)),
                method,
            });
        }
        if let Some(place) = letting_in.filter(|_| !lines.is_empty()) {
            return Err(ServerError::Refused(format!(
                "{place} stands before netpolicy's lines and decides first; move `include_dir \
                 netpolicy.d` to the head of pg_hba.conf"
            )));
        }
        let missing = || {
            ServerError::Refused(format!(
                "the server reads {} of {} lines of {}; does pg_hba.conf include it? expected \
                 `include_dir netpolicy.d` at its head",
                found.len(),
                lines.len(),
                place.file().display()
            ))
        };
        if found.len() != lines.len() {
            return Err(missing());
        }
        for (rule, line) in found.iter().zip(lines) {
            if !rule.is(line) {
                return Err(ServerError::Refused(format!(
                    "{}:{}: the server reads another rule than {}",
                    place.file().display(),
                    rule.number,
                    line.text
                )));
            }
        }
        Ok(())
    }

    /// Ends the sessions that lines reject; how many.
    pub(super) fn end_sessions(&mut self, lines: &[ReadLine<'_>]) -> Result<u64, ServerError> {
        let (who, nets) = whose(lines);
        let ended = self
            .client
            .query_one(
                &format!("select count(*) filter (where pg_terminate_backend(a.pid)) {REJECTED}"),
                &[&who, &nets],
            )
            .map_err(|source| ServerError::Failed {
                what: "sessions cannot be ended",
                source,
            })?;
        let ended: i64 = ended.get(0);
        Ok(u64::try_from(ended).unwrap_or_default())
    }

    /// The sessions that lines reject, by user and address.
    pub(super) fn sessions(
        &mut self,
        lines: &[ReadLine<'_>],
    ) -> Result<Vec<Sessions>, ServerError> {
        let (who, nets) = whose(lines);
        let found = self
            .client
            .query(
                &format!(
                    "select coalesce(a.usename::text, ''), host(a.client_addr), count(*) \
                     {REJECTED} group by 1, 2 order by 1, 2 limit {MOST_SESSIONS}"
                ),
                &[&who, &nets],
            )
            .map_err(|source| ServerError::Failed {
                what: "the open sessions cannot be read",
                source,
            })?;
        let sessions = found.iter().filter_map(|row| {
            let count: i64 = row.get(2);
            Some(Sessions {
                user: row.get(0),
                source: row.get::<_, String>(1).parse().ok()?,
                count: u64::try_from(count).unwrap_or_default(),
            })
        });
        Ok(sessions.collect())
    }
}

/// The directory of the socket of an order's server.
pub(super) fn socket_directory(order: &Order) -> PathBuf {
    let usual = || {
        let socket = |dir: &&&str| {
            Path::new(dir)
                .join(format!(".s.PGSQL.{}", order.port))
                .exists()
        };
        PathBuf::from(SOCKETS.iter().find(socket).unwrap_or(&SOCKETS[0]))
    };
    order.socket.as_ref().map_or_else(usual, PathBuf::from)
}

/// Users and networks of lines, one pair for each.
fn whose<'l>(lines: &'l [ReadLine<'_>]) -> (Vec<&'l str>, Vec<String>) {
    let pairs = lines.iter().flat_map(|line| {
        let users = line.users.iter();
        users.map(|user| (user.as_str(), line.net.to_string()))
    });
    pairs.unzip()
}

/// A rule as the server reads it.
struct Rule {
    number: i32,
    kind: Option<String>,
    databases: Option<Vec<String>>,
    users: Option<Vec<String>>,
    net: Option<IpNet>,
    method: Option<String>,
}

impl Rule {
    fn is(&self, line: &ReadLine<'_>) -> bool {
        self.kind.as_deref() == Some("host")
            && self.databases.as_deref() == Some(&["all".to_owned(), "replication".to_owned()])
            && self.users.as_ref() == Some(&line.users)
            && self.net == Some(line.net)
            && self.method.as_deref() == Some("reject")
    }
}

fn net(address: Option<String>, mask: Option<String>) -> Option<IpNet> {
    let (address, mask) = (address?.parse().ok()?, mask?.parse().ok()?);
    IpNet::with_netmask(address, mask).ok()
}

fn connect(directory: &Path, port: u16) -> Result<Client, ServerError> {
    let user = User::from_uid(Uid::effective()).ok().flatten();
    let user = user.map_or_else(|| "postgres".to_owned(), |user| user.name);
    let mut config = Client::configure();
    config
        .host_path(directory)
        .port(port)
        .user(&user)
        .dbname("postgres")
        .application_name("netpolicy")
        .options("-c statement_timeout=5s -c lock_timeout=2s")
        .connect_timeout(PATIENCE);
    config
        .connect(NoTls)
        .map_err(|source| ServerError::Unreachable {
            socket: directory.join(format!(".s.PGSQL.{port}")),
            source,
        })
}
