//! `netpolicy policy lint`.

use std::path::{Path, PathBuf};

use super::apply::read_policy_file;
use super::context::Context;
use super::failure::{Exit, Failure, model_failure};
use super::input::Input;
use super::list_file::ListTolerance;
use crate::local;
use crate::model::error::closest;
use crate::model::lint::{Finding, is_at_fault, lint_on};
use crate::model::{ChangeContext, file};

#[derive(Debug, clap::Args)]
pub(super) struct LintArgs {
    /// Only what concerns this policy
    name: Option<String>,
    /// Examine this policy file instead of the agent's desired state; needs no agent; `-` is
    /// standard input
    #[arg(long, short)]
    file: Option<PathBuf>,
    /// Leave out bad lines of list files
    #[arg(long, requires = "file")]
    skip_invalid: bool,
    /// Database for country:XX and as:NUMBER in the policy file; may be repeated
    #[arg(long, value_name = "FILE", requires = "file")]
    geo: Vec<PathBuf>,
}

/// Exit code 1 if there is an error or a warning among the findings.
pub(super) async fn run(args: &LintArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let (names, mut findings) = match &args.file {
        Some(path) => of_file(path, args.skip_invalid, &args.geo, cx)?,
        None => {
            let policies = cx.client.policies().await?;
            let names = policies.into_iter().map(|policy| policy.name).collect();
            (names, cx.client.lint().await?)
        }
    };
    if let Some(name) = &args.name {
        check_name(name, &names)?;
        let concerns = |policy: &String| policy.eq_ignore_ascii_case(name);
        findings.retain(|finding| finding.policies.iter().any(concerns));
    }
    cx.print(findings.as_slice())?;
    Ok(if is_at_fault(&findings) {
        Exit::Failed
    } else {
        Exit::Done
    })
}

/// The names of all policies in a file, and what lint finds there.
fn of_file(
    path: &Path,
    skip_invalid: bool,
    geo: &[PathBuf],
    cx: &Context<'_>,
) -> anyhow::Result<(Vec<String>, Vec<Finding>)> {
    let mut input = Input::with_databases(geo, &cx.config);
    let tolerance = ListTolerance {
        skip_invalid,
        allow_empty: false,
    };
    let (file, lists) = read_policy_file(path, tolerance, &mut input)?;
    let now = ChangeContext {
        now: cx.options.now,
        actor: "",
        limits: cx.config.limits,
        force: true,
    };
    let state = file::parse(&file, &lists, skip_invalid, &now)
        .map_err(|errors| model_failure(&errors))?
        .state;
    let names = state.policies.iter().map(|policy| policy.name.to_string());
    Ok((names.collect(), lint_on(&state, &local::own_networks())))
}

fn check_name(name: &str, names: &[String]) -> Result<(), Failure> {
    if names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    let meant = closest(name, names.iter().map(String::as_str));
    let meant = meant.map(|name| format!("; did you mean '{name}'?"));
    Err(Failure::new(format!(
        "unknown policy '{}'{}",
        name.escape_debug(),
        meant.unwrap_or_default()
    )))
}
