//! How long a change takes from an operator's push to enforcement on eight hosts.
//!
//! Prints a table for `docs/benchmarks/fleets.md`.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use netpolicy_tests::process::Process;
use netpolicy_tests::signed::exchange;
use netpolicy_tests::{DatabaseHost, debian};
use serde_json::json;

use super::{LIMIT, PORT, joined, made, run};

/// Hosts, each with its agent and its process.
const HOSTS: usize = 8;

/// Rules of the policy, unless `NETPOLICY_FLEET_RULES` says how many.
const RULES: u32 = 100_000;

/// Changes that are measured.
const CHANGES: u32 = 10;

/// Time between two looks at the loaded program, which take time of the processors as well.
const LOOK: Duration = Duration::from_millis(20);

/// Longer than a change takes on a machine that does other things as well.
const SLOWEST: Duration = Duration::from_secs(10);

/// A policy file that blocks so many hosts, the last one this one.
fn blocking(rules: u32, last: Ipv4Addr) -> String {
    let mut text = String::from("[[policy]]\nname = \"abuse\"\nblock = [\n");
    for i in 1..rules {
        let address = Ipv4Addr::from(0x0b00_0000 + i * 3);
        writeln!(text, "\"{address}\",").unwrap();
    }
    writeln!(text, "\"{last}\",\n]").unwrap();
    text
}

/// A fleet of several hosts; the operator is at the first.
struct Fleet {
    hosts: Vec<DatabaseHost>,
    operator: PathBuf,
    _processes: Vec<Process>,
    _etcd: Process,
}

impl Fleet {
    fn start() -> Self {
        let mut hosts: Vec<_> = (0..HOSTS).map(|_| DatabaseHost::without_agent()).collect();
        let operator = hosts[0].file("operator.toml");
        let (etcd, common) = made(&hosts[0]);
        let mut processes = Vec::new();
        for (i, host) in std::mem::take(&mut hosts).into_iter().enumerate() {
            let (host, process) = joined(host, &format!("db-{i}"), &common);
            hosts.push(host);
            processes.push(process);
        }
        Self {
            hosts,
            operator,
            _processes: processes,
            _etcd: etcd,
        }
    }

    /// Pushes to all hosts at once; when its objects began to be written.
    fn push(&self, policy: &str) -> Instant {
        self.hosts[0].write("policy.toml", policy);
        let file = self.hosts[0].file("policy.toml");
        let said = run(
            &self.operator,
            &["push", "--at-once", "-f", file.to_str().unwrap()],
        );
        let now = Instant::now();
        // "revision 2 of fleet prod: 4 objects, 5000 bytes, 7 ms"
        let line = said.lines().find(|line| line.starts_with("revision "));
        let took = line.unwrap().rsplit(' ').nth(1).unwrap().parse().unwrap();
        now.checked_sub(Duration::from_millis(took)).unwrap()
    }

    /// Waits until the loaded program of each host denies this source; the times since.
    fn denied(&self, source: Ipv4Addr, since: Instant) -> Vec<Duration> {
        let body = json!({ "must_admit": [format!("{source}:{PORT}")] }).to_string();
        let wait = |host: &DatabaseHost| {
            loop {
                let (_, probed) = exchange(host, "POST", "/v1/fleet/probe", body.as_bytes());
                if probed["verdicts"][0]["admitted"] == false {
                    return since.elapsed();
                }
                assert!(since.elapsed() < LIMIT, "{probed:#}");
                std::thread::sleep(LOOK);
            }
        };
        std::thread::scope(|scope| {
            let hosts: Vec<_> = self
                .hosts
                .iter()
                .map(|host| scope.spawn(move || wait(host)))
                .collect();
            hosts.into_iter().map(|host| host.join().unwrap()).collect()
        })
    }
}

#[test]
fn change_is_enforced_on_eight_hosts_soon_after_its_push() {
    if !debian::is_long() {
        return;
    }
    let rules = std::env::var("NETPOLICY_FLEET_RULES").ok();
    let rules = rules.map_or(RULES, |rules| rules.parse().unwrap());
    let fleet = Fleet::start();
    let first = Ipv4Addr::new(198, 51, 100, 1);
    let begun = fleet.push(&blocking(rules, first));
    let all = fleet.denied(first, begun).into_iter().max().unwrap();
    println!("first revision of {rules} rules: on all {HOSTS} hosts after {all:?}");
    let mut times = Vec::new();
    for change in 0..CHANGES {
        std::thread::sleep(Duration::from_secs(2));
        let last = Ipv4Addr::new(198, 51, 101, u8::try_from(change).unwrap());
        let since = fleet.push(&blocking(rules, last));
        times.extend(fleet.denied(last, since));
    }
    times.sort_unstable();
    let share = |of_hundred: usize| times[(times.len() * of_hundred / 100).min(times.len() - 1)];
    println!(
        "one rule of {rules}, pushed to enforced, {} times: p50 {:?}, p99 {:?}, longest {:?}",
        times.len(),
        share(50),
        share(99),
        times.last().unwrap()
    );
    assert!(share(99) < SLOWEST, "{times:?}");
}
