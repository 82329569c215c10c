//! `netpolicy clients`.

use std::io::{self, Write};

use super::{
    Render, RenderOptions, cell, count, line, number, plain, time, verdict_tone, write_table,
};
use crate::api::{ConnectedClient, ConnectedView};

impl Render for ConnectedView {
    fn table(&self, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        if self.items.is_empty() {
            return writeln!(
                out,
                "no such client is connected to a port that a policy governs"
            );
        }
        let rows = self.items.iter().map(|client| {
            let ports: Vec<_> = client.ports.iter().map(u16::to_string).collect();
            vec![
                plain(client.source.to_string()),
                plain(line(&client.scope)),
                plain(ports.join(",")),
                number(&client.connections),
                plain(since(self, client, options)),
                plain(client.idle_ms.map_or_else(|| "-".to_owned(), idle)),
                cell(verdict_tone(client.verdict), client.verdict.as_str()),
                plain(line(&why(client))),
            ]
        });
        let header = [
            "SOURCE",
            "SCOPE",
            "PORTS",
            "CONNECTIONS",
            "SINCE",
            "IDLE",
            "A NEW ATTEMPT",
            "BY",
        ];
        write_table(options, &header, rows.collect(), out)?;
        let connections: usize = self.items.iter().map(|client| client.connections).sum();
        let clients = count(self.items.len() as u64, "client", "clients");
        let connections = count(connections as u64, "connection", "connections");
        writeln!(out, "\n{clients}, {connections}")
    }
}

fn since(view: &ConnectedView, client: &ConnectedClient, options: &RenderOptions) -> String {
    match client.since {
        Some(since) => time(options, since),
        None => format!("before {}", time(options, view.watched_since)),
    }
}

/// "3s", "2m", "5h", "4d": the largest unit.
fn idle(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The rule, else the reason in a sentence.
fn why(client: &ConnectedClient) -> String {
    let forwarded = match client.forwarded {
        0 => String::new(),
        n => format!(" ({n} forwarded)"),
    };
    match &client.matched {
        Some(found) => {
            let named = found.named_list.as_ref().map(|name| format!(" @{name}"));
            let named = named.unwrap_or_default();
            let (policy, list, text) = (&found.policy, found.list, &found.rule.text);
            format!("{policy} {list}{named} {text}{forwarded}")
        }
        None => format!("{}{forwarded}", client.sentence),
    }
}
