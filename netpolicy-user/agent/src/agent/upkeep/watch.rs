//! Watches the store's files for changes.
//!
//! Says only that something happened; what it was is asked of the files, also every few
//! seconds, so that a notification that is lost does no harm.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

/// How long to wait for more of what one command does, and for the directory to come back.
const SETTLE: Duration = Duration::from_millis(20);
const ABSENT: Duration = Duration::from_secs(1);

/// Calls `changed` after files in `dir` were moved, deleted or written by a program that closed
/// them (SQLite keeps its own open), and after `dir` itself was.
///
/// # Errors
/// inotify(7) is not to be had.
pub async fn watch(dir: &Path, changed: impl Fn()) -> io::Result<()> {
    let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    // SAFETY: an `OwnedFd` is open and the same one as long as it exists, and nothing takes it
    // out of the `AsyncFd`.
    let queue = unsafe { AsyncFd::register_with_interest(queue, Interest::READABLE) }?;
    let events = WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR;
    loop {
        // Again each time: the path may name another directory now.
        match inotify::add_watch(queue.get_ref(), dir, events) {
            Ok(_) => {}
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => {
                sleep(ABSENT).await;
                continue;
            }
            Err(errno) => return Err(errno.into()),
        }
        let mut ready = queue.readable().await?;
        sleep(SETTLE).await;
        drain(queue.get_ref());
        ready.clear_ready();
        changed();
    }
}

/// Reads what there is; what it says does not matter.
fn drain(queue: &OwnedFd) {
    let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
    let mut events = inotify::Reader::new(queue, &mut buffer);
    while events.next().is_ok() {}
}
