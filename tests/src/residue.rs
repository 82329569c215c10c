//! Resources that this process has left behind.

use std::fs;
use std::path::Path;

use crate::id;

/// Namespaces, pins, directories and processes under a name's prefix (`npt<pid>-`),
/// each as a line; empty: nothing is left.
#[must_use]
pub fn of(prefix: &str) -> Vec<String> {
    let temp = std::env::temp_dir();
    let mut left = Vec::new();
    for dir in [
        Path::new(id::NETNS_DIR),
        Path::new(id::BPFFS),
        temp.as_path(),
    ] {
        left.extend(
            id::names_in(dir)
                .filter(|n| n.starts_with(prefix))
                .map(|n| format!("{}/{n}", dir.display())),
        );
    }
    left.extend(lines_with("/proc/self/mounts", prefix));
    left.extend(processes_with(prefix));
    left
}

fn lines_with(file: &str, text: &str) -> Vec<String> {
    let content = fs::read_to_string(file).unwrap_or_default();
    content
        .lines()
        .filter(|l| l.contains(text))
        .map(|l| format!("{file}: {l}"))
        .collect()
}

/// Processes whose arguments or environment mention a text.
fn processes_with(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let dir = entry.path();
        let read = |name: &str| {
            fs::read(dir.join(name))
                .map(|b| String::from_utf8_lossy(&b).into_owned())
                .unwrap_or_default()
        };
        let arguments = read("cmdline");
        if entry
            .file_name()
            .to_str()
            .is_none_or(|n| n.parse::<u32>().is_err())
        {
            continue;
        }
        if arguments.contains(text) || read("environ").contains(text) {
            found.push(format!(
                "process {}: {}",
                dir.display(),
                arguments.replace('\0', " ")
            ));
        }
    }
    found
}
