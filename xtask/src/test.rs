//! `cargo xtask test`: all tests, with root's rights for those that need a kernel.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use xshell::{Shell, cmd};

use crate::build;
use crate::programs::{self, Program};
use crate::setup::{self, Purpose};
use crate::{tools, workspace};

/// What to test, and how thoroughly.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Try all of what each run tries a part of: millions of random frames, and a kill at
    /// every system call of a change; takes some twenty minutes more
    #[arg(long)]
    long: bool,
    /// For `cargo test`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Read by `tests/tests/differential.rs` and `faults.rs`.
const LONG_VARIABLE: &str = "NETPOLICY_TEST_LONG";

/// Chooses the engine that tests of the kernel run against.
const ENGINE_VARIABLE: &str = "NETPOLICY_ENGINE";

/// Test programs in which the engine matters: where lists are looked up, filled, replaced or
/// read back. They run with the LPM engine as well: all tests, or those whose names contain one
/// of these words. With `--long` all do.
const ENGINE_TESTS: [(&str, &[&str]); 14] = [
    ("change_under_load", &[]),
    ("counters", &[]),
    ("differential", &[]),
    (
        "drift",
        &[
            "explain",
            "changed",
            "damage",
            "pins_of",
            "engine",
            "map",
            "replacement",
        ],
    ),
    ("long_lists", &[]),
    ("memory", &[]),
    ("packets", &[]),
    ("property", &[]),
    ("reset_frames", &[]),
    ("resets", &["at_once", "open_connection"]),
    ("survival", &["middle", "mixture", "under_traffic"]),
    ("traffic", &["allow_block", "services", "observe", "bypass"]),
    ("verdicts", &[]),
    ("verifier", &[]),
];

/// Test programs that take the longest, mostly waiting: started first.
const LONGEST: [&str; 18] = [
    "feeds",
    "bypass",
    "netpolicy_agent",
    "netpolicy_user",
    "netpolicy_policy",
    "netpolicy_store",
    "change_under_load",
    "store_loss",
    "drift",
    "sql",
    "differential",
    "clock",
    "survival",
    "store_faults",
    "confirm",
    "existing_many",
    "backup",
    "traffic",
];

/// Test programs that run at the same time. Many of them mostly wait.
const AT_ONCE: usize = 4;

/// Runs all tests, those in which it matters with both engines; `typed` names some of them as
/// to `cargo test`.
///
/// # Errors
/// When a test fails, or root's rights cannot be had.
pub(crate) fn test(arguments: &Arguments, typed: Vec<String>) -> Result<()> {
    let mut args = typed;
    // As typed: the parser takes away a leading `--`, which cargo must see.
    let own = args.iter().position(|arg| arg == "--long");
    if let Some(at) = own.filter(|_| arguments.long) {
        args.remove(at);
    }
    setup::setup(Purpose::Test)?;
    let (binary, net) = build::for_tests()?;
    let shell = workspace::shell()?;
    // The tests are in another package than the binary, so cargo does not tell them.
    shell.set_var(build::BINARY_VARIABLE, &binary);
    shell.set_var(build::NET_VARIABLE, &net);
    // Root's CARGO_HOME may be another one.
    let toolchain = tools::pinned_toolchain(workspace::root())?;
    let tools_dir = tools::tools_dir(&toolchain)?;
    shell.set_var(tools::TOOLS_DIR_VARIABLE, &tools_dir);
    if arguments.long {
        shell.set_var(LONG_VARIABLE, "1");
        // The browser of `tests/tests/console_browser.rs`, with its driver.
        setup::program(&shell, "chromedriver", "chromium-driver")?;
    }
    workspace::tests_as_root(&shell)?;
    if args.is_empty() {
        let binaries = [
            (build::BINARY_VARIABLE, &*binary),
            (build::NET_VARIABLE, &*net),
        ];
        all(&shell, binaries, &tools_dir, arguments.long)
    } else {
        some(&shell, &args)
    }
}

/// What cargo is asked for, with both engines.
fn some(shell: &Shell, args: &[String]) -> Result<()> {
    cmd!(shell, "cargo test --workspace {args...}").run()?;
    println!("Once more, with the LPM engine:");
    shell.set_var(ENGINE_VARIABLE, "lpm");
    cmd!(shell, "cargo test --package netpolicy-tests {args...}").run()?;
    Ok(())
}

/// The binaries that are tested, by the variables that name them.
type Binaries<'a> = [(&'static str, &'a Path); 2];

