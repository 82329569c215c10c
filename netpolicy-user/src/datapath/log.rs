//! What a program built for debugging logs.

use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::io::{Interest, unix::AsyncFd};

/// Prints the program's log with this process's own, for as long as it runs. Only the
/// process that loaded the program can: the log's map is not pinned.
pub(super) fn forward(ebpf: &mut Ebpf) {
    let logger = match EbpfLogger::init(ebpf) {
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
