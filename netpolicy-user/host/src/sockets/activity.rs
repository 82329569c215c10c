//! How long connections have been idle.

use std::collections::HashMap;
use std::time::Duration;

use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6};
use netlink_packet_sock_diag::inet::ExtensionFlags;
use netlink_packet_sock_diag::inet::nlas::Nla;

use super::connection::Connection;
use super::diag::Diag;
use super::error::SocketsError;
use super::session::{Session, SessionIdentity};
use super::survey::everything;

/// For each connection of the calling thread's network namespace the time since data was sent or
/// received on it; of an MPTCP connection, on any of its subflows. What opens or ends meanwhile
/// may be missing.
///
/// # Errors
/// The kernel does not list sockets, or cannot be asked.
pub fn idle_times() -> Result<HashMap<SessionIdentity, Duration>, SocketsError> {
    let mut times = HashMap::new();
    for family in [AF_INET, AF_INET6] {
        Diag::open()?.dump(everything(family, ExtensionFlags::INFO), |response| {
            let connection = Connection::read(&response.header, &response.nlas);
            let idle = response.nlas.iter().find_map(|nla| match nla {
                Nla::TcpInfo(info) => idle(info),
                _ => None,
            });
            if let (Some(connection), Some(idle)) = (connection, idle) {
                let time = times
                    .entry(Session::Own(connection).identity())
                    .or_insert(idle);
                *time = idle.min(*time);
            }
        })?;
    }
    Ok(times)
}

/// The lesser of `tcpi_last_data_sent` and `tcpi_last_data_recv` of `struct tcp_info` in
/// `linux/tcp.h`: milliseconds.
fn idle(info: &[u8]) -> Option<Duration> {
    const LAST_DATA_SENT: usize = 44;
    const LAST_DATA_RECEIVED: usize = 52;
    let field = |at: usize| {
        let bytes = info.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_ne_bytes(bytes))
    };
    let milliseconds = field(LAST_DATA_SENT)?.min(field(LAST_DATA_RECEIVED)?);
    Some(Duration::from_millis(milliseconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_data_in_either_direction_counts() {
        let mut info = vec![0; 104];
        info[44..48].copy_from_slice(&900_u32.to_ne_bytes());
        info[52..56].copy_from_slice(&250_u32.to_ne_bytes());
        assert_eq!(idle(&info), Some(Duration::from_millis(250)));
        assert_eq!(idle(&info[..50]), None);
    }
}
