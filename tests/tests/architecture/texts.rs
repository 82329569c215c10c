//! How source files look, and words that only some of them hold.

use std::path::Path;

use netpolicy_tests::binary::workspace;

use super::{in_part, is_unit_test, sources, user_sources};

/// Most lines of a file.
const LONGEST: usize = 450;

/// What is kept for SQL's dialects has names where it is defined, in JSON and in the meaning
/// of statements.
#[test]
fn what_only_dialects_need_is_opaque_elsewhere() {
    const KNOW: &str = "model/compat.rs model/change.rs store/document.rs sql/meaning";
    let mut naming = Vec::new();
    for (name, text) in user_sources() {
        let names = text.contains("blocked_rest") || text.contains("default_dropped");
        if names && !is_unit_test(Path::new(&name)) {
            naming.push(name);
        }
    }
    for name in &naming {
        assert!(KNOW.split(' ').any(|part| in_part(name, part)), "{name}");
    }
    for part in KNOW.split(' ') {
        assert!(naming.iter().any(|name| in_part(name, part)), "{part}");
    }
}

#[test]
fn only_one_file_makes_raw_system_calls() {
    for (name, text) in user_sources() {
        if name != "datapath/sys.rs" {
            assert!(!text.contains("libc::syscall"), "{name}");
            assert!(!text.contains("SYS_bpf"), "{name}");
        }
    }
}

#[test]
fn every_file_begins_with_its_purpose_and_is_short() {
    let mut wrong = Vec::new();
    for part in [
        "netpolicy-common",
        "netpolicy-ebpf",
        "netpolicy-user",
        "xtask",
        "tests",
    ] {
        for (file, text) in sources(&workspace().join(part)) {
            let name = file.strip_prefix(workspace()).unwrap().display();
            // Unit tests are parts of the modules next to them.
            if !text.starts_with("//!") && !is_unit_test(&file) {
                wrong.push(format!("{name} does not open with what it owns (//!)"));
            }
            let lines = text.lines().take_while(|l| *l != "#[cfg(test)]").count();
            if lines > LONGEST {
                wrong.push(format!("{name} has {lines} lines: more than one idea"));
            }
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
