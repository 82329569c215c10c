//! `netpolicy monitor`: a line for each event, aligned as far as lines can be
//! that are printed one by one.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use super::{Format, RenderOptions, Tone, line, verdict_tone};
use crate::api::{DeniedEvent, EventLine};

/// Writes one event as one line; as JSON, on one line too.
///
/// # Errors
/// Those of the writer.
pub fn write_event(
    event: &EventLine,
    options: &RenderOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    match (options.format, event) {
        (Format::Json, _) => {
            serde_json::to_writer(&mut *out, event)?;
            writeln!(out)
        }
        (Format::Table, EventLine::Denied(denied)) => write_denied(denied, options, out),
        (Format::Table, EventLine::Known { since }) => {
            let since = super::time(options, *since);
            let text = format!("-- attempts before {since} are not known");
            writeln!(out, "{}", paint(options, Tone::Warning, &text))
        }
        (Format::Table, EventLine::Lost { count }) => {
            let text = format!(
                "-- {} not reported",
                super::count(*count, "event", "events")
            );
            writeln!(out, "{}", paint(options, Tone::Warning, &text))
        }
    }
}

fn write_denied(e: &DeniedEvent, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
    let time = e
        .time
        .to_zoned(options.zone())
        .strftime("%H:%M:%S%.3f")
        .to_string();
    let action = paint(options, verdict_tone(e.action.into()), e.action.as_str());
    write!(
        out,
        "{time}  {action}  {reason:<12}  {source:>21} -> {destination:<21}  {interface}  {scope}",
        reason = e.reason,
        source = socket(e.source, e.source_port),
        destination = socket(e.destination, e.destination_port),
        interface = line(&e.interface),
        scope = line(&e.scope),
    )?;
    match &e.rule {
        Some(rule) => writeln!(out, "  {}", line(rule)),
        // No rule denied it, but that their allow lists do not hold it.
        None if !e.policies.is_empty() => writeln!(out, "  {}", line(&e.policies.join(", "))),
        None => writeln!(out),
    }
}

/// "10.0.0.1:80", "[2001:db8::1]:80", or the address alone where the packet held no port.
fn socket(address: IpAddr, port: u16) -> String {
    if port == 0 {
        address.to_string()
    } else {
        SocketAddr::new(address, port).to_string()
    }
}

fn paint(options: &RenderOptions, tone: Tone, text: &str) -> String {
    let code = match tone {
        _ if !options.colour => return text.to_owned(),
        Tone::Plain => return text.to_owned(),
        Tone::Label => "1",
        Tone::Good => "32",
        Tone::Warning => "33",
        Tone::Bad => "1;31",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
