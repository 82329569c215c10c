//! Runs the binary, and keeps its output.

use std::time::Duration;

use serde_json::Value;

const COMMAND_TIME: Duration = Duration::from_secs(60);

/// What a command said.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its arguments.
    pub args: String,
    /// Its exit code; `None`: a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output of a command that must have succeeded.
    ///
    /// # Panics
    /// When it failed.
    #[track_caller]
    #[must_use]
    pub fn ok(&self) -> &str {
        assert_eq!(
            self.code,
            Some(0),
            "netpolicy {}: {}{}",
            self.args,
            self.stdout,
            self.stderr
        );
        &self.stdout
    }

    /// Standard error of a command that must have failed with this code: one line
    /// and an optional hint, and nothing on standard output.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    #[must_use]
    pub fn failed(&self, code: i32) -> &str {
        let said = format!("netpolicy {}: {}{}", self.args, self.stdout, self.stderr);
        assert_eq!(self.code, Some(code), "{said}");
        assert!(!self.stderr.trim().is_empty(), "no reason given: {said}");
        assert!(!self.stderr.contains("panicked"), "{said}");
        &self.stderr
    }

    /// What a change printed that is in force, and left connections of denied sources open.
    ///
    /// # Panics
    /// When it left none open, or failed.
    #[track_caller]
    #[must_use]
    pub fn left_open(&self) -> &str {
        let stderr = self.failed(1);
        assert!(stderr.contains("still open"), "{stderr}");
        &self.stdout
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When the command failed or what it printed is no JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        let text = self.ok();
        serde_json::from_str(text)
            .unwrap_or_else(|e| panic!("netpolicy {}: {e}: {text}", self.args))
    }
}

/// Runs a command with a time limit.
///
/// # Panics
/// When it cannot be run.
#[must_use]
pub fn run(command: std::process::Command, args: &[&str], input: &str) -> Output {
    let out = assert_cmd::Command::from_std(command)
        .timeout(COMMAND_TIME)
        .write_stdin(input)
        .output()
        .expect("run netpolicy");
    Output {
        args: args.join(" "),
        code: out.status.code(),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

/// Fails unless a text has each of these words, in this order.
///
/// # Panics
/// When it has not.
#[track_caller]
pub fn assert_has(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let at = rest
            .find(word)
            .unwrap_or_else(|| panic!("no {word:?} (in order) in:\n{text}"));
        rest = &rest[at + word.len()..];
    }
}
