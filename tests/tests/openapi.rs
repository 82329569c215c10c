//! The OpenAPI document, by tools that others use: a validator, and a generated client that
//! calls every operation of a running agent.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use netpolicy_tests::host::DatabaseHost;
use netpolicy_tests::{binary, python};

/// Generates a client and lets it call every operation; `check.py` says what it checks.
fn check(host: &DatabaseHost) -> Output {
    let directory = host.file("generated");
    std::fs::create_dir(&directory).unwrap();
    Command::new(python::interpreter())
        .arg(binary::workspace().join("tests/openapi/check.py"))
        .args([&host.socket(), &directory])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap()
}

#[test]
fn generated_client_calls_every_operation_and_each_answer_matches_its_schema() {
    let host = DatabaseHost::start();
    let out = std::thread::scope(|scope| {
        let check = scope.spawn(|| check(&host));
        // What the stream of events tells of, once the client's policy blocks the source.
        while !check.is_finished() {
            let _ = host.connect_briefly("10.0.0.1", 8080);
        }
        check.join().unwrap()
    });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&out.stdout) + &text(&out.stderr);
    assert!(out.status.success(), "{said}");
    assert!(said.contains(" operations called"), "{said}");
}
