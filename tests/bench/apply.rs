//! From a command typed to its policy in force, with the binary as users run it.

use std::{fmt::Write, time::Instant};

use netpolicy_tests::host::{DatabaseHost, Options};

use crate::{
    lists::{self, Family, Kind},
    random::Random,
    report::{Figure, Report, median},
};

/// Rules in one list at the most, as by default.
const LIST: usize = 100_000;

/// Room that is left in a list, for the rules that are added one by one.
const ROOM: usize = 8;

pub(crate) fn run(report: &mut Report, quick: bool) {
    one_list(report, if quick { 5 } else { 11 });
    if !quick {
        full_house(report);
    }
}

fn figure(bench: &'static str, entries: usize, value: f64, unit: &'static str) -> Figure {
    Figure {
        bench,
        engine: "lpm",
        entries,
        value,
        unit,
    }
}

fn milliseconds(host: &DatabaseHost, line: &str) -> f64 {
    let start = Instant::now();
    host.ok(line);
    start.elapsed().as_secs_f64() * 1e3
}

/// One block list of 100,000 rules: applied whole, then changed by one.
fn one_list(report: &mut Report, rounds: usize) {
    let mut random = Random(7);
    let (mut applies, mut adds, mut removes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.div_ceil(3) {
        let host = DatabaseHost::with(&Options::default());
        host.write("block.txt", text(&mut random, LIST - ROOM));
        host.write(
            "policy.toml",
            "[[policy]]\nname = \"bench\"\nblock_file = [\"block.txt\"]\n",
        );
        let file = host.file("policy.toml");
        applies.push(milliseconds(&host, &format!("apply -f {}", file.display())));
        for _ in 0..3 {
            adds.push(milliseconds(
                &host,
                "policy alter bench --add-block 240.0.0.1",
            ));
            removes.push(milliseconds(
                &host,
                "policy alter bench --remove-block 240.0.0.1",
            ));
        }
    }
    report.figure(figure("apply", LIST, median(&applies), "ms"));
    report.figure(figure("apply-add-one", LIST, median(&adds), "ms"));
    report.figure(figure("apply-remove-one", LIST, median(&removes), "ms"));
}

/// As many policies and rules as a host takes by default.
fn full_house(report: &mut Report) {
    const POLICIES: usize = 20;
    let entries = POLICIES * 2 * LIST;
    let mut random = Random(11);
    let host = DatabaseHost::with(&Options::default());
    let mut file = String::new();
    for policy in 0..POLICIES {
        for list in ["allow", "block"] {
            host.write(
                &format!("{list}-{policy}.txt"),
                text(&mut random, LIST - ROOM),
            );
        }
        let _ = write!(
            file,
            "[[policy]]\nname = \"bench_{policy}\"\nallow_file = [\"allow-{policy}.txt\"]\n\
             block_file = [\"block-{policy}.txt\"]\n"
        );
    }
    host.write("policy.toml", file);
    let apply = milliseconds(
        &host,
        &format!("apply -f {}", host.file("policy.toml").display()),
    );
    report.figure(figure("apply", entries, apply / 1e3, "s"));
    let memory = host.status()["agent"]["memory_bytes"].as_u64().unwrap_or(0);
    report.figure(figure(
        "agent-memory",
        entries,
        memory as f64 / (1 << 20) as f64,
        "MiB",
    ));
    let adds: Vec<f64> = (1..6)
        .map(|n| {
            milliseconds(
                &host,
                &format!("policy alter bench_0 --add-block 240.0.0.{n}"),
            )
        })
        .collect();
    report.figure(figure("apply-add-one", entries, median(&adds[1..]), "ms"));
    report.note(&format!(
        "first change after the whole: {:.0} ms (fills the other slot)",
        adds[0]
    ));
}

fn text(random: &mut Random, entries: usize) -> String {
    let mut text = String::with_capacity(entries * 16);
    for net in lists::list(Kind::Mix, Family::V4, entries, random) {
        let _ = writeln!(text, "{net}");
    }
    text
}
