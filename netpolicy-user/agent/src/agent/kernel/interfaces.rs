//! The thread that attaches as soon as something happens to an interface or a pin.
//!
//! Three things wake it: netlink's notifications of interfaces, inotify's of removed pins,
//! and the time, since nothing tells of a link that was detached by force. It is told only
//! that something happened; what is so is asked of the kernel by the [`Attacher`]. It waits
//! for no change of policies, however long one takes in the writer.
//!
//! [`Attacher`]: super::attach::Attacher

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::setpriority_process;
use tokio::sync::oneshot;

use super::attach::{self, SharedAttacher};
use crate::netdev::Watch;

/// The longest time between two looks: attach, update and close of links give no event.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The thread's nice value, in front of everything that is not urgent; see sched(7).
const NICE: i32 = -10;

/// The directories of pins, below that of the configuration; bpffs tells of them like any
/// other file system.
const PINS: [&str; 3] = ["", "live", "links"];

/// Bytes for inotify's events; more than fit are read the next time.
const EVENTS: usize = 4096;

/// Starts the thread. `pins_changed` is called when pins were removed, `published` after a
/// look that found something new. What is returned resolves when the thread has ended,
/// which is a fault: only a panic ends it.
///
/// # Errors
/// The system makes no thread.
pub fn start(
    attacher: SharedAttacher,
    bpffs_dir: PathBuf,
    changed: impl Fn() + Send + 'static,
) -> io::Result<oneshot::Receiver<()>> {
    let (ended, end) = oneshot::channel();
    std::thread::Builder::new()
        .name("attacher".to_owned())
        .spawn(move || {
            let _ended = ended;
            // An interface is open until it is attached to. Without the capability for this
            // (CAP_SYS_NICE) the thread waits for its turn.
            let _ = setpriority_process(None, NICE);
            let links = sources("notifications of interfaces", Watch::open());
            let pins = sources("notifications of pins", watch_pins());
            loop {
                let removed = wait(links.as_ref(), pins.as_ref(), &bpffs_dir);
                let is_new = attach::lock(&attacher).check();
                if removed || is_new {
                    changed();
                }
            }
        })?;
    Ok(end)
}

/// Without one of them, looking twice a second is what is left.
fn sources<T>(what: &str, opened: io::Result<T>) -> Option<T> {
    opened
        .inspect_err(|error| {
            tracing::warn!(%error, "no {what}: they are checked every {LOOK_EVERY:?}");
        })
        .ok()
}

fn watch_pins() -> io::Result<OwnedFd> {
    let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
    Ok(inotify::init(flags)?)
}

/// Waits until something happens or it is time to look. Whether pins were removed.
fn wait(links: Option<&Watch>, pins: Option<&OwnedFd>, bpffs_dir: &Path) -> bool {
    if let Some(pins) = pins {
        watch_dirs(pins, bpffs_dir);
    }
    let mut fds: Vec<PollFd<'_>> = links
        .map(AsFd::as_fd)
        .into_iter()
        .chain(pins.map(AsFd::as_fd))
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .collect();
    let timeout = Timespec::try_from(LOOK_EVERY).ok();
    // An interruption is as good a reason to look as any.
    let _ = poll(&mut fds, timeout.as_ref());
    if let Some(links) = links
        && let Err(error) = links.drain()
    {
        tracing::debug!(%error, "a notification of interfaces could not be read");
    }
    pins.is_some_and(drain_pins)
}

/// Adds what is not watched yet, such as directories that were made again. Those that are
/// watched stay so.
fn watch_dirs(pins: &OwnedFd, bpffs_dir: &Path) {
    use inotify::WatchFlags as On;
    let removal = On::DELETE | On::DELETE_SELF | On::MOVED_FROM | On::MOVE_SELF;
    for dir in PINS {
        // One that is not there is seen at the next look.
        let _ = inotify::add_watch(pins, bpffs_dir.join(dir), removal | On::ONLYDIR);
    }
}

fn drain_pins(pins: &OwnedFd) -> bool {
    let mut buffer = [MaybeUninit::<u8>::uninit(); EVENTS];
    let mut events = inotify::Reader::new(pins, &mut buffer);
    let mut any = false;
    while events.next().is_ok() {
        any = true;
    }
    any
}
