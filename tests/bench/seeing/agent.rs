//! A host whose agent remembers, and the sources that come to it.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use netpolicy_tests::host::{DatabaseHost, Options};
use serde_json::Value;

/// Attempts a second of which each is reported.
pub(super) const REPORTED: f64 = 20_000.0;

/// How long the agent may take to attribute what it was told.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host whose interface takes frames that a program sends: by native XDP, without which a veth
/// takes none.
pub(super) fn host() -> DatabaseHost {
    DatabaseHost::with(&Options {
        config: "hook = \"native\"\n".to_owned(),
        ..Options::default()
    })
}

/// Different addresses of a network of /8, scattered over it.
pub(super) fn sources(net: u8, count: u32) -> Vec<IpAddr> {
    let address = |number: u32| {
        // Odd, so that no two numbers come to the same.
        let scattered = number.wrapping_mul(0x009e_3779) & 0x00ff_ffff;
        Ipv4Addr::from(u32::from(net) << 24 | scattered).into()
    };
    (1..=count).map(address).collect()
}

/// Waits until an answer of the command line is so.
pub(super) fn wait_for(host: &DatabaseHost, line: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let answer = host.json(line);
        if is_so(&answer) {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "{line}: {answer}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// How many sources of a verdict ("--denied", "--allowed") are remembered.
pub(super) fn remembered(host: &DatabaseHost, verdict: &str) -> u64 {
    let answer = host.json(&format!("sources {verdict} --limit 1"));
    answer["total"].as_u64().expect("a number of sources")
}
