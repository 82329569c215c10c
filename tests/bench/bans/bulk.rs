//! Many new bans in one request, next to the same entries in an ipset and in a set of nftables.
//!
//! netpolicy answers when they are in force and on the disk; the others are in force when their
//! program ends, and gone after a reboot.

use std::{fmt::Write as _, thread, time::Duration, time::Instant};

use ipnet::IpNet;
use netpolicy_tests::{
    host::{DatabaseHost, Options},
    netns::NetNs,
};

use super::{
    PEERS, Plan, Ratio, Turns,
    api::{Connection, request},
    mix,
};
use crate::{
    choice::{Choice, available},
    command::milliseconds,
    filters::timed,
    report::Report,
    sources::outermost,
};

const ENTRIES: usize = 100_000;

/// Each ban's time, and each entry's.
const SECONDS: u64 = 14_400;

/// Between two turns: for what a turn leaves to be done.
const PAUSE: Duration = Duration::from_millis(500);

const REQUEST: &str = "netpolicy, one request";
const COMMAND: &str = "netpolicy ban --file";
const IPSET: &str = "ipset restore";
const NFTABLES: &str = "nft -f";

/// Who bans in a turn that is not the command's: named, so that its bans can be ended.
const BY: &str = "bench";

pub(super) fn run(report: &mut Report, plan: Plan) {
    report.progress("bans: 100,000 in one request");
    let nets = mix(ENTRIES);
    let host = DatabaseHost::with(&Options::default());
    let netpolicy = Netpolicy::new(&host, &nets);
    let peers = available(report, &PEERS);
    let peers: Vec<Peer> = peers
        .into_iter()
        .map(|peer| Peer::new(peer, &nets))
        .collect();
    let mut columns = vec![(REQUEST, Vec::new()), (COMMAND, Vec::new())];
    columns.extend(peers.iter().map(|peer| (peer.name(), Vec::new())));
    for round in 0..plan.rounds {
        for at in 0..columns.len() {
            // Each comes first as often as the others.
            let at = (round + at) % columns.len();
            let taken = match at {
                0 => netpolicy.request(),
                1 => netpolicy.command(),
                peer => peers[peer - 2].restore(),
            };
            columns[at].1.push(taken);
            thread::sleep(PAUSE);
        }
    }
    Turns {
        figure: "100,000 new bans",
        unit: "ms",
        entries: ENTRIES,
        is_less_better: true,
        columns: &columns,
        ratios: &[(IPSET, 0.5), (NFTABLES, 0.17)].map(|(to, target)| Ratio {
            of: REQUEST,
            to,
            target: Some(target),
        }),
    }
    .report(report);
}

/// A host whose agent bans them.
struct Netpolicy<'a> {
    host: &'a DatabaseHost,
    request: Vec<u8>,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Netpolicy<'a> {
    fn new(host: &'a DatabaseHost, nets: &[IpNet]) -> Self {
        let mut lines = String::with_capacity(nets.len() * 64);
        let mut file = String::with_capacity(nets.len() * 20);
        for net in nets {
            let _ = writeln!(lines, r#"{{"source":"{net}","for":{SECONDS},"by":"{BY}"}}"#);
            let _ = writeln!(file, "{net}");
        }
        host.write("bans.txt", file);
        Self {
            host,
            request: request("POST", "/v1/bans", "application/x-ndjson", lines.as_bytes()),
            runtime: runtime(),
        }
    }

    /// Milliseconds from the request's first byte to the answer's last.
    fn request(&self) -> f64 {
        let (taken, answer) = self.runtime.block_on(async {
            let mut connection = Connection::open(&self.host.socket()).await;
            let begin = Instant::now();
            let answer = connection.exchange(&self.request).await;
            (begin.elapsed(), answer)
        });
        let banned = answer
            .split(|byte| *byte == b'\n')
            .filter(|line| line.windows(17).any(|part| part == br#""result":"banned""#));
        assert_eq!(banned.count(), ENTRIES, "each of the request is a new ban");
        self.end();
        taken.as_secs_f64() * 1e3
    }

    /// Milliseconds of the command from its start to its end.
    fn command(&self) -> f64 {
        let taken = milliseconds(
            self.host,
            &format!("ban --file bans.txt --for {SECONDS}s --by {BY}"),
        );
        let count = self.host.json("bans --count");
        assert_eq!(count["count"], ENTRIES, "{count}");
        self.end();
        taken
    }

    fn end(&self) {
        self.host.ok(&format!("unban --all --by {BY}"));
        let count = self.host.json("bans --count");
        assert_eq!(count["count"], 0, "{count}");
    }
}

/// A runtime for clients: they share a processor with the agent.
pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A set of another filter, and the file that fills it.
struct Peer {
    choice: Choice,
    ns: NetNs,
    file: tempfile::NamedTempFile,
}

impl Peer {
    fn new(choice: Choice, nets: &[IpNet]) -> Self {
        let ns = NetNs::new();
        let mut text = String::with_capacity(nets.len() * 40);
        match choice {
            Choice::Ipset => {
                // With as many buckets from the start as it would grow to.
                let buckets = (nets.len() / 4).next_power_of_two().to_string();
                let most = (2 * nets.len()).to_string();
                let set = ["create", "banned", "hash:net", "hashsize", &buckets];
                let set = [&set[..], &["maxelem", &most, "timeout", "0"]].concat();
                timed(&ns, "ipset", &set);
                for net in nets {
                    let _ = writeln!(text, "add banned {net} timeout {SECONDS}");
                }
            }
            _ => {
                let set = "add table inet filter; \
                           add set inet filter banned \
                           { type ipv4_addr; flags interval, timeout; }; \
                           add chain inet filter input \
                           { type filter hook input priority 0; policy accept; }; \
                           add rule inet filter input ip saddr @banned drop";
                timed(&ns, "nft", &[set]);
                text.push_str("add element inet filter banned {\n");
                let mut sorted = nets.to_vec();
                sorted.sort_unstable();
                for net in outermost(&sorted) {
                    let _ = writeln!(text, "{net} timeout {SECONDS}s,");
                }
                text.push_str("}\n");
            }
        }
        let mut file = tempfile::NamedTempFile::new().expect("make a temporary file");
        std::io::Write::write_all(&mut file, text.as_bytes()).expect("write a temporary file");
        Self { choice, ns, file }
    }

    fn name(&self) -> &'static str {
        match self.choice {
            Choice::Ipset => IPSET,
            _ => NFTABLES,
        }
    }

    /// Milliseconds until the entries are in force; then they are removed.
    fn restore(&self) -> f64 {
        let file = self.file.path().display().to_string();
        let taken = match self.choice {
            Choice::Ipset => {
                let taken = timed(&self.ns, "ipset", &["restore", "-file", &file]);
                timed(&self.ns, "ipset", &["flush", "banned"]);
                taken
            }
            _ => {
                let taken = timed(&self.ns, "nft", &["-f", &file]);
                timed(
                    &self.ns,
                    "nft",
                    &["flush", "set", "inet", "filter", "banned"],
                );
                taken
            }
        };
        taken.as_secs_f64() * 1e3
    }
}
