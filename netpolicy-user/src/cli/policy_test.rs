//! `netpolicy policy test`.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::context::Context;
use super::failure::Exit;
use super::safety::Safety;
use super::submit::submit;
use crate::model::Expectation;
use crate::model::change::Change;

#[derive(Debug, clap::Args)]
pub(super) struct PolicyTestArgs {
    #[command(subcommand)]
    command: Option<TestCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum TestCommand {
    /// Add a test, or alter that of the same attempt
    Set(SetTestArgs),
    /// Remove a test
    Remove {
        #[command(flatten)]
        attempt: AttemptArgs,
        #[command(flatten)]
        safety: Safety,
    },
}

/// A connection attempt.
#[derive(Debug, clap::Args)]
struct AttemptArgs {
    /// The source: one address
    source: String,
    /// The service that it tries to reach [default: the host]
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The destination port [default: any of the service, or of none]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

#[derive(Debug, clap::Args)]
struct SetTestArgs {
    #[command(flatten)]
    attempt: AttemptArgs,
    /// What the policies are to do with it
    #[arg(long, value_parser = expectation_parser())]
    expect: Expectation,
    /// Description
    #[arg(long)]
    comment: Option<String>,
    #[command(flatten)]
    safety: Safety,
}

fn expectation_parser() -> impl TypedValueParser<Value = Expectation> {
    PossibleValuesParser::new(["pass", "drop"]).map(|text| match &*text {
        "pass" => Expectation::Pass,
        _ => Expectation::Drop,
    })
}

/// Exit code 1 if a test does not hold.
pub(super) async fn run(args: PolicyTestArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let (change, safety) = match args.command {
        None => {
            let tests = cx.client.policy_tests().await?;
            cx.print(tests.as_slice())?;
            return Ok(match tests.iter().all(|test| test.holds) {
                true => Exit::Done,
                false => Exit::Failed,
            });
        }
        Some(TestCommand::Set(args)) => {
            let AttemptArgs {
                source,
                service,
                port,
            } = args.attempt;
            let change = Change::SetTest {
                source,
                service,
                port,
                expect: args.expect,
                comment: args.comment,
            };
            (change, args.safety)
        }
        Some(TestCommand::Remove { attempt, safety }) => {
            let AttemptArgs {
                source,
                service,
                port,
            } = attempt;
            let change = Change::RemoveTest {
                source,
                service,
                port,
            };
            (change, safety)
        }
    };
    submit(&change, &safety, cx).await
}
