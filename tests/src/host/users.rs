//! `netpolicy` as OS users other than root run it, or another build of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{DatabaseHost, Output, run};
use crate::binary;

impl DatabaseHost {
    /// Runs another `netpolicy` from now on than the one under test.
    pub fn use_binary(&mut self, binary: &Path) {
        self.binary = Some(binary.to_owned());
    }

    pub(super) fn binary(&self) -> &Path {
        self.binary
            .as_deref()
            .unwrap_or_else(|| binary::netpolicy())
    }

    /// A `netpolicy` command of another OS user, with that user's groups.
    ///
    /// The host's directory is opened to all for it: what is closed then is the socket.
    ///
    /// # Panics
    /// When the directory cannot be opened.
    #[must_use]
    pub fn command_as(&self, user: &str, group: &str) -> std::process::Command {
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.dir.path(), open).expect("open the directory");
        let own = self.command();
        let mut command = self.db.command("setpriv");
        command.args(["--reuid", user, "--regid", group, "--init-groups", "--"]);
        command.arg(binary::netpolicy());
        for (name, value) in own.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(self.dir.path());
        command
    }

    /// Runs `netpolicy` as a line of words, as another OS user.
    #[must_use]
    pub fn line_as(&self, user: &str, group: &str, line: &str) -> Output {
        let args: Vec<&str> = line.split_whitespace().collect();
        let mut command = self.command_as(user, group);
        command.args(&args);
        run(command, &args, "")
    }
}
