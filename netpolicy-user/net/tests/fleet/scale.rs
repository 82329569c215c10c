//! A thousand hosts: tasks of the real process in eight processes, against agents that check
//! digests. Prints a table for `docs/benchmarks/fleets.md`.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::cluster::{anonymous, resident};
use super::operating::{Fleet, command, run};

/// Processes that hosts are divided among.
const PROCESSES: usize = 8;
/// Changes that are measured, unless `NETPOLICY_FLEET_CHANGES` says how many.
const CHANGES: usize = 10;
/// The most rules of a list, and of lists of a state.
const OF_LIST: usize = 100_000;
const LISTS: usize = 40;
/// Longer than any of it takes.
const LIMIT: Duration = Duration::from_secs(240);

fn number(name: &str, usual: usize) -> usize {
    let set = std::env::var(name).ok();
    set.map_or(usual, |set| set.parse().unwrap())
}

/// A policy file with so many rules, in lists as large as they may be, and one more.
fn policies(rules: usize, last: &str) -> String {
    assert!(rules <= LISTS * OF_LIST, "{rules} rules");
    let mut text = String::new();
    for (list, first) in (0..rules).step_by(OF_LIST).enumerate() {
        let part = match list % 2 {
            0 => format!("[[policy]]\nname = \"of-{}\"\nblock = [\n", list / 2),
            _ => "allow = [\n".to_owned(),
        };
        text.push_str(&part);
        // The last one takes the place of a rule, so that no list is too long.
        for i in first..rules.min(first + OF_LIST) - usize::from(list == 0) {
            let address = std::net::Ipv4Addr::from(0x0b00_0000 + u32::try_from(i).unwrap() * 3);
            writeln!(text, "\"{address}\",").unwrap();
        }
        if list == 0 {
            writeln!(text, "\"{last}\",").unwrap();
        }
        text.push_str("]\n");
    }
    text
}

/// Pushes; the revision, and when its objects began to be written.
fn push(fleet: &Fleet, text: &str) -> (u64, Instant) {
    let file = fleet.dir.join("policy.toml");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let args = ["push", "-f", file, "--at-once"];
    let mut push = command(&fleet.dir.join("operator.toml"), &args);
    let mut push = push.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(push.stdout.take().unwrap()).lines();
    let mut found = None;
    for line in lines {
        let (line, now) = (line.unwrap(), Instant::now());
        // "revision 2 of fleet prod: 4 objects, 5000 bytes, 7 ms"
        if let Some(rest) = line.strip_prefix("revision ") {
            let revision = rest.split(' ').next().unwrap().parse().unwrap();
            let took = line.rsplit(' ').nth(1).unwrap().parse().unwrap();
            found = Some((revision, now - Duration::from_millis(took)));
        }
    }
    assert!(push.wait().unwrap().success());
    found.unwrap()
}

/// Waits until all hosts were handed a revision; the times since.
fn handed(fleet: &Fleet, revision: u64, since: Instant) -> Vec<Duration> {
    let begun = Instant::now();
    loop {
        let handed = fleet.agents.handed(revision);
        if handed.iter().all(Option::is_some) {
            let mut times: Vec<_> = handed
                .into_iter()
                .flatten()
                .map(|at| at.saturating_duration_since(since))
                .collect();
            times.sort_unstable();
            return times;
        }
        let there = handed.iter().flatten().count();
        assert!(begun.elapsed() < LIMIT, "{there} of {} hosts", handed.len());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn share(times: &[Duration], of_thousand: usize) -> u128 {
    times[(times.len() * of_thousand / 1_000).min(times.len() - 1)].as_millis()
}

#[test]
fn thousand_hosts_take_a_change_within_a_second() {
    if !super::is_long() {
        return;
    }
    let hosts = number("NETPOLICY_FLEET_HOSTS", 1_000);
    let rules = number("NETPOLICY_FLEET_RULES", 100_000);
    let changes = number("NETPOLICY_FLEET_CHANGES", CHANGES);
    let fleet = Fleet::start(3, hosts);
    let (first, _) = push(&fleet, &policies(rules, "198.51.100.1"));

    let begun = Instant::now();
    let all: Vec<usize> = (0..hosts).collect();
    let processes: Vec<_> = all
        .chunks(hosts.div_ceil(PROCESSES))
        .enumerate()
        .map(|(i, some)| {
            let settings: Vec<_> = some.iter().map(|host| fleet.settings(*host)).collect();
            run(&settings, &fleet.dir.join(format!("process{i}.log")))
        })
        .collect();
    let cold = handed(&fleet, first, begun);
    println!(
        "hosts {hosts}, rules {rules}, processes {}",
        processes.len()
    );
    println!(
        "cold start: p50 {} ms, p99 {} ms, all {} ms",
        share(&cold, 500),
        share(&cold, 990),
        share(&cold, 1_000)
    );
    println!(
        "etcd's memory: {:?} MiB",
        (0..3)
            .map(|member| fleet.etcd.memory(member) >> 20)
            .collect::<Vec<_>>()
    );
    let mut medians = Vec::new();
    let mut late = Vec::new();
    for change in 0..changes {
        std::thread::sleep(Duration::from_secs(3));
        let last = format!("198.51.101.{change}");
        let (revision, since) = push(&fleet, &policies(rules, &last));
        let times = handed(&fleet, revision, since);
        medians.push(share(&times, 500));
        late.push(share(&times, 990));
    }
    medians.sort_unstable();
    late.sort_unstable();
    println!(
        "one rule of {rules}: handed over p50 {} ms (of {medians:?}), p99 {} ms (of {late:?})",
        medians[changes / 2],
        late[changes / 2]
    );
    println!(
        "etcd's memory: {:?} MiB",
        (0..3)
            .map(|member| fleet.etcd.memory(member) >> 20)
            .collect::<Vec<_>>()
    );
    let of_process: Vec<_> = processes
        .iter()
        .map(|process| resident(process.pid()) >> 20)
        .collect();
    println!(
        "memory of a process of {} hosts: {of_process:?} MiB",
        hosts.div_ceil(PROCESSES)
    );
    drop(processes);
    let one = run(&[fleet.settings(0)], &fleet.dir.join("one.log"));
    let (revision, since) = push(&fleet, &policies(rules, "198.51.102.1"));
    while fleet.agents.confirmed(revision)[0].is_none() {
        assert!(since.elapsed() < LIMIT);
        std::thread::sleep(Duration::from_millis(5));
    }
    println!(
        "memory of the process of one host: {} KiB, of it its own {} KiB",
        resident(one.pid()) >> 10,
        anonymous(one.pid()) >> 10
    );
}
