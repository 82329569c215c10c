//! Many bans, of which a thousand a second end and as many come: what that takes of a processor
//! and of memory.

use std::{
    fmt::Write as _,
    fs, thread,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use netpolicy_tests::host::{DatabaseHost, Options};

use super::{
    Plan,
    api::{Connection, request},
    bulk::runtime,
    mix,
};
use crate::{
    apply::resident,
    report::{Measured, Report},
};

/// Bans that end in a second, and that come.
const A_SECOND: usize = 1_000;

/// Bans of a request, when they come.
const TOGETHER: usize = 100;

/// Bans of a request while the many are made.
const BATCH: usize = 100_000;

/// Of a processor, at the most.
const CPU: f64 = 0.10;

/// MiB at the most, more than without.
const MEMORY: f64 = 120.0;

/// How long the agent is left alone before it is measured.
const SETTLE: Duration = Duration::from_secs(5);

const FIGURE: [&str; 3] = [
    "bans that come and go: agent's CPU",
    "bans that come and go: agent's memory, more than without",
    "bans that come and go: agent's memory at the most, more than without",
];

pub(super) fn run(report: &mut Report, plan: Plan) {
    report.progress(&format!("bans: {} that come and go", plan.many));
    let mut host = DatabaseHost::with(&Options::default());
    let pid = host.agent().pid();
    let coming = plan.churn.as_secs() as usize * A_SECOND;
    let nets = mix(plan.many + coming);
    thread::sleep(SETTLE);
    let before = [resident(pid, "VmRSS:"), resident(pid, "VmHWM:")];
    let runtime = runtime();
    let (cpu, held) = runtime.block_on(async {
        let mut connection = Connection::open(&host.socket()).await;
        // They last as long as it takes until a thousand a second end, some longer than others.
        // What is made while the first end counts as well.
        let (kept, coming) = nets.split_at(plan.many);
        let longest = plan.many / A_SECOND;
        let making = Instant::now();
        for (number, batch) in kept.chunks(BATCH).enumerate() {
            let lines = lines(batch, |at| {
                let scattered = (number * BATCH + at).wrapping_mul(7919) % longest;
                MAKING + scattered as u64
            });
            connection.exchange(&lines).await;
        }
        report.progress(&format!(
            "{} bans made in {:.1} s",
            plan.many,
            making.elapsed().as_secs_f64()
        ));
        // Until the first of them ends.
        tokio::time::sleep_until((making + Duration::from_secs(MAKING)).into()).await;
        // The agent closes connections that are idle for some seconds.
        let mut connection = Connection::open(&host.socket()).await;
        let begin = (Instant::now(), ticks(pid));
        let requests: Vec<Vec<u8>> = coming
            .chunks(TOGETHER)
            .map(|batch| lines(batch, |_| longest as u64))
            .collect();
        let every = Duration::from_secs_f64(TOGETHER as f64 / A_SECOND as f64);
        for (number, request) in requests.iter().enumerate() {
            let at = begin.0 + every * number as u32;
            tokio::time::sleep_until(at.into()).await;
            connection.exchange(request).await;
        }
        let seconds = begin.0.elapsed().as_secs_f64();
        let cpu = (ticks(pid) - begin.1) / seconds;
        let query = request("GET", "/v1/bans?count", "application/json", b"");
        let answer = connection.exchange(&query).await;
        let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
        (cpu, answer["count"].as_u64().unwrap_or(0))
    });
    let many = plan.many as u64;
    assert!(
        (many - many / 50..=many + many / 50).contains(&held),
        "as many end as come: {held}"
    );
    let after = [resident(pid, "VmRSS:"), resident(pid, "VmHWM:")];
    let values = [cpu, after[0] - before[0], after[1] - before[1]];
    let targets = [Some(CPU), Some(MEMORY), None];
    for (at, unit) in ["of a core", "MiB", "MiB"].into_iter().enumerate() {
        let figure = Measured::of(FIGURE[at], "netpolicy", plan.many, unit, &[values[at]]);
        report.ban(Measured {
            target: targets[at],
            is_less_better: true,
            ..figure
        });
    }
}

/// Seconds after which the first of the many ends: more than it takes to make them.
const MAKING: u64 = 30;

/// A request for these bans. `seconds`: how long each lasts.
fn lines(nets: &[IpNet], seconds: impl Fn(usize) -> u64) -> Vec<u8> {
    let mut lines = String::with_capacity(nets.len() * 48);
    for (at, net) in nets.iter().enumerate() {
        let _ = writeln!(lines, r#"{{"source":"{net}","for":{}}}"#, seconds(at));
    }
    request("POST", "/v1/bans", "application/x-ndjson", lines.as_bytes())
}

/// Seconds of a processor that a process has used.
pub(crate) fn ticks(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("read a status");
    // The name, in brackets, may hold spaces.
    let (_, fields) = stat.rsplit_once(')').expect("a process's fields");
    let times = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = times.map(|time| time.parse::<f64>().expect("ticks")).sum();
    let second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK);
    ticks / second.ok().flatten().expect("ticks of a second") as f64
}
