//! Whether hits are exact at the rate up to which they are to be.

use std::{net::IpAddr, time::Duration};

use super::{
    Plan,
    agent::{REPORTED, host, sources, wait_for},
};
use crate::{
    passing::bursts::Bursts,
    report::{Measured, Report},
};

/// Sources that are denied.
const SOURCES: u32 = 1_000;

/// Their network, and the rule.
const NET: u8 = 11;
const RULE: &str = "11.0.0.0/8";

/// How often they are sent, until they come as fast as they should.
const TURNS: usize = 8;

const RATE: &str = "hits at 20,000 denied attempts a second: attempts";
const SHARE: &str = "hits at 20,000 denied attempts a second: share that is counted for the rule";

pub(super) fn run(report: &mut Report, plan: Plan) {
    report.progress("seeing: exact hits");
    let host = host();
    host.ok(&format!("policy create bench --block {RULE}"));
    let sources: Vec<IpAddr> = sources(NET, SOURCES);
    let mut bursts = Bursts::new(&sources);
    let mut judged = 0;
    // A loaded machine sends fewer than it should: they are counted nevertheless, and others follow.
    let per_second = (0..TURNS)
        .map(|_| {
            let before = judged;
            bursts.send(host.clients(), Some(REPORTED), plan.exact);
            // Those on their way.
            std::thread::sleep(Duration::from_millis(100));
            judged = host.counter("host", "blocked");
            (judged - before) as f64 / plan.exact.as_secs_f64()
        })
        .find(|rate| *rate > REPORTED * 0.95)
        .expect("20,000 attempts a second: this machine is too busy to send them");
    let rule = |answer: &serde_json::Value| {
        let rows = answer["rules"].as_array().map_or(&[][..], Vec::as_slice);
        let row = rows.iter().find(|row| row["rule"] == RULE).cloned();
        row.unwrap_or_default()
    };
    let counted = |answer: &serde_json::Value| rule(answer)["hits"].as_u64().unwrap_or(0);
    let hits = wait_for(&host, "policy show bench --hits", |answer| {
        counted(answer) >= judged
    });
    assert_eq!(
        rule(&hits)["sampled"],
        false,
        "each is counted, none estimated"
    );
    let figure = |figure, unit, value| Measured::of(figure, "agent", 1, unit, &[value]);
    report.seen(figure(RATE, "per second", per_second));
    report.seen(Measured {
        target: Some(1.0),
        ..figure(SHARE, "times", counted(&hits) as f64 / judged as f64)
    });
}
