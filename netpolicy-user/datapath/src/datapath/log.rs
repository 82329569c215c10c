//! What a program built for debugging logs.

use aya_log::EbpfLogger;
use tokio::io::{Interest, unix::AsyncFd};

/// Prints a program's log with this process's own, for as long as it runs; and those of all that
/// were loaded together with it, which have one map for that.
pub(super) fn forward(program: u32) {
    let logger = match EbpfLogger::init_from_id(program) {
        Ok(logger) => logger,
        Err(error) => return tracing::warn!(%error, "cannot read the program's log"),
    };
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    runtime.spawn(async move {
        let mut logger = AsyncFd::with_interest(logger, Interest::READABLE)?;
        loop {
            let mut ready = logger.readable_mut().await?;
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
        #[expect(unreachable_code, reason = "tells the block's type")]
        std::io::Result::Ok(())
    });
}
