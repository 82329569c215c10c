//! What the tests share: network namespaces, packets, a database host with its agent.
//!
//! Everything here makes its own namespaces, directories and pins, under names
//! that carry the process id (`npt<pid>-<n>`), and removes them when dropped, also
//! when a test fails. What a killed test run left behind is removed by the next.
//! Nothing here touches the machine's own interfaces.
#![expect(
    clippy::expect_used,
    reason = "a test harness fails by panicking, with the reason"
)]
#![expect(
    clippy::print_stderr,
    reason = "what helps to understand a failed test is printed"
)]

pub mod asked;
pub mod background;
pub mod binary;
pub mod browser;
pub mod command;
pub mod conntrack;
pub mod console;
pub mod debian;
pub mod docs;
pub mod evasion;
pub mod fed;
pub mod fixtures;
pub mod flood;
pub mod foreign;
pub mod forwarding;
pub mod fuzz;
pub mod history;
pub mod host;
pub mod http;
pub mod https;
pub mod id;
pub mod imports;
pub mod kept;
pub mod metrics;
pub mod netns;
pub mod observations;
pub mod orders;
pub mod packet;
pub mod pins;
pub mod postgres;
pub mod process;
pub mod python;
pub mod reference;
pub mod reset;
pub mod residue;
pub mod rules;
pub mod server;
pub mod shape;
pub mod shifting;
pub mod short;
pub mod signed;
pub mod stalls;
pub mod strace;
pub mod terminal;
pub mod traffic;
pub mod tun;
pub mod units;
pub mod watch;
pub mod wiring;
pub mod wording;

pub use command::Output;
pub use host::{DatabaseHost, Options};
pub use netns::NetNs;
pub use packet::Packet;
pub use traffic::Outcome;
