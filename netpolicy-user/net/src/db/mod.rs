//! Carries the policies of database users into PostgreSQL, as the server's own user.
//!
//! | Module | What it is |
//! |---|---|
//! | `order` | what the agent wants, as it says it |
//! | `place` | the file with the lines: found, composed, replaced by rename |
//! | `either` | the server of an order: PostgreSQL, or a PgBouncer before one |
//! | `pooler` | PgBouncer by its console: settings, reload, sessions |
//! | `server` | PostgreSQL over its unix socket: version, roles, rules as it reads them, sessions |
//! | `carry` | one order: written, reloaded, read back, put back |
//! | `run` | the process that follows the agent's orders and looks for drift |
//!
//! It writes lines that reject and no others, whatever the agent says: an error here can deny and
//! never open.

mod carry;
mod either;
mod order;
mod place;
mod pooler;
mod run;
mod server;

use std::path::Path;
use std::time::Duration;

use crate::rights;

/// Follows the agent's orders for one database until the process ends.
///
/// # Errors
/// This is root.
pub(crate) fn run(socket: &Path, database: &str, every: Duration) -> anyhow::Result<()> {
    anyhow::ensure!(
        !rights::is_root(),
        "this writes files of the database server, and refuses to run as root\n\
         hint: `systemctl start netpolicy-db@{database}` runs it as user postgres, or \
         `sudo -u postgres netpolicy db run {database}`"
    );
    run::Helper::new(socket, database, every).run()
}
