//! The database's tables, and how older ones become today's.
//!
//! `user_version` counts the [`MIGRATIONS`] that a database has been through, and
//! `application_id` says that it is netpolicy's. A released migration is never
//! edited: a change to the tables is a new one at the end.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::fault::{fault, one_line};
use crate::store::StoreError;

/// "NPOL": marks the file as netpolicy's (<https://sqlite.org/fileformat2.html#application_id>).
pub(super) const APPLICATION_ID: u32 = u32::from_be_bytes(*b"NPOL");

/// Step `n` makes a database of version `n` one of version `n + 1`.
pub(super) const MIGRATIONS: &[&str] = &[
    "
    -- Immutable content, named by its BLAKE3 hash; see objects.rs. With a rowid:
    -- WITHOUT ROWID, bodies of 20 kB beside the keys make a commit take twice as long.
    CREATE TABLE objects (
        hash BLOB PRIMARY KEY NOT NULL,
        body BLOB NOT NULL
    ) STRICT;

    -- One row for each committed state; times are RFC 3339.
    CREATE TABLE revisions (
        revision INTEGER PRIMARY KEY NOT NULL,
        created  TEXT NOT NULL,
        actor    TEXT NOT NULL,
        action   TEXT NOT NULL,
        state    BLOB NOT NULL REFERENCES objects (hash)
    ) STRICT;
    -- Deleting an object looks for revisions that refer to it.
    CREATE INDEX revisions_state ON revisions (state);

    -- Exemptions; outside the revisions, since they lapse by themselves.
    CREATE TABLE bypasses (
        source     TEXT NOT NULL,
        service    TEXT,             -- NULL: the host
        granted    TEXT NOT NULL,
        expires    TEXT NOT NULL,
        granted_by TEXT NOT NULL
    ) STRICT;
    -- By expression, because SQL holds any two NULLs for different.
    CREATE UNIQUE INDEX bypasses_of ON bypasses (source, ifnull(service, ''));

    -- Single values that belong to no revision.
    CREATE TABLE settings (
        key   TEXT PRIMARY KEY NOT NULL,
        value TEXT NOT NULL
    ) STRICT;
",
    "
    -- Privileges, outside the revisions: going back to an old policy is not to give
    -- anybody anything.
    CREATE TABLE grants (
        privilege  TEXT NOT NULL,
        principal  TEXT NOT NULL,    -- user:NAME or group:NAME
        policy     TEXT,             -- NULL: all
        granted_by TEXT NOT NULL,
        granted    TEXT NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX grants_of ON grants (principal, privilege, ifnull(policy, ''));

    -- The change that is taken back unless it is confirmed in time.
    CREATE TABLE pending (
        id        INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
        revision  INTEGER NOT NULL,
        base      INTEGER NOT NULL,
        made      TEXT NOT NULL,
        within_ms INTEGER NOT NULL,
        actor     TEXT NOT NULL
    ) STRICT;

    -- Who did what, and what was refused. Only ever appended to.
    CREATE TABLE audit (
        id      INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
        time    TEXT NOT NULL,
        uid     INTEGER NOT NULL,
        actor   TEXT NOT NULL,
        origin  TEXT,                -- the address worked from, if known
        action  TEXT NOT NULL,
        outcome TEXT NOT NULL,
        before  INTEGER NOT NULL,    -- revisions
        after   INTEGER NOT NULL,
        detail  TEXT NOT NULL        -- JSON
    ) STRICT;
    CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
        BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
    CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit
        BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
",
    "
    -- REPLACE deletes without the trigger for that, unless recursive_triggers is on.
    CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit
        WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
        BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
",
    "
    -- When it ends by the boot clock, and in which boot; beside the wall clock's time, which
    -- counts after a reboot. NULL: stored before there were these.
    ALTER TABLE bypasses ADD COLUMN boot TEXT;
    ALTER TABLE bypasses ADD COLUMN ends_ns INTEGER;
    ALTER TABLE pending ADD COLUMN boot TEXT;
    ALTER TABLE pending ADD COLUMN ends_ns INTEGER;
    -- By which the marker beside the database knows it.
    INSERT INTO settings VALUES ('store_id', lower(hex(randomblob(16))));
",
    "
    -- Changes of bans in batches, the newest of which counts; see store/bans.rs. Numbers are not
    -- used twice: what follows on them is their order.
    CREATE TABLE bans (
        batch   INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
        changes BLOB NOT NULL,
        digest  BLOB NOT NULL
    ) STRICT;
",
    "
    -- What feeds have, outside the revisions: it comes from elsewhere, and comes again.
    CREATE TABLE feeds (
        name    TEXT PRIMARY KEY NOT NULL,
        content BLOB NOT NULL REFERENCES objects (hash),
        record  TEXT                 -- JSON; NULL: nothing came yet
    ) STRICT;
    CREATE INDEX feeds_content ON feeds (content);
",
    "
    -- The same tables: batches of bans say when they were written (version 2 in store/bans.rs). An
    -- earlier version would take them for damaged; by this it says that the database is newer.
",
    "
    -- Fleets that the host is in, or was in: JSON, see store/fleet.rs.
    CREATE TABLE fleets (
        name   TEXT PRIMARY KEY NOT NULL,
        record TEXT NOT NULL
    ) STRICT;
    -- Objects that were handed over for a state that is to come, until a revision has them; time
    -- in seconds.
    CREATE TABLE handed (
        hash  BLOB PRIMARY KEY NOT NULL REFERENCES objects (hash),
        bytes INTEGER NOT NULL,
        time  INTEGER NOT NULL
    ) STRICT;
",
];

/// Refuses a database that is not netpolicy's or is newer than this program.
///
/// # Errors
/// [`StoreError::Foreign`], [`StoreError::Newer`], [`StoreError::Corrupt`], and
/// failures to read.
pub(super) fn check(conn: &Connection, path: &Path, steps: &[&str]) -> Result<(), StoreError> {
    let (application, version) = identity(conn, path)?;
    if application != APPLICATION_ID {
        return Err(StoreError::Foreign {
            path: path.to_path_buf(),
            found: application,
            expected: APPLICATION_ID,
        });
    }
    let supported = count(steps);
    if version > supported {
        return Err(StoreError::Newer {
            path: path.to_path_buf(),
            found: version,
            supported,
        });
    }
    if version < 1 {
        return Err(StoreError::Corrupt {
            path: path.to_path_buf(),
            detail: format!("its format version is {version}, expected 1 to {supported}"),
        });
    }
    Ok(())
}

/// Takes the database through the `steps` that it has not been through, all of
/// them or none.
///
/// # Errors
/// Failures of SQLite; the database is then as it was.
pub(super) fn migrate(
    conn: &mut Connection,
    path: &Path,
    steps: &[&str],
) -> Result<(), StoreError> {
    let fault = fault("update the tables", path);
    let tx = conn
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(&fault)?;
    let (_, version) = identity(&tx, path)?;
    let done = usize::try_from(version).unwrap_or(0);
    let Some(todo) = steps.get(done..).filter(|todo| !todo.is_empty()) else {
        return Ok(());
    };
    for step in todo {
        tx.execute_batch(step).map_err(&fault)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(&fault)?;
    tx.pragma_update(None, "user_version", count(steps))
        .map_err(&fault)?;
    tx.commit().map_err(fault)
}

/// Looks for damage in the tables that hold the first references. These are small;
/// of the objects, which may be gigabytes, each is checked when it is read.
///
/// # Errors
/// [`StoreError::Corrupt`] and failures to read.
pub(super) fn verify(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    for table in [
        "revisions",
        "bypasses",
        "settings",
        "grants",
        "pending",
        "feeds",
        "fleets",
    ] {
        let found: String = conn
            .query_row(&format!("PRAGMA integrity_check('{table}')"), [], |row| {
                row.get(0)
            })
            .map_err(fault("check the tables", path))?;
        if found != "ok" {
            let found = found.lines().collect::<Vec<_>>().join("; ");
            return Err(StoreError::Corrupt {
                path: path.to_path_buf(),
                detail: format!("table {table}: {}", one_line(&found)),
            });
        }
    }
    Ok(())
}

/// Application id and format version; both are 0 in a new database.
fn identity(conn: &Connection, path: &Path) -> Result<(u32, i64), StoreError> {
    let fault = fault("read the format version", path);
    // SQLite shows the id as a signed number.
    let application: i32 = conn
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(&fault)?;
    let version = conn
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(&fault)?;
    Ok((application.cast_unsigned(), version))
}

fn count(steps: &[&str]) -> i64 {
    i64::try_from(steps.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "CREATE TABLE first (a INTEGER); INSERT INTO first VALUES (1);";
    const SECOND: &str = "ALTER TABLE first ADD COLUMN b INTEGER; UPDATE first SET b = a + 1;";

    #[test]
    fn a_database_goes_through_the_steps_that_it_lacks() {
        let path = Path::new("test");
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, path, &[FIRST]).unwrap();
        conn.execute("INSERT INTO first VALUES (5)", []).unwrap();
        migrate(&mut conn, path, &[FIRST, SECOND]).unwrap();
        migrate(&mut conn, path, &[FIRST, SECOND]).unwrap();
        check(&conn, path, &[FIRST, SECOND]).unwrap();
        let sum: i64 = conn
            .query_row("SELECT sum(b) FROM first", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sum, 2 + 6);
        assert_eq!(identity(&conn, path).unwrap(), (APPLICATION_ID, 2));
    }

    #[test]
    fn a_step_that_fails_leaves_the_database_as_it_was() {
        let path = Path::new("test");
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, path, &[FIRST]).unwrap();
        migrate(&mut conn, path, &[FIRST, SECOND, "CREATE TABLE first (a)"]).unwrap_err();
        assert_eq!(identity(&conn, path).unwrap(), (APPLICATION_ID, 1));
        conn.query_row("SELECT b FROM first", [], |_| Ok(()))
            .unwrap_err();
        migrate(&mut conn, path, &[FIRST, SECOND]).unwrap();
    }

    #[test]
    fn newer_and_foreign_databases_are_refused() {
        let path = Path::new("test");
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, path, &[FIRST, SECOND]).unwrap();
        let error = check(&conn, path, &[FIRST]).unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Newer {
                    found: 2,
                    supported: 1,
                    ..
                }
            ),
            "{error}"
        );
        conn.pragma_update(None, "application_id", 7).unwrap();
        let error = check(&conn, path, &[FIRST, SECOND]).unwrap_err();
        assert!(
            matches!(error, StoreError::Foreign { found: 7, .. }),
            "{error}"
        );
    }

    #[test]
    fn the_first_version_s_database_gets_all_that_came_later() {
        let path = Path::new("test");
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, path, &MIGRATIONS[..1]).unwrap();
        conn.execute_batch(
            "INSERT INTO objects VALUES (x'01', x'02');
             INSERT INTO revisions VALUES (7, 'then', 'root', 'policy create office', x'01');
             INSERT INTO bypasses VALUES ('10.0.0.1/32', NULL, 'then', 'later', 'root');",
        )
        .unwrap();
        migrate(&mut conn, path, MIGRATIONS).unwrap();
        verify(&conn, path).unwrap();
        let count = |table: &str| -> i64 {
            let count = format!("SELECT count(*) FROM {table}");
            conn.query_row(&count, [], |row| row.get(0)).unwrap()
        };
        assert_eq!((count("revisions"), count("bypasses")), (1, 1));
        assert_eq!(
            (count("grants"), count("pending"), count("audit")),
            (0, 0, 0)
        );
    }

    #[test]
    fn the_audit_log_takes_nothing_but_new_entries() {
        let path = Path::new("test");
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, path, MIGRATIONS).unwrap();
        let new = "INTO audit (time, uid, actor, action, outcome, before, after, detail)
                   VALUES ('now', 0, 'root', 'attach', 'done', 1, 1, '{}')";
        for _ in 0..2 {
            conn.execute(&format!("INSERT {new}"), []).unwrap();
        }
        for forgery in [
            "UPDATE audit SET actor = 'nobody'",
            "UPDATE OR REPLACE audit SET id = 1 WHERE id = 2",
            "DELETE FROM audit WHERE id = 1",
            "REPLACE INTO audit SELECT * FROM audit WHERE id = 2",
            "INSERT OR IGNORE INTO audit SELECT * FROM audit WHERE id = 2",
        ] {
            let error = conn.execute(forgery, []).unwrap_err().to_string();
            assert!(error.contains("append-only"), "{forgery}: {error}");
        }
    }
}
