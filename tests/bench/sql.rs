//! How fast SQL text becomes statements.

use std::{
    fmt::Write as _,
    hint::black_box,
    time::{Duration, Instant},
};

use netpolicy_user::sql::{Dialect, Statements};

use crate::{
    lists::Family,
    random::Random,
    report::{Figure, Report, median},
};

/// Reads statements with two full lists of each family, their dialect told and not.
pub(crate) fn run(report: &mut Report, entries: usize) {
    for (family, name) in [(Family::V4, "ipv4"), (Family::V6, "ipv6")] {
        let text = statement(family, entries);
        for (bench, dialect) in [
            ("sql-parse", Some(Dialect::Snowflake)),
            ("sql-detect-parse", None),
        ] {
            report.figure(Figure {
                bench,
                engine: "",
                family: name,
                sources: "",
                entries: 2 * entries,
                value: megabytes_per_second(&text, dialect),
                unit: "MB/s",
            });
        }
    }
}

fn statement(family: Family, entries: usize) -> String {
    let mut random = Random(entries as u64);
    let mut text = String::from("CREATE NETWORK POLICY big");
    for clause in ["ALLOWED_IP_LIST", "BLOCKED_IP_LIST"] {
        write!(text, " {clause} = (").expect("write to memory");
        for index in 0..entries {
            let comma = if index == 0 { "" } else { ", " };
            let address = family.address(&mut random);
            match family {
                Family::V4 => write!(
                    text,
                    "{comma}'{}'",
                    std::net::Ipv4Addr::from(address as u32)
                ),
                Family::V6 => write!(text, "{comma}'{}'", std::net::Ipv6Addr::from(address)),
            }
            .expect("write to memory");
        }
        text.push(')');
    }
    // Makes it Snowflake's.
    text.push_str("; ALTER ACCOUNT SET NETWORK_POLICY = big");
    text
}

/// The median of some rounds.
fn megabytes_per_second(text: &str, dialect: Option<Dialect>) -> f64 {
    let deadline = Instant::now() + Duration::from_secs(1);
    let mut times = Vec::new();
    while times.len() < 5 || Instant::now() < deadline {
        let start = Instant::now();
        let statements = Statements::new(text, dialect).expect("one dialect");
        for statement in statements {
            black_box(statement.expect("statements without an error"));
        }
        times.push(start.elapsed().as_secs_f64());
    }
    text.len() as f64 / median(&times) / 1e6
}