/// A test program, and the engine that it runs against.
struct Job<'a> {
    program: &'a Program,
    engine: &'static str,
    /// Only tests whose names contain one of these; none: all tests.
    only: &'static [&'static str],
}

/// All test programs, some at the same time.
fn all(shell: &Shell, binaries: Binaries<'_>, tools_dir: &Path, long: bool) -> Result<()> {
    let programs = programs::build(shell, &["--workspace".to_owned()])?;
    let jobs = jobs(&programs, long);
    let waiting = Mutex::new(jobs.iter());
    let failed = Mutex::new(Vec::new());
    let work = || {
        loop {
            let next = waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next();
            let Some(job) = next else { return };
            let is_ok = match run(job, binaries, tools_dir, long) {
                Ok(output) => report(job, &output),
                Err(error) => {
                    eprintln!("{}: {error:#}", job.program.name);
                    false
                }
            };
            if !is_ok {
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.push(format!("{} ({})", job.program.name, job.engine));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    cmd!(shell, "cargo test --workspace --doc").run()?;
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// Each program with the default engine, some with the other as well; the longest first.
fn jobs(programs: &[Program], long: bool) -> Vec<Job<'_>> {
    let flat = programs.iter().map(|program| Job {
        program,
        engine: "flat",
        only: &[],
    });
    let lpm = programs.iter().filter_map(|program| {
        let mut tests = ENGINE_TESTS.iter();
        let (_, only) = tests.find(|(name, _)| *name == program.name)?;
        Some(Job {
            program,
            engine: "lpm",
            only: if long { &[] } else { only },
        })
    });
    let mut jobs: Vec<_> = flat.chain(lpm).collect();
    jobs.sort_by_key(|job| {
        let place = LONGEST.iter().position(|name| *name == job.program.name);
        place.unwrap_or(LONGEST.len())
    });
    jobs
}

fn run(job: &Job<'_>, binaries: Binaries<'_>, tools_dir: &Path, long: bool) -> Result<Output> {
    let mut command = if workspace::is_root() {
        Command::new(&job.program.path)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("--preserve-env").arg(&job.program.path);
        sudo
    };
    command
        .current_dir(&job.program.directory)
        .envs(binaries)
        .env(tools::TOOLS_DIR_VARIABLE, tools_dir)
        .env(ENGINE_VARIABLE, job.engine)
        .args(job.only)
        .stdin(Stdio::null());
    if long {
        command.env(LONG_VARIABLE, "1");
    }
    let path = job.program.path.display();
    command.output().with_context(|| format!("start {path}"))
}

/// Prints what a program said, all of it at once; whether its tests passed.
fn report(job: &Job<'_>, output: &Output) -> bool {
    let mut text = format!("     Running {} ({})\n", job.program.name, job.engine);
    text.push_str(&String::from_utf8_lossy(&output.stdout));
    if !output.status.success() {
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        text.push_str(&format!("{}: {}\n", job.program.name, output.status));
    }
    println!("{text}");
    output.status.success()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_test_programs_and_tests_exist() {
        let source = |name: &str| {
            let path = workspace::root().join(format!("tests/tests/{name}.rs"));
            std::fs::read_to_string(path)
        };
        for name in LONGEST {
            assert!(
                name.starts_with("netpolicy_") || source(name).is_ok(),
                "{name}"
            );
        }
        for (name, only) in ENGINE_TESTS {
            let text = source(name).unwrap();
            let functions = text.lines().filter(|line| line.starts_with("fn "));
            let functions: Vec<_> = functions.collect();
            for word in only {
                let is_named = functions.iter().any(|line| line.contains(word));
                assert!(is_named, "no test of {name} has {word} in its name");
            }
        }
    }

    #[test]
    fn programs_of_lists_run_with_both_engines_and_the_longest_first() {
        let program = |name: &str| Program {
            name: name.to_owned(),
            path: name.into(),
            directory: ".".into(),
        };
        let programs = ["cli", "packets", "bypass", "survival"].map(program);
        let planned = |long| {
            let jobs = jobs(&programs, long).into_iter();
            jobs.map(|job| (job.program.name.as_str(), job.engine, job.only.is_empty()))
                .collect::<Vec<_>>()
        };
        let mut expected = vec![
            ("bypass", "flat", true),
            ("survival", "flat", true),
            ("survival", "lpm", false),
            ("cli", "flat", true),
            ("packets", "flat", true),
            ("packets", "lpm", true),
        ];
        assert_eq!(planned(false), expected);
        expected[2].2 = true;
        assert_eq!(planned(true), expected);
    }
}
