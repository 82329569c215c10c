//! Pins that are removed behind an agent's back.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// How often a directory is removed that an agent fills again at the same time.
const TRIES: usize = 100;

/// Removes a directory with all its pins, as `rm -r` that is repeated until nothing is left:
/// an agent that runs pins again as soon as it sees a pin removed.
///
/// # Panics
/// The directory cannot be removed.
pub fn remove(directory: &Path) {
    for _ in 0..TRIES {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
            // A file that is gone by now is one that the agent replaced.
            Err(error) if error.kind() == ErrorKind::NotFound && directory.exists() => {}
            removed => return removed.expect("the directory of pins is removed"),
        }
    }
    panic!("{} was filled again {TRIES} times", directory.display());
}
