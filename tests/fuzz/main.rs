//! `cargo xtask fuzz`: reads mutated texts until the time is up or one is not read as
//! it should be; that one is written to a file.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what was found is for the person who started it"
)]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use netpolicy_tests::fuzz::{self, Target};

/// Fuzz the readers of users' text.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask fuzz")]
struct Args {
    /// How long for each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Repeats a run; another one each time unless given
    #[arg(long)]
    seed: Option<u64>,
    /// Where an input that fails is written
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Only these targets
    #[arg(value_name = "TARGET", value_parser = Target::ALL.map(Target::name))]
    only: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = args
        .seed
        .unwrap_or_else(|| now.map_or(0, |now| u64::from(now.subsec_nanos()) ^ now.as_secs()));
    let wanted = |target: &Target| {
        args.only.is_empty() || args.only.iter().any(|only| only == target.name())
    };
    for target in Target::ALL.into_iter().filter(wanted) {
        let name = target.name();
        let deadline = Instant::now() + Duration::from_secs(args.seconds);
        match fuzz::run(target, seed, |_| Instant::now() >= deadline) {
            Ok(done) => println!(
                "{name}: {} executions in {} s with seed {seed}, {} inputs kept, no failure",
                done.executions, args.seconds, done.kept
            ),
            Err(failure) => {
                let file = args.out.join(format!("fuzz-{name}-{seed}.input"));
                eprintln!("error: {name}: {}", failure.what);
                match fs::write(&file, &failure.input) {
                    Ok(()) => eprintln!("the input is in {}", file.display()),
                    Err(error) => eprintln!(
                        "{} cannot be written ({error}); the input: {:?}",
                        file.display(),
                        String::from_utf8_lossy(&failure.input)
                    ),
                }
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
