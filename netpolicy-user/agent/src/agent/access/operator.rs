//! The operator's address: the one from which the caller reached this host.
//!
//! `sshd(8)` puts it into the shell's `SSH_CONNECTION`. `sudo` and `su -` do not pass it on,
//! so the parents of the caller's process are read as well. It protects operators from
//! their own mistakes and nothing else: every user can write anything into an environment,
//! so this must never grant anything.
//!
//! What it cannot know:
//! - a terminal multiplexer outlives the connection it was started from, and its shells
//!   have the address of that time (`tmux` renews it for new windows only);
//! - behind a jump host or a tunnel that ends on this host the address is that of the
//!   tunnel's end, perhaps loopback, which is never judged;
//! - a command that left its session (`systemd-run`, `at`, `setsid` with its parent
//!   gone) leads to no shell, and so to no address.

use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use procfs::process::Process;

const VARIABLE: &str = "SSH_CONNECTION";

/// Most processes that are looked at. A shell under `sudo` under `ssh` is some ten from
/// the first process.
const STEPS: usize = 64;

/// The first process, which is no operator's shell.
const INIT: i32 = 1;

/// Where the operator came from, and which process says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The client's address: without a zone, IPv4 if it was IPv4-mapped.
    pub address: IpAddr,
    /// The port of this host that the client reached: that of `sshd`.
    pub server_port: u16,
    /// The process in whose environment it stands.
    pub pid: u32,
    /// That process's name, at most 15 bytes (`comm` in `proc_pid_comm(5)`), with
    /// control characters escaped.
    pub process: String,
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (from {VARIABLE} of process {}, {})",
            self.address, self.pid, self.process
        )
    }
}

/// Where the user of a process came from by SSH: the nearest `SSH_CONNECTION` of the
/// process itself or of its parents, up to the first process.
///
/// `None` at a console. Processes that are gone, that may not be read or
/// whose variable is malformed are skipped; the search ends where the parent is not known.
/// Reads two small files for each process: not for an async task's thread.
///
/// The environment is that at the process's start (`proc_pid_environ(5)`): what a shell
/// exports later is seen in its children only.
#[must_use]
pub fn address_of(pid: u32) -> Option<Operator> {
    walk(i32::try_from(pid).ok()?, STEPS)
}

fn walk(mut pid: i32, steps: usize) -> Option<Operator> {
    for _ in 0..steps {
        if pid <= INIT {
            return None;
        }
        // All that is read comes from this very process: its directory stays open.
        let process = Process::new(pid).ok()?;
        let stat = process.stat().ok()?;
        let stated = process.environ().ok().and_then(|environment| {
            let value = environment.get(OsStr::new(VARIABLE))?;
            parse(value.to_str()?)
        });
        if let Some((address, server_port)) = stated {
            return Some(Operator {
                address,
                server_port,
                pid: u32::try_from(pid).ok()?,
                process: stat.comm.escape_debug().to_string(),
            });
        }
        pid = stat.ppid;
    }
    None
}

/// "CLIENT-ADDRESS CLIENT-PORT SERVER-ADDRESS SERVER-PORT": the client's address and
/// the server's port. `sshd` writes `UNKNOWN` for what is no network connection.
fn parse(value: &str) -> Option<(IpAddr, u16)> {
    let mut fields = value.split_ascii_whitespace();
    let mut end = || Some((address(fields.next()?)?, port(fields.next()?)?));
    let ((client, _), (_, server_port)) = (end()?, end()?);
    fields.next().is_none().then_some((client, server_port))
}

