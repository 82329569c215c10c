//! Members of a cluster that reach each other no more, while clients reach all of them.

use std::process::Command;

/// A chain of nftables: connections between members are marked by the OS user that opens them,
/// and dropped, in both directions, by their mark.
pub(crate) struct Parting {
    members: usize,
}

/// A network namespace of this thread, and of all that it starts from here on, with loopback.
pub(crate) fn own_namespace() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    assert!(up.unwrap().success());
}

fn nft(rules: &str) {
    let out = Command::new("nft").arg(rules).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "nft {rules}: {said}");
}

/// The mark of connections between two members.
fn mark(one: usize, other: usize) -> usize {
    (1 << one) | (1 << other)
}

impl Parting {
    /// Marks connections between members of these users and peer ports, from now on.
    pub(crate) fn between(peers: &[(u32, u16)]) -> Self {
        nft("add table ip parting; \
             add chain ip parting marks { type filter hook output priority -10; }; \
             add chain ip parting cuts { type filter hook output priority 0; }");
        for (from, (user, _)) in peers.iter().enumerate() {
            for (to, (_, port)) in peers.iter().enumerate() {
                let mark = mark(from, to);
                nft(&format!(
                    "add rule ip parting marks meta skuid {user} tcp dport {port} ct mark set {mark}"
                ));
            }
        }
        Self {
            members: peers.len(),
        }
    }

    /// Parts one member from the others.
    pub(crate) fn part(&self, member: usize) {
        for other in (0..self.members).filter(|other| *other != member) {
            let mark = mark(member, other);
            nft(&format!(
                "add rule ip parting cuts ct mark {mark} counter drop"
            ));
        }
    }

    /// Whether anything was dropped.
    pub(crate) fn has_dropped(&self) -> bool {
        let out = Command::new("nft")
            .args(["list", "chain", "ip", "parting", "cuts"])
            .output()
            .unwrap();
        let listed = String::from_utf8_lossy(&out.stdout).into_owned();
        // A connection that two rules are about counts for the first.
        let mut rules = listed.lines().filter(|line| line.contains("counter"));
        rules.any(|rule| !rule.contains("packets 0 "))
    }

    /// Joins all again.
    pub(crate) fn heal(&self) {
        nft("flush chain ip parting cuts");
    }
}
