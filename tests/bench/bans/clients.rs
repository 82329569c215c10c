//! Single bans by many clients at a time, each answered when it is in force and durable; and
//! single block entries by the same clients.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use netpolicy_tests::{
    host::{DatabaseHost, Options},
    rules,
};
use netpolicy_user::model::change::ListEdit;

use super::{
    Plan, Ratio, Turns,
    api::{Connection, request},
    bulk::runtime,
};
use crate::report::{Measured, Report, quantile};

/// Clients, a connection each.
const CLIENTS: u32 = 100;

/// Milliseconds that the slowest ban in a hundred may take.
const SLOWEST: f64 = 25.0;

const BANS: &str = "netpolicy, bans";
const ENTRIES: &str = "netpolicy, block entries";

/// What a turn came to.
struct Turn {
    per_second: f64,
    milliseconds: Vec<f64>,
}

pub(super) fn run(report: &mut Report, plan: Plan) {
    report.progress("bans: one by one, by 100 clients");
    let host = DatabaseHost::with(&Options::default());
    host.ok("policy create bench");
    let (runtime, socket) = (runtime(), host.socket());
    let mut columns = [(BANS, Vec::new()), (ENTRIES, Vec::new())];
    let mut slowest = [Vec::new(), Vec::new()];
    // Sources are new in each turn.
    let mut used = 0;
    for round in 0..plan.rounds {
        for at in 0..2 {
            let at = (round + at) % 2;
            let make = [ban, block][at];
            let turn = runtime.block_on(turn(&socket, plan.clients, used, make));
            used += u32::try_from(turn.milliseconds.len()).expect("few requests") + CLIENTS;
            columns[at].1.push(turn.per_second);
            slowest[at].push(quantile(&turn.milliseconds, 0.99));
        }
    }
    Turns {
        figure: "single bans by 100 clients",
        unit: "per second",
        entries: 1,
        is_less_better: false,
        columns: &columns,
        ratios: &[Ratio {
            of: BANS,
            to: ENTRIES,
            target: Some(10.0),
        }],
    }
    .report(report);
    for ((name, _), values) in columns.iter().zip(&slowest) {
        let figure = Measured::of("single bans by 100 clients, p99", name, 1, "ms", values);
        report.ban(Measured {
            target: (*name == BANS).then_some(SLOWEST),
            is_less_better: true,
            ..figure
        });
    }
}

/// All clients at once, each with its next request as soon as the one before is answered.
async fn turn(socket: &Path, time: Duration, used: u32, make: fn(u32) -> Vec<u8>) -> Turn {
    let local = tokio::task::LocalSet::new();
    let turn = local.run_until(async {
        let mut connections = Vec::new();
        for _ in 0..CLIENTS {
            connections.push(Connection::open(socket).await);
        }
        let next = std::rc::Rc::new(std::cell::Cell::new(used));
        let begin = Instant::now();
        let end = begin + time;
        let clients = connections.into_iter().map(|mut connection| {
            let next = next.clone();
            tokio::task::spawn_local(async move {
                let mut taken = Vec::new();
                while Instant::now() < end {
                    let number = next.replace(next.get() + 1);
                    let request = make(number);
                    let sent = Instant::now();
                    let answer = connection.exchange(&request).await;
                    taken.push(sent.elapsed().as_secs_f64() * 1e3);
                    let answer = String::from_utf8_lossy(&answer).into_owned();
                    let is_done = answer.contains(r#""result":"banned""#)
                        || answer.contains(r#""changed":true"#);
                    assert!(is_done, "{answer}");
                }
                taken
            })
        });
        let clients: Vec<_> = clients.collect();
        let mut milliseconds = Vec::new();
        for client in clients {
            milliseconds.extend(client.await.expect("a client ends"));
        }
        Turn {
            per_second: milliseconds.len() as f64 / begin.elapsed().as_secs_f64(),
            milliseconds,
        }
    });
    turn.await
}

/// A source for each number, scattered over a network of /8.
fn source(number: u32) -> String {
    // Odd, so that no two numbers come to the same.
    let scattered = number.wrapping_mul(0x009e_3779) & 0x00ff_ffff;
    std::net::Ipv4Addr::from(0x0b00_0000 | scattered).to_string()
}

fn ban(number: u32) -> Vec<u8> {
    let body = format!(r#"{{"source":"{}","for":3600}}"#, source(number));
    request("POST", "/v1/bans", "application/json", body.as_bytes())
}

fn block(number: u32) -> Vec<u8> {
    let add = ListEdit::Edit {
        add: rules::list(&[&source(number)]),
        remove: Default::default(),
    };
    let change = rules::alter("bench", ListEdit::Keep, add);
    let body = serde_json::to_vec(&change).expect("a change is JSON");
    request("POST", "/v1/changes", "application/json", &body)
}
