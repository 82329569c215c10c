//! A short, repeatable run of the fuzzer; `cargo xtask fuzz` runs it for long.

use netpolicy_tests::fuzz::{self, Target};

fn run(target: Target) {
    let done = fuzz::run(target, 1, |executions| executions >= 20_000)
        .unwrap_or_else(|f| panic!("{}: {:?}", f.what, String::from_utf8_lossy(&f.input)));
    // It went somewhere.
    assert!(done.kept > 100, "{done:?}");
}

#[test]
fn sql_survives_mutations() {
    run(Target::Sql);
}

#[test]
fn the_policy_file_survives_mutations() {
    run(Target::PolicyFile);
}

#[test]
fn lists_in_other_formats_survive_mutations() {
    run(Target::Formats);
}