fn address(text: &str) -> Option<IpAddr> {
    if let Some((address, zone)) = text.split_once('%') {
        // Only IPv6 has zones (RFC 4007, 11); policies know none.
        let address: Ipv6Addr = address.parse().ok()?;
        return (!zone.is_empty()).then(|| address.to_canonical());
    }
    let address: IpAddr = text.parse().ok()?;
    Some(address.to_canonical())
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::*;

    const SOMEWHERE: &str = "203.0.113.7 50022 198.51.100.1 2222";

    /// A shell with `SSH_CONNECTION`, and a process below it that says its id and then
    /// waits.
    struct Tree {
        outer: Child,
        inner: u32,
    }

    impl Tree {
        /// `below` starts what waits: `{}` in it stands for that.
        fn start(value: &str, below: &str) -> Self {
            // With something left to do the shell stays, and is not replaced.
            let script = format!("{}; :", below.replace("{}", "echo pid $$; read line"));
            let mut outer = Command::new("sh")
                .args(["-c", &script])
                .env(VARIABLE, value)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let said = BufReader::new(outer.stdout.take().unwrap());
            let inner = said
                .lines()
                .find_map(|line| line.unwrap().strip_prefix("pid ")?.parse().ok());
            Self {
                inner: inner.expect("it says its id"),
                outer,
            }
        }

        fn found(&self) -> Operator {
            address_of(self.inner).expect("an operator")
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            // Its end of file is what they wait for.
            drop(self.outer.stdin.take());
            let _ = self.outer.wait();
        }
    }

    #[test]
    fn a_process_s_own_environment_is_looked_at_first() {
        let tree = Tree::start(
            SOMEWHERE,
            "SSH_CONNECTION='192.0.2.9 1 192.0.2.1 22' sh -c '{}'",
        );
        let operator = tree.found();
        assert_eq!(operator.address, "192.0.2.9".parse::<IpAddr>().unwrap());
        assert_eq!((operator.server_port, operator.pid), (22, tree.inner));
    }

    #[test]
    fn operator_address_is_searched_in_parents_when_the_variable_is_dropped() {
        for below in [
            "env -u SSH_CONNECTION sh -c '{}'",
            "env -i sh -c '{}'",
            "env -i sh -c 'sh -c \"$0\"; :' '{}'",
        ] {
            let tree = Tree::start(SOMEWHERE, below);
            let operator = tree.found();
            assert_eq!(operator.address, "203.0.113.7".parse::<IpAddr>().unwrap());
            assert_eq!(operator.server_port, 2222);
            assert_eq!(operator.pid, tree.outer.id(), "{below}");
            assert_eq!(
                operator.to_string(),
                format!(
                    "203.0.113.7 (from SSH_CONNECTION of process {}, sh)",
                    tree.outer.id()
                )
            );
        }
    }

    #[test]
    fn operator_address_is_found_through_a_real_su() {
        let tree = Tree::start(SOMEWHERE, "su -l -s /bin/sh root -c '{}'");
        assert_ne!(tree.inner, tree.outer.id());
        let operator = tree.found();
        assert_eq!(operator.address, "203.0.113.7".parse::<IpAddr>().unwrap());
        // In `su` itself, or in the shell before it.
        assert_ne!(operator.pid, tree.inner);
    }

    #[test]
    fn nonsense_on_the_way_is_passed_over() {
        for nonsense in ["UNKNOWN 65535 UNKNOWN 65535", "", "10.0.0.1"] {
            let below = format!("SSH_CONNECTION='{nonsense}' sh -c '{{}}'");
            let tree = Tree::start("fe80::1%eth0 50022 fe80::2%eth0 22", &below);
            let operator = tree.found();
            assert_eq!(operator.address, "fe80::1".parse::<IpAddr>().unwrap());
            assert_eq!(operator.pid, tree.outer.id());
        }
    }

    #[test]
    fn the_search_is_bounded() {
        let tree = Tree::start(SOMEWHERE, "env -i sh -c '{}'");
        let inner = i32::try_from(tree.inner).unwrap();
        assert_eq!(walk(inner, 1), None);
        assert!(walk(inner, 2).is_some());
    }

    #[test]
    fn what_may_not_be_read_is_passed_over() {
        let tree = Tree::start(SOMEWHERE, "env -i sh -c '{}'");
        let inner = i32::try_from(tree.inner).unwrap();
        // A thread without rights: neither of the two environments is for it to read.
        let found = std::thread::scope(|scope| {
            let stranger = scope.spawn(|| {
                rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65_534)).unwrap();
                walk(inner, 2)
            });
            stranger.join().unwrap()
        });
        assert_eq!(found, None);
    }

    #[test]
    fn no_operator_is_found_without_a_process() {
        for pid in [0, 1, u32::MAX] {
            assert_eq!(address_of(pid), None, "{pid}");
        }
        let mut gone = Command::new("true")
            .env(VARIABLE, SOMEWHERE)
            .spawn()
            .unwrap();
        gone.wait().unwrap();
        assert_eq!(address_of(gone.id()), None);
    }

    #[test]
    fn values_are_read_as_sshd_writes_them() {
        let good = [
            ("10.0.0.1 1 10.0.0.2 22", "10.0.0.1", 22),
            ("::ffff:10.0.0.1 1 ::ffff:10.0.0.2 22", "10.0.0.1", 22),
            ("2001:db8::1 65535 2001:db8::2 65535", "2001:db8::1", 65_535),
            ("fe80::1%eth0 1 fe80::2%eth0 2222", "fe80::1", 2222),
            ("::1 1 ::1 22", "::1", 22),
        ];
        for (value, address, port) in good {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(parse(value), Some((address, port)), "{value}");
        }
        for bad in [
            "",
            "10.0.0.1",
            "10.0.0.1 1 10.0.0.2",
            "10.0.0.1 1 10.0.0.2 22 more",
            "10.0.0.1 1 10.0.0.2 0",
            "10.0.0.1 1 10.0.0.2 65536",
            "10.0.0.1 x 10.0.0.2 22",
            "10.0.0.1%eth0 1 10.0.0.2 22",
            "fe80::1% 1 fe80::2 22",
            "10.0.0.256 1 10.0.0.2 22",
            "host.example 1 10.0.0.2 22",
            "UNKNOWN 65535 UNKNOWN 65535",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
