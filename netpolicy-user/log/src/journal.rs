//! Log lines as fields to the journal, by its native protocol
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).
//!
//! `MESSAGE` has the line's words and its fields, as on standard error, without time and level:
//! the journal has those by itself. Each field is there once more by its name, as
//! `NETPOLICY_REVISION`.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::escape::one_line;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// What systemd says of a service's standard error: device and inode, if it is the journal's
/// (systemd.exec(5)).
const STREAM: &str = "JOURNAL_STREAM";

/// Characters of a value; the kernel bounds a datagram to some 200 kB.
const LONGEST: usize = 16 * 1024;

/// Fields of a line beyond which the rest is only in its message.
const MOST_FIELDS: usize = 32;

/// See the module. A layer of a subscriber.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    identifier: &'static str,
    /// Lines that the journal did not take, since it last took one.
    lost: AtomicU64,
}

impl Journal {
    /// The journal, if standard error leads there and it can be written to; `identifier`: whose
    /// lines they are.
    #[must_use]
    pub fn of_standard_error(identifier: &'static str) -> Option<Self> {
        let stream = std::env::var(STREAM).ok()?;
        leads_to(io::stderr(), &stream).then(|| Self::at(Path::new(SOCKET), identifier).ok())?
    }

    /// The journal at another socket.
    ///
    /// # Errors
    /// There is no socket to send from.
    pub fn at(path: &Path, identifier: &'static str) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // A journal that hangs must not hang who writes to it.
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            path: path.to_owned(),
            identifier,
            lost: AtomicU64::new(0),
        })
    }

    fn send(&self, level: Level, target: &str, line: &Fields) {
        let mut entry = String::new();
        put(&mut entry, "MESSAGE", &line.message());
        put(&mut entry, "PRIORITY", priority(level));
        put(&mut entry, "SYSLOG_IDENTIFIER", self.identifier);
        put(&mut entry, "NETPOLICY_TARGET", target);
        for (name, value) in line.values.iter().take(MOST_FIELDS) {
            put(&mut entry, &field_name(name), value);
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            put(&mut entry, "NETPOLICY_LINES_LOST", &lost.to_string());
        }
        let Err(error) = self.socket.send_to(entry.as_bytes(), &self.path) else {
            return;
        };
        if error.kind() == io::ErrorKind::WouldBlock {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
            return;
        }
        // It is being restarted: the stream is kept across that. Where this fails as well, no
        // stream is left.
        let text = one_line(&line.message());
        let _ = writeln!(io::stderr(), "<{}>{text}", priority(level));
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let about = event.metadata();
        self.send(*about.level(), about.target(), &fields);
    }
}

/// Whether a descriptor is the one that `JOURNAL_STREAM` names.
fn leads_to(descriptor: impl AsFd, stream: &str) -> bool {
    let named = stream.split_once(':').and_then(|(device, inode)| {
        Some((device.parse::<u64>().ok()?, inode.parse::<u64>().ok()?))
    });
    let found = rustix::fs::fstat(descriptor);
    found.is_ok_and(|found| named == Some((found.st_dev, found.st_ino)))
}

/// syslog(3)'s number.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// A field of an entry. Values hold no line break once they are escaped, so the protocol's plain
/// form does for all of them.
fn put(entry: &mut String, name: &str, value: &str) {
    let value = match value.char_indices().nth(LONGEST) {
        Some((end, _)) => value.get(..end).unwrap_or_default(),
        None => value,
    };
    entry.push_str(name);
    entry.push('=');
    entry.push_str(&one_line(value));
    entry.push('\n');
}

/// `NETPOLICY_` and the name in capitals; what the journal does not take becomes `_`.
fn field_name(name: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    };
    // 64 characters at the most (journal_field_valid of systemd's journal-file.c).
    let name: String = name.trim_start_matches("r#").chars().map(plain).collect();
    format!("NETPOLICY_{name}").chars().take(64).collect()
}

