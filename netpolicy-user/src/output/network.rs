//! `netpolicy explain CIDR`.

use std::io::{self, Write};
use std::net::IpAddr;

use ipnet::{Ipv4Subnets, Ipv6Subnets};

use super::{Render, RenderOptions, cell, count, line, plain, verdict_tone, write_table};
use crate::api::{ExplainNetworkView, NetworkPart};

impl Render for ExplainNetworkView {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        let port = match self.port {
            Some(port) => format!("port {port}"),
            None => "a port of no service".to_owned(),
        };
        let parts = match (self.uniform, self.more) {
            (true, _) => "uniform: all its sources get the same verdict".to_owned(),
            (false, true) => format!(
                "split: the first {} follow",
                count(self.parts.len() as u64, "part", "parts")
            ),
            (false, false) => format!(
                "split into {}",
                count(self.parts.len() as u64, "part", "parts")
            ),
        };
        let revision = self.revision.map(|n| format!(", by revision {n}"));
        let revision = revision.unwrap_or_default();
        let scope = line(&self.scope);
        writeln!(
            out,
            "{} on {port}, scope {scope}{revision}: {parts}\n",
            self.network
        )?;
        let rows = self.parts.iter().map(|part| {
            vec![
                plain(range(part)),
                cell(verdict_tone(part.verdict.into()), part.verdict.as_str()),
                plain(part.reason.as_str()),
                plain(line(&part.sentence)),
            ]
        });
        let header = ["SOURCES", "VERDICT", "REASON", "WHY"];
        write_table(options, &header, rows.collect(), out)
    }
}

/// As a network where it is one, else from the first address to the last.
fn range(part: &NetworkPart) -> String {
    let networks = match (part.first, part.last) {
        (first, last) if first == last => return first.to_string(),
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let mut networks = Ipv4Subnets::new(first, last, 0);
            (
                networks.next().map(|net| net.to_string()),
                networks.next().is_some(),
            )
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            let mut networks = Ipv6Subnets::new(first, last, 0);
            (
                networks.next().map(|net| net.to_string()),
                networks.next().is_some(),
            )
        }
        _ => (None, true),
    };
    match networks {
        (Some(one), false) => one,
        _ => format!("{}-{}", part.first, part.last),
    }
}
