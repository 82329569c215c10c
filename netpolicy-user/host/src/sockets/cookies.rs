//! SYN cookies: whether this network namespace has answered with some.
//!
//! Only reads a counter.

use std::fs;

/// How many SYN cookies this network namespace has sent since it exists: the counter
/// `SyncookiesSent` of `/proc/net/netstat`. `None`: the kernel does not say.
///
/// A cookie admits its client without a socket on this side, so nothing can take it back:
/// a client that has one may connect for one to two minutes (`MAX_SYNCOOKIE_AGE` periods of
/// `TCP_SYNCOOKIE_PERIOD`, `include/net/tcp.h`), also when its source was denied meanwhile.
#[must_use]
pub fn syn_cookies_sent() -> Option<u64> {
    // `/proc/net` is that of the process's first thread.
    let text = fs::read_to_string("/proc/thread-self/net/netstat").ok()?;
    read(&text)
}

/// Names in one line, values in the next.
fn read(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names
        .split_whitespace()
        .position(|name| name == "SyncookiesSent")?;
    values.split_whitespace().nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn counter_is_found_by_its_name() {
        let text =
            "TcpExt: SyncookiesRecv SyncookiesSent Other\nTcpExt: 1 20 3\nIpExt: A\nIpExt: 9\n";
        assert_eq!(read(text), Some(20));
        assert_eq!(read("TcpExt: A\nTcpExt: 1\n"), None);
        assert_eq!(read(""), None);
    }
}
