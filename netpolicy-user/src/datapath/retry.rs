//! Patience with a kernel that is short of memory for a moment.

use std::{thread, time::Duration};

use aya::maps::MapError;

use super::error::is_out_of_memory;

/// Runs `operation` again while it fails with `ENOMEM`: LPM tries allocate their
/// nodes in atomic context, and some 6.18 kernels refuse a while under pressure.
/// Gives up after about half a second; then the whole apply fails.
pub(super) fn while_out_of_memory<T>(
    mut operation: impl FnMut() -> Result<T, MapError>,
) -> Result<T, MapError> {
    let mut pause = Duration::from_millis(1);
    loop {
        match operation() {
            Err(error) if is_out_of_memory(&error) && pause < Duration::from_millis(300) => {
                thread::sleep(pause);
                pause *= 2;
            }
            done => return done,
        }
    }
}
