//! Ctrl-C and its like: removes what this process made, and ends it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, exit},
    thread,
};

use netpolicy_tests::id;
use nix::sys::signal::{SigSet, Signal};

/// From here on, these signals end the process in order. To be called while it has one
/// thread, so that those started later leave the signals to this one.
pub(crate) fn clean_up_when_interrupted() {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().expect("block signals");
    thread::spawn(move || {
        if signals.wait().is_ok() {
            clean_up();
            exit(130);
        }
    });
}

/// Removes namespaces, pins and files of this process, by their names. The agents that
/// it started are killed with it.
fn clean_up() {
    let prefix = format!("npt{}-", std::process::id());
    for path in own(Path::new(id::NETNS_DIR), &prefix) {
        if let Some(name) = path.file_name() {
            let _ = Command::new("ip").args(["netns", "del"]).arg(name).status();
        }
    }
    let temp = std::env::temp_dir();
    for dir in [Path::new(id::BPFFS), temp.as_path()] {
        for path in own(dir, &prefix) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

fn own(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect()
}
