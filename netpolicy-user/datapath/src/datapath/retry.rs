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

/// Tries five times in all, as long as an error is worth it.
pub(super) fn five_times_while<T, E>(
    is_worth_it: impl Fn(&E) -> bool,
    mut load: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    for _ in 1..5 {
        match load() {
            Err(error) if is_worth_it(&error) => {}
            done => return done,
        }
    }
    load()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often it is tried where each failure answers this, and what comes of it.
    fn tried(error: &'static str) -> (u32, Result<(), &'static str>) {
        let mut tries = 0;
        let done = five_times_while(
            |error| *error == "interrupted",
            || {
                tries += 1;
                Err(error)
            },
        );
        (tries, done)
    }

    #[test]
    fn interrupted_load_is_tried_five_times_and_a_refused_one_once() {
        assert_eq!(tried("interrupted"), (5, Err("interrupted")));
        assert_eq!(tried("refused"), (1, Err("refused")));
        assert_eq!(five_times_while(|(): &()| true, || Ok(())), Ok(()));
    }
}