/// A line's words and values.
#[derive(Debug, Default)]
struct Fields {
    words: String,
    values: Vec<(&'static str, String)>,
}

impl Fields {
    fn message(&self) -> String {
        let mut message = self.words.clone();
        for (name, value) in &self.values {
            let name = name.trim_start_matches("r#");
            let space = if message.is_empty() { "" } else { " " };
            // Writing to a string does not fail.
            let _ = write!(message, "{space}{name}={value}");
        }
        message
    }

    fn set(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.words = value,
            name => self.values.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    fn received(work: impl FnOnce()) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let receiver = UnixDatagram::bind(&path).unwrap();
        receiver.set_nonblocking(true).unwrap();
        let journal = Journal::at(&path, "netpolicy").unwrap();
        let subscriber = tracing_subscriber::registry().with(journal);
        tracing::subscriber::with_default(subscriber, work);
        let mut buffer = vec![0; 1 << 18];
        let mut entries = Vec::new();
        while let Ok(length) = receiver.recv(&mut buffer) {
            entries.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        entries
    }

    #[test]
    fn line_has_its_words_and_each_field_by_its_name() {
        let entries = received(|| {
            tracing::info!(actor = "alice", revision = 7_u64, "changed");
            let error = "eth0: \u{1b}[2Jbusy\nMESSAGE=forged";
            tracing::error!(error, %error, "not attached\u{7}");
        });
        assert_eq!(
            entries[0],
            "MESSAGE=changed actor=alice revision=7\nPRIORITY=6\nSYSLOG_IDENTIFIER=netpolicy\n\
             NETPOLICY_TARGET=netpolicy_log::journal::tests\n\
             NETPOLICY_ACTOR=alice\nNETPOLICY_REVISION=7\n"
        );
        let lines: Vec<_> = entries[1].lines().collect();
        assert!(lines[0].starts_with("MESSAGE=not attached\\u{7} error=eth0: \\u{1b}[2Jbusy\\n"));
        assert_eq!(lines[1], "PRIORITY=3");
        assert!(lines.contains(&"NETPOLICY_ERROR=eth0: \\u{1b}[2Jbusy\\nMESSAGE=forged"));
        let messages = lines.iter().filter(|line| line.starts_with("MESSAGE="));
        assert_eq!(messages.count(), 1, "{lines:?}");
    }

    #[test]
    fn long_value_is_cut_and_arrives() {
        let long = "é".repeat(5 * LONGEST);
        let entries = received(|| tracing::warn!(long, "much"));
        assert_eq!(entries.len(), 1);
        let value = entries[0]
            .lines()
            .find_map(|l| l.strip_prefix("NETPOLICY_LONG="));
        assert_eq!(value.unwrap().chars().count(), LONGEST);
    }

    #[test]
    fn journal_that_hangs_loses_lines_and_says_how_many() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::at(&path, "netpolicy").unwrap();
        let line = Fields {
            words: "x".to_owned(),
            ..Fields::default()
        };
        for _ in 0..10_000 {
            journal.send(Level::INFO, "t", &line);
        }
        let lost = journal.lost.load(Ordering::Relaxed);
        assert!(lost > 0 && lost < 10_000, "{lost}");
        let mut buffer = vec![0; 1024];
        for _ in lost..10_000 {
            receiver.recv(&mut buffer).unwrap();
        }
        journal.send(Level::INFO, "t", &line);
        let length = receiver.recv(&mut buffer).unwrap();
        let entry = String::from_utf8(buffer[..length].to_vec()).unwrap();
        assert!(
            entry.ends_with(&format!("NETPOLICY_LINES_LOST={lost}\n")),
            "{entry}"
        );
    }

    #[test]
    fn stream_is_told_by_device_and_inode() {
        let file = tempfile::tempfile().unwrap();
        let stat = rustix::fs::fstat(&file).unwrap();
        let named = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert!(leads_to(&file, &named));
        assert!(!leads_to(
            &file,
            &format!("{}:{}", stat.st_dev, stat.st_ino + 1)
        ));
        assert!(!leads_to(&file, "") && !leads_to(&file, "x:y"));
        assert_eq!(field_name("r#type"), "NETPOLICY_TYPE");
        assert_eq!(field_name("otel.name"), "NETPOLICY_OTEL_NAME");
        assert_eq!(field_name(&"x".repeat(99)).len(), 64);
    }
}
