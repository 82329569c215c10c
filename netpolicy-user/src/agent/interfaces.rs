//! Tells when network interfaces come, go or change.
//!
//! Says only that something happened: what is attached is asked of the kernel
//! anew, so a notification that is lost or means nothing does no harm.

use std::io;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use rtnetlink::MulticastGroup;

/// How long to wait for more of the burst of notifications that one change makes.
const SETTLE: Duration = Duration::from_millis(50);

/// Calls `changed` after every change of links in the agent's network namespace,
/// once a burst. Ends only when the notifications end.
///
/// # Errors
/// The netlink socket cannot be opened or bound.
pub async fn watch(changed: impl Fn()) -> io::Result<()> {
    let (connection, _handle, mut messages) =
        rtnetlink::new_multicast_connection(&[MulticastGroup::Link])?;
    let connection = tokio::spawn(connection);
    // An overrun of the socket's buffer (ENOBUFS) arrives as a message too, and
    // like any other means: look at everything again.
    while messages.next().await.is_some() {
        tokio::time::sleep(SETTLE).await;
        while let Some(Some(_)) = messages.next().now_or_never() {}
        changed();
    }
    connection.abort();
    Ok(())
}
