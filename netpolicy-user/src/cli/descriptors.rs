//! Whether files can be opened, before anything is made that needs some: the runtime panics
//! where it cannot make the pair of sockets by which it hears of signals.

use std::fs::File;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::failure::{Failure, MORE_FILES, lacks_files};

/// What a command opens at a time: the runtime, the agent's socket, routes, pins.
pub(super) const COMMAND: usize = 12;

/// What the agent opens at its start, with one interface.
pub(super) const AGENT: usize = 48;

/// Refuses to go on where not so many more files can be opened.
///
/// # Errors
/// They cannot; with the limit and what to do.
pub(super) fn require(files: usize) -> Result<(), Failure> {
    let mut held = Vec::with_capacity(files);
    for _ in 0..files {
        match File::open(Path::new("/dev/null")) {
            Ok(file) => held.push(file),
            Err(error) if lacks_files(&error) => {
                let limit = getrlimit(Resource::Nofile).current;
                let limit = limit.map_or_else(String::new, |limit| format!(" (limit {limit})"));
                return Err(Failure::new(format!(
                    "too few files can be opened: {files} more are required, {} can be{limit}: \
                     {error}",
                    held.len()
                ))
                .hint(MORE_FILES));
            }
            // Without a /dev nothing is known, and the first that needs a file says so.
            Err(_) => break,
        }
    }
    Ok(())
}
